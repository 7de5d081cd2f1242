"""Texts in folders of their classes: splits, groups, encodings, and what cannot be used."""

from pathlib import Path

import pytest

from ftlab.data.base import Splits
from ftlab.data.module import read
from ftlab.data.sources.text_folder import TextFolder
from ftlab.errors import UserError

SHARES = (0.6, 0.2, 0.2)


def put(place: Path, said: str | bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(said if isinstance(said, bytes) else said.encode())


def fill(root: Path, count: int, *classes: str) -> None:
    for name in classes:
        for number in range(count):
            put(root / name / f"{number // 2}_{number}.txt", f"{name} number {number}")


def surveyed(root: Path, **settings: str) -> Splits:
    return TextFolder(str(root), SHARES, **settings).survey(0)


def test_one_folder_of_classes_is_split_stratified_and_each_text_keeps_its_class(tmp_path):
    fill(tmp_path, 10, "ham", "spam")
    splits, spec = read(TextFolder(str(tmp_path), SHARES), seed=0)
    assert spec.sizes == {"train": 12, "val": 4, "test": 4}
    assert splits.kind == "text"
    for part in splits.parts().values():
        for index, target in enumerate(part.targets.tolist()):
            assert part.inputs[index].split()[0] == spec.target.classes[target] == Path(part.name(index)).parent.name


def test_folders_of_splits_are_taken_as_they_are_and_groups_stay_together(tmp_path):
    for split, count in (("train", 6), ("valid", 2), ("test", 2)):
        fill(tmp_path / "given" / split, count, "ham", "spam")
    sizes = {name: len(part) for name, part in surveyed(tmp_path / "given").parts().items()}
    assert sizes == {"train": 12, "val": 4, "test": 4}
    fill(tmp_path / "drawn", 10, "ham", "spam")
    splits = surveyed(tmp_path / "drawn", group_pattern=r"([a-z]+/[0-9]+)_")
    owners = [{Path(name).parent.name + Path(name).name[0] for name in part.names} for part in splits.parts().values()]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 10


@pytest.mark.parametrize(
    ("content", "encoding", "text"),
    [
        ("\ufeffnaïve".encode(), None, "naïve"),
        ("naïve".encode("utf-16"), None, "naïve"),
        ("naïve".encode("cp1252"), "cp1252", "naïve"),
        ("наивный".encode("koi8-r"), "koi8-r", "наивный"),
    ],
    ids=["utf-8 with a mark", "utf-16", "cp1252", "koi8-r"],
)
def test_letters_are_read_as_they_were_written(tmp_path, content, encoding, text):
    put(tmp_path / "a" / "x.txt", content)
    put(tmp_path / "b" / "y.txt", b"plain")
    splits = TextFolder(str(tmp_path), (1.0, 0.0, 0.0), encoding=encoding).survey(0)
    assert (splits.train.inputs, splits.faults) == ([text, "plain"], ())


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", "texts are empty", "the text is empty"),
        (b" \n\t", "texts are empty", "the text is empty"),
        ("naïve".encode("cp1252"), "texts are in another encoding", "byte 2 cannot be read; save it as UTF-8, or"),
        ("naïve".encode("utf-16")[2:], "files are no texts", "it holds zero bytes"),
        (b"PK\x03\x04and more", "files are no texts", "it is an archive or a workbook"),
        (b"\x89PNG\x00\x01", "files are no texts", "it holds zero bytes"),
    ],
    ids=["empty", "blank", "cp1252", "utf-16 without a mark", "archive", "picture"],
)
def test_a_file_that_is_no_text_is_named_and_the_others_are_used(tmp_path, content, kind, said):
    fill(tmp_path, 5, "ham", "spam")
    put(tmp_path / "ham" / "bad.txt", content)
    splits = surveyed(tmp_path)
    assert [fault.kind for fault in splits.faults] == [kind]
    assert splits.faults[0].reason.startswith(f"{tmp_path}/ham/bad.txt: ")
    assert said in splits.faults[0].reason
    assert sum(len(part) for part in splits.parts().values()) == 10
    with pytest.raises(UserError, match=r"ham/bad\.txt"):
        read(TextFolder(str(tmp_path), SHARES), seed=0)


def test_files_of_other_kinds_are_counted_and_a_folder_without_texts_is_refused(tmp_path):
    fill(tmp_path, 3, "ham", "spam")
    put(tmp_path / "ham" / "notes.pdf", b"%PDF")
    told = [one.text for one in surveyed(tmp_path).problems]
    assert [one.startswith("1 file is no texts that can be read (.pdf 1)") for one in told] == [True]
    put(tmp_path / "eggs" / "only.doc", b"x")
    with pytest.raises(UserError, match=r"eggs, a class by its place, holds no text: 1 file is no text .*\.doc 1"):
        surveyed(tmp_path)
    with pytest.raises(UserError, match=r"no/pe is not there"):
        surveyed(tmp_path / "no/pe")
