"""ftlab predict: one line an image in the order given; a broken file costs its own line only."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from ftlab.backbones.image import TimmBackbone
from ftlab.bundle import Description, save
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.inputs.images.pictures import files
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.model import Model
from ftlab.predictor import Predictor, load
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import Classification
from tests.conftest import Command

CLASSES = ("cat", "dog", "fox")
NAME, SIZE = "mobilenetv3_small_050", 32


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """A network of random weights whose answers differ from image to image."""
    torch.manual_seed(0)
    backbone = TimmBackbone(NAME, pretrained=False, image_size=SIZE)
    head = Linear(backbone.num_features, 3, backbone.default_pool)
    torch.nn.init.normal_(head.fc.weight, std=20)
    task = Classification(DataSpec("x", Classes(CLASSES, (1, 1, 1)), {}))
    return Predictor(Model(backbone, head), task, backbone.preprocessing)


@pytest.fixture(scope="module")
def bundle(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "bundle"
    p: Preprocessing = predictor.preprocessing
    description = Description(
        task="classification",
        targets={"classes": list(CLASSES)},
        preprocessing={**vars(p), "size": list(p.size), "mean": list(p.mean), "std": list(p.std)},
        backbone={
            "_target_": "ftlab.backbones.image.TimmBackbone", "name": NAME, "pretrained": False,
            "image_size": [SIZE, SIZE],
        },
        head={"_target_": "ftlab.heads.linear.Linear"},
        task_settings={"_target_": "ftlab.tasks.classification.Classification"},
        num_outputs=3,
        metrics={},
        versions={},
        config={},
    )  # fmt: skip
    save(folder, predictor.model, description)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven digits as PNG files of 40 by 40 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.round(load_digits().images[:7] * 15.9).astype(np.uint8)
    for number, array in enumerate(pixels):
        Image.fromarray(array).resize((40, 40)).convert("RGB").save(folder / f"{number}.png")
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_files_are_predicted_in_the_order_given_as_by_the_network_itself(
    command: Command, bundle: Path, photos: Path, predictor: Predictor
) -> None:
    order = [3, 0, 6, 1, 5]
    names = ",".join(str(photos / f"{number}.png") for number in order)
    ended = command("predict", f"bundle={bundle}", f"input=[{names}]", "batch_size=2", "top_k=2", "accelerator=cpu")
    assert ended.code == 0
    found = lines(ended.out)
    assert [line["file"] for line in found] == [str(photos / f"{number}.png") for number in order]
    inputs = predictor.preprocessing.stack(
        [predictor.transform(Image.open(photos / f"{n}.png").convert("RGB")) for n in order]
    )
    chances = predictor.predictions(inputs)
    assert len({line["class"] for line in found} | {round(line["probability"], 3) for line in found}) > 3
    for line, row in zip(found, chances, strict=True):
        best = row.topk(2)
        assert line["class"] == CLASSES[best.indices[0]]
        assert [t["class"] for t in line["top"]] == [CLASSES[i] for i in best.indices]
        assert [t["probability"] for t in line["top"]] == pytest.approx(best.values.tolist(), abs=1e-5)
    assert "5 of 5 images predicted" in ended.err


@pytest.mark.parametrize("workers", [0, 3])
def test_a_broken_file_has_a_line_with_its_error_and_the_others_are_done(
    command: Command, bundle: Path, photos: Path, tmp_path: Path, workers: int
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "4.png").write_bytes(b"")
    ended = command(
        "predict", f"bundle={bundle}", f"input={folder}", "batch_size=3", f"num_workers={workers}", "accelerator=cpu"
    )
    assert ended.code == 2
    found = lines(ended.out)
    assert [line["file"] for line in found] == [str(folder / f"{n}.png") for n in range(7)]
    for number, line in enumerate(found):
        assert ("error" in line, "class" in line) == (number in (2, 4), number not in (2, 4))
    assert "2.png" in found[2]["error"]
    assert "5 of 7 images predicted" in ended.err
    assert "Traceback" not in ended.err
    sound = command("predict", f"bundle={bundle}", f"input={photos}", "accelerator=cpu")
    good = [n for n in range(7) if n not in (2, 4)]
    assert [found[n]["probability"] for n in good] == pytest.approx(
        [lines(sound.out)[n]["probability"] for n in good], abs=1e-5
    )


def test_a_file_that_is_not_there_has_its_line_too(command: Command, bundle: Path, photos: Path) -> None:
    ended = command("predict", f"bundle={bundle}", f"input=[gone.png,{photos / '0.png'}]", "accelerator=cpu")
    assert ended.code == 2
    gone, there = lines(ended.out)
    assert gone["file"] == "gone.png"
    assert "gone.png" in gone["error"]
    assert there["class"] in CLASSES


def test_when_no_file_can_be_read_every_line_is_an_error(command: Command, bundle: Path) -> None:
    ended = command("predict", f"bundle={bundle}", "input=[a.png,b.png]", "accelerator=cpu")
    assert ended.code == 2
    assert ["error" in line for line in lines(ended.out)] == [True, True]


def test_lines_go_to_a_new_file_and_never_over_another(
    command: Command, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    words = ("predict", f"bundle={bundle}", f"input={photos}", "accelerator=cpu")
    ended = command(*words, "output=lines.jsonl")
    assert (ended.code, ended.out) == (0, "")
    assert "lines.jsonl" in ended.err
    written = (tmp_path / "lines.jsonl").read_text()
    assert len(lines(written)) == 7
    again = command(*words, "output=lines.jsonl")
    assert again.code == 2
    assert "output=lines.jsonl: the file exists already" in again.err
    assert (tmp_path / "lines.jsonl").read_text() == written
    nowhere = command(*words, "output=nowhere/lines.jsonl")
    assert nowhere.code == 2
    assert "nowhere is not there" in nowhere.err


def test_a_file_in_a_folder_that_is_no_image_by_its_suffix_is_left_out_and_told(
    command: Command, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    (folder / "notes.txt").write_text("hello")
    (folder / "LICENSE").write_text("free")
    (folder / ".hidden.png").write_bytes(b"")
    ended = command("predict", f"bundle={bundle}", f"input={folder}", "accelerator=cpu")
    assert ended.code == 0
    assert len(lines(ended.out)) == 7
    assert "2 files are no images that can be read: .txt 1, without a suffix 1; left out, for example" in ended.err
    named = command("predict", f"bundle={bundle}", f"input={folder / 'notes.txt'}", "accelerator=cpu")
    assert named.code == 2  # named by hand, it is an image that cannot be read
    assert "notes.txt" in lines(named.out)[0]["error"]
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "a.HEIC").write_bytes(b"x")
    none = command("predict", f"bundle={bundle}", f"input={tmp_path / 'phone'}", "accelerator=cpu")
    assert none.code == 2
    assert "phone: names no image: 1 file is no image that can be read: .heic 1; accepted are .jpg" in none.err


# Which files


def names_in(found: tuple[list[Path], tuple[str, ...]], folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in found[0]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / ".cache" / "photos"
    for name in ("b.png", "a.JPG", "deep/c.webp", "deep/.trash/d.png", "e[1].png", "folder.png/f.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)
    (root / "notes.txt").write_text("")
    return root


def test_a_folder_gives_its_images_sorted_also_below_a_hidden_one(tree: Path) -> None:
    found = files(str(tree))
    assert names_in(found, tree) == sorted(["b.png", "a.JPG", "deep/c.webp", "e[1].png", "folder.png/f.png"])
    assert len(found[1]) == 1
    assert "notes.txt" in found[1][0]


def test_a_folder_above_the_current_one_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "deep")
    assert [path.name for path in files("..")[0]] == ["a.JPG", "b.png", "c.webp", "e[1].png", "f.png"]


def test_a_glob_gives_files_sorted_and_no_folders(tree: Path) -> None:
    assert names_in(files(f"{tree}/*.png"), tree) == ["b.png", "e[1].png"]
    assert names_in(files(f"{tree}/**/*.webp"), tree) == ["deep/c.webp"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree: Path) -> None:
    assert names_in(files(f"{tree}/e[1].png"), tree) == ["e[1].png"]


def test_inputs_keep_their_order_and_may_repeat(tree: Path) -> None:
    found = files([f"{tree}/b.png", str(tree / "deep"), f"{tree}/b.png"])
    assert names_in(found, tree) == ["b.png", "deep/c.webp", "b.png"]


def test_an_input_that_names_nothing_is_an_error(tree: Path) -> None:
    (tree / "empty").mkdir()
    for wrong in (f"{tree}/*.gif", str(tree / "empty")):
        with pytest.raises(UserError) as caught:
            files(wrong)
        assert wrong in str(caught.value)


# In Python


def test_predict_takes_paths_pillow_images_of_any_mode_and_tensors(predictor: Predictor, photos: Path) -> None:
    path = photos / "3.png"
    image = Image.open(path)
    array = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    found = predictor.predict([str(path), path, image, image.convert("L"), image.convert("RGBA"), array])
    expected = found[0]["probability"]
    assert [record["probability"] for record in found] == pytest.approx([expected] * 6, abs=1e-5)
    assert [record["class"] for record in predictor.predict(path)] == [found[0]["class"]]
    assert predictor.predict([]) == []


def test_a_batch_of_any_size_gives_the_same_records(predictor: Predictor, photos: Path) -> None:
    paths = sorted(photos.iterdir())
    one, many = predictor.predict(paths, batch_size=1), predictor.predict(iter(paths), batch_size=5)
    assert [r["class"] for r in one] == [r["class"] for r in many]
    assert [r["probability"] for r in one] == pytest.approx([r["probability"] for r in many], abs=1e-5)


def test_what_is_no_image_is_an_error_that_says_what_is_accepted(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.png"):
        predictor.predict(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"accepted: Pillow, tensor \(3, h, w\)"):
        predictor.predict(torch.zeros(4, 8, 8, dtype=torch.uint8))


def test_one_array_is_one_image_and_four_dimensions_are_many(predictor: Predictor, photos: Path) -> None:
    several = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(photos.iterdir())]
    image = several[3]
    grey, opaque = image[..., 0], np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    expected = predictor.predict(Image.fromarray(image))
    for given in (image, opaque, image.transpose(2, 0, 1), np.asfortranarray(image)):
        assert predictor.predict(given) == predictor.predict([given]) == expected
    of_grey = predictor.predict(Image.fromarray(grey))
    for given in (grey, grey[..., None], grey[None]):
        assert predictor.predict(given) == of_grey
    records = predictor.predict(np.stack(several))
    assert len(records) == len(several)
    assert records == predictor.predict([Image.fromarray(one) for one in several])


@pytest.mark.parametrize("shape", [(5, 32, 32), (3, 32, 3), (1, 32, 4), (8,), (2, 2, 8, 8, 3), (2, 9, 8, 8), (0, 8, 3)])
def test_an_array_that_is_no_image_for_sure_is_never_split(predictor: Predictor, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"the image is a ndarray \(.*accepted: .*array \(n, h, w, c\)"):
        predictor.predict(np.zeros(shape, np.uint8))


def test_an_array_of_other_numbers_is_told_with_their_type(predictor: Predictor) -> None:
    with pytest.raises(UserError, match=r"\(32, 32, 3\) of float64"):
        predictor.predict(np.zeros((32, 32, 3)))


def test_a_loaded_bundle_predicts_as_the_predictor_that_was_saved(
    bundle: Path, predictor: Predictor, photos: Path
) -> None:
    paths = sorted(photos.iterdir())
    assert load(bundle, accelerator="cpu").predict(paths) == predictor.predict(paths)
