import os
from pathlib import Path

import pytest
from PIL import Image

from ftlab.data.module import read
from ftlab.data.sources.image_folder import ImageFolder
from ftlab.errors import UserError
from ftlab.files.image_suffixes import by_suffix, image_suffixes
from ftlab.inputs.images.files import load_image
from tests.data.pictures import COLOURS, write_classes, write_image

SPLIT = (0.6, 0.2, 0.2)


def folder_of(samples, index: int) -> str:
    return Path(samples.names[index]).parent.name


def test_one_folder_of_classes_is_split_stratified(tmp_path):
    write_classes(tmp_path, cat=10, dog=5)
    splits, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.sizes == {"train": 9, "val": 3, "test": 3}
    assert spec.target.counts == (6, 3)
    for part in (splits.train, splits.val, splits.test):
        for index, target in enumerate(part.targets.tolist()):
            name = spec.target.classes[target]
            assert folder_of(part, index) == name
            assert part.inputs[index].getpixel((0, 0)) == COLOURS[name]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_folders_are_taken_as_they_are(tmp_path, val):
    for split, count in (("train", 3), (val, 2), ("test", 1)):
        write_classes(tmp_path / split, cat=count, dog=count)
    splits, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.sizes == {"train": 6, "val": 4, "test": 2}
    assert all(f"/{val}/" in name for name in splits.val.names)
    assert [one for one in spec.warnings if "fewer than 10 samples" not in one] == []


def test_without_a_val_folder_it_is_split_off_train_and_test_stays(tmp_path):
    write_classes(tmp_path / "train", cat=8, dog=8)
    write_classes(tmp_path / "test", cat=1, dog=1)
    _, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.sizes == {"train": 12, "val": 4, "test": 2}  # 0.2 of 0.8 is a quarter


def test_a_class_missing_from_val_keeps_the_mapping_of_train(tmp_path):
    write_classes(tmp_path / "train", cat=2, dog=2, fox=2)
    write_classes(tmp_path / "val", cat=1, fox=2)
    splits, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.target.classes == ("cat", "dog", "fox")
    assert splits.val.targets.tolist() == [0, 2, 2]
    assert any(warning == "1 class has no sample in val: dog" for warning in spec.warnings)


def test_a_class_only_in_val_is_an_error_with_the_nearest_class(tmp_path):
    write_classes(tmp_path / "train", cat=2, dog=2)
    write_classes(tmp_path / "val", cat=1, dogs=1)
    with pytest.raises(UserError, match=r"val has the class 'dogs'.*did you mean 'dog'"):
        ImageFolder(str(tmp_path), SPLIT).read(0)


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    write_classes(tmp_path, **{"10": 3, "2": 3, "cat": 3, "1": 3})
    assert ImageFolder(str(tmp_path), SPLIT).read(0).target.classes == ("1", "2", "10", "cat")


def test_hidden_and_other_files_are_left_out_and_nested_images_found(tmp_path):
    write_classes(tmp_path, cat=3, dog=3)
    write_image(tmp_path / "cat" / "deep" / "deeper" / "x.JPG")
    write_image(tmp_path / ".ipynb_checkpoints" / "x.png")
    write_image(tmp_path / "dog" / ".ipynb_checkpoints" / "x.png")
    write_image(tmp_path / "dog" / ".hidden.png")
    (tmp_path / "dog" / "notes.txt").write_text("a dog")
    (tmp_path / "readme.md").write_text("photos")
    _, spec = read(ImageFolder(str(tmp_path), (1, 0, 0)), seed=0)
    assert spec.target.classes == ("cat", "dog")
    assert spec.target.counts == (4, 3)
    assert len(spec.warnings) == 1
    assert spec.warnings[0].startswith("2 files are no images that can be read (.md 1, .txt 1): ")


def test_a_link_back_to_a_folder_above_ends(tmp_path):
    write_classes(tmp_path, cat=3, dog=3)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    _, spec = read(ImageFolder(str(tmp_path), (1, 0, 0)), seed=0)
    assert spec.target.counts == (3, 3)


def test_a_name_that_is_not_utf8_can_be_printed_and_loaded(tmp_path):
    write_classes(tmp_path, cat=2, dog=2)
    os.rename(tmp_path / "cat" / "0.png", os.fsencode(tmp_path / "cat") + b"/caf\xe9.png")
    splits, _ = read(ImageFolder(str(tmp_path), (1, 0, 0)), seed=0)
    place = next(i for i, name in enumerate(splits.train.names) if name.endswith("caf\\xe9.png"))
    splits.train.names[place].encode("utf-8")
    assert splits.train.inputs[place].getpixel((0, 0)) == COLOURS["cat"]


def test_empty_class_folders_are_counted_and_are_no_class(tmp_path):
    write_classes(tmp_path, cat=3, dog=3)
    (tmp_path / "fox").mkdir()
    _, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.target.classes == ("cat", "dog")
    assert any("1 class folder holds" in warning and "fox" in warning for warning in spec.warnings)


def test_a_class_of_two_is_in_train_only_with_a_warning(tmp_path):
    write_classes(tmp_path, cat=5, dog=5, fox=2)
    splits, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.target.counts[2] == 2
    assert 2 not in splits.val.targets
    assert 2 not in splits.test.targets
    assert any("1 of 3 classes have fewer than 3 samples" in warning for warning in spec.warnings)


def test_a_class_may_be_called_train(tmp_path):
    write_classes(tmp_path, train=3, car=3)
    _, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert spec.target.classes == ("car", "train")


def test_folders_beside_the_split_folders_are_named(tmp_path):
    write_classes(tmp_path / "train", cat=2, dog=2)
    write_classes(tmp_path / "val", cat=2, dog=2)
    write_image(tmp_path / "unlabeled" / "x.png")
    _, spec = read(ImageFolder(str(tmp_path), SPLIT), seed=0)
    assert any("unlabeled" in warning for warning in spec.warnings)


def test_a_mistyped_root_is_an_error_with_its_sibling(tmp_path):
    write_classes(tmp_path / "photos", cat=2, dog=2)
    with pytest.raises(UserError, match=r"fotos is not there.*'photos'"):
        ImageFolder(str(tmp_path / "fotos"), SPLIT).read(0)
    with pytest.raises(UserError, match="/nowhere"):
        ImageFolder("/nowhere/at/all", SPLIT).read(0)


def test_roots_without_two_classes_are_errors_that_say_why(tmp_path):
    with pytest.raises(UserError, match=r"no images in class folders.*CLASS/IMAGE"):
        ImageFolder(str(tmp_path), SPLIT).read(0)
    write_classes(tmp_path, cat=3)
    with pytest.raises(UserError, match=r"one class \(cat\)"):
        ImageFolder(str(tmp_path), SPLIT).read(0)
    with pytest.raises(UserError, match="is a file"):
        ImageFolder(str(tmp_path / "cat" / "0.png"), SPLIT).read(0)


def test_split_folders_that_do_not_fit_are_errors(tmp_path):
    write_classes(tmp_path / "val", cat=2, dog=2)
    with pytest.raises(UserError, match="no train folder"):
        ImageFolder(str(tmp_path), SPLIT).read(0)
    write_classes(tmp_path / "train", cat=2, dog=2)
    (tmp_path / "valid").mkdir()
    with pytest.raises(UserError, match="both val and valid"):
        ImageFolder(str(tmp_path), SPLIT).read(0)


def test_every_suffix_that_pillow_reads_is_an_image_in_any_case(tmp_path):
    """Those that it can also write are written here, whatever colours they can hold, and read back."""
    read = set()
    for suffix, format in Image.registered_extensions().items():
        both = format in Image.SAVE and format in Image.OPEN and format != "IM"  # which is deprecated
        for mode in ("RGB", "L", "1") if both else ():
            path = tmp_path / "all" / ("cat", "dog")[len(read) % 2] / f"{suffix[1:]}{suffix.upper()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                Image.new(mode, (16, 16)).save(path, format)
                load_image(path)
            except (OSError, ValueError, UserError):  # it has no such colours, or is written or read by other programs
                path.unlink(missing_ok=True)
                continue
            read.add(suffix)
            break
    assert {".jpg", ".png", ".tga", ".jp2", ".avif", ".apng", ".pnm", ".sgi", ".ico", ".pcx", ".qoi"} <= read
    assert read <= image_suffixes()
    samples = ImageFolder(str(tmp_path / "all"), (1, 0, 0)).read(0).train
    assert {Path(name).suffix.lower() for name in samples.names} == read
    assert {".mpo", ".psd", ".fits"} <= image_suffixes()  # only read
    others = {
        ".pdf",
        ".eps",
        ".ps",
        ".mpg",
        ".mpeg",
        ".wmf",
        ".emf",
        ".h5",
        ".hdf",
        ".grib",
        ".bufr",
        ".palm",
        ".im",
        ".txt",
    }
    assert not image_suffixes() & others


def test_files_that_cannot_be_read_are_counted_by_their_suffixes(tmp_path):
    write_classes(tmp_path, cat=3, dog=3)
    for i in range(10):
        (tmp_path / "cat" / f"{i}.{'HEIC' if i % 2 else 'heic'}").write_bytes(b"x")
    for name in ("a.txt", "b.txt", "LICENSE"):
        (tmp_path / "dog" / name).write_bytes(b"x")
    _, spec = read(ImageFolder(str(tmp_path), (1, 0, 0)), seed=0)
    assert spec.target.counts == (3, 3)
    assert spec.warnings[0] == (
        "13 files are no images that can be read (.heic 10, .txt 2, without a suffix 1): "
        f"{tmp_path}/cat/0.heic, {tmp_path}/cat/1.HEIC, {tmp_path}/cat/2.heic and 10 more; left out in {tmp_path}"
    )
    assert by_suffix([Path(f"x.{letter}") for letter in "jihgfedcba"]) == (
        ".a 1, .b 1, .c 1, .d 1, .e 1, .f 1, .g 1, .h 1, 2 more suffixes"
    )


def test_a_class_folder_of_such_files_alone_is_an_error(tmp_path):
    write_classes(tmp_path, cat=3, dog=3)
    for i in range(4):
        write_image(tmp_path / "fox" / "deep" / f"{i}.png").rename(tmp_path / "fox" / "deep" / f"{i}.heic")
    (tmp_path / "fox" / "notes.txt").write_text("a fox")
    with pytest.raises(UserError) as caught:
        ImageFolder(str(tmp_path), SPLIT).survey(0)
    assert str(caught.value).startswith(
        f"{tmp_path}/fox, a class by its place, holds no image: 5 files are no images that can be read: .heic 4, "
        ".txt 1. Accepted are .jpg, .png"
    )
