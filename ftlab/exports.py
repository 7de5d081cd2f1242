"""Predictions as other tools read them: each input is an image in a file, each record one of `describe`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ftlab.errors import UserError, choices
from ftlab.picture_writers import MaskPictures, Overlays
from ftlab.tasks.base import Task
from ftlab.writers import Writer


class Coco(Writer):
    """COCO's results: one list in a new file. An image's id is the number that its file is called, where all are called
    so, else its place, from 1; a category's id its place among the classes, from 1. Both are told by name too."""

    def __init__(self, output: Path, task: Task) -> None:
        """Raises: UserError for a file of another suffix."""
        super().__init__(output)
        if output.suffix.lower() != ".json":
            raise UserError(f"output={output}: format=coco is a file that ends in .json")
        self.path, self.classes = output, task.spec.target.classes

    def begin(self) -> None:
        self.files: list[str] = []
        self.rows: list[tuple[int, Mapping[str, Any]]] = []
        self.stream = open(self.path, "x", encoding="utf8")  # noqa: SIM115

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        self.files.append(str(name["file"]))
        self.rows += [(len(self.files) - 1, one) for one in record.get("boxes", ())]

    def end(self) -> None:
        stems = [Path(file).stem for file in self.files]
        numbered = all(stem.isascii() and stem.isdigit() for stem in stems) and len(set(map(int, stems))) == len(stems)
        ids = [int(stem) for stem in stems] if numbered else range(1, len(stems) + 1)
        with self.stream:
            json.dump([self._result(ids[place], self.files[place], one) for place, one in self.rows], self.stream)

    def _result(self, image: int, file: str, one: Mapping[str, Any]) -> dict[str, Any]:
        left, top, right, bottom = one["box"]
        return {
            "image_id": image,
            "category_id": self.classes.index(one["class"]) + 1,
            "bbox": [left, top, right - left, bottom - top],
            "score": one["score"],
            "file_name": Path(file).name,
            "category": one["class"],
        }


class Yolo(Writer):
    """A file an image in a new folder, called as the image is: on each line class, middle x and y, width and height as
    shares of the image's, and score; the classes by name are in classes.txt."""

    def __init__(self, output: Path, task: Task) -> None:
        super().__init__(output)
        self.path, self.classes = output, task.spec.target.classes

    def begin(self) -> None:
        self.path.mkdir()
        (self.path / "classes.txt").write_text("".join(f"{name}\n" for name in self.classes), encoding="utf8")

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        """Raises: UserError for two images of one name."""
        if raw is None:  # it could not be read, which is said at the end
            return
        file = self.path / f"{Path(str(name['file'])).stem}.txt"
        if file.exists():
            raise UserError(
                f"output={self.path}: a second image would be {file.name} ({name['file']}); predict it apart"
            )
        file.write_text("".join(f"{line}\n" for line in self._lines(record)), encoding="utf8")

    def _lines(self, record: Mapping[str, Any]) -> Iterator[str]:
        assert self.read is not None
        width, height = self.read().size
        for one in record["boxes"]:
            left, top, right, bottom = one["box"]
            middle = (left + right) / 2 / width, (top + bottom) / 2 / height
            shares = (*middle, (right - left) / width, (bottom - top) / height, one["score"])
            yield " ".join([str(self.classes.index(one["class"])), *(f"{share:.6f}" for share in shares)])

    def end(self) -> None:
        pass


FORMATS: Mapping[str, Any] = {"coco": Coco, "yolo": Yolo, "masks": MaskPictures, "overlay": Overlays}


def exporter(name: str, output: Path | None, task: Task) -> Writer:
    """Raises: UserError for a format that predictions of the task do not have, and without an output."""
    if name not in task.formats:
        has = choices(name, task.formats) if task.formats else "it has none; leave it out"
        raise UserError(f"format={name}: no such format of predictions of task={task.name}; {has}")
    if output is None:
        raise UserError(f"format={name}: needs output=..., a new {'file .json' if name == 'coco' else 'folder'}")
    writer: Writer = FORMATS[name](output, task)
    return writer
