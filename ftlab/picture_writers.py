"""Predictions as pictures in a new folder, beside the lines that name them."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ftlab.tasks.base import Task
from ftlab.writers import LINES, Lines

if TYPE_CHECKING:
    from PIL import Image


class Pictures(Lines):
    """FOLDER/NAME.png of each input, and FOLDER/predictions.jsonl, whose records have its name under `picture`."""

    picture: str  # the key of a record that names it

    def __init__(self, folder: Path, task: Task) -> None:
        super().__init__(folder / f"predictions{LINES}")
        self.folder, self.task = folder, task
        self.taken: set[str] = set()

    def begin(self) -> None:
        self.folder.mkdir(parents=True)
        super().begin()

    def add(self, name: Mapping[str, Any], record: Mapping[str, Any], raw: Any) -> None:
        if raw is not None:
            file = self.free(PurePath(str(name.get("file", "input"))).stem)
            with open(self.folder / file, "xb") as stream:
                self.drawn(record, raw).save(stream, format="PNG")
            record = {**record, self.picture: file}
        super().add(name, record, raw)

    def free(self, stem: str) -> str:
        """A name that no earlier input has: of two folders both may hold a 1.png."""
        number, file = 2, f"{stem}.png"
        while file.lower() in self.taken:
            number, file = number + 1, f"{stem}_{number}.png"
        self.taken.add(file.lower())
        return file

    @abstractmethod
    def drawn(self, record: Mapping[str, Any], raw: Any) -> "Image.Image":
        """The picture of one prediction `raw`, of which `record` was made."""


class MaskPictures(Pictures):
    """The number of each pixel's class, with a palette."""

    picture = "mask"

    def drawn(self, record: Mapping[str, Any], raw: Any) -> "Image.Image":
        from ftlab.inputs.images.overlay import as_palette_image

        return as_palette_image(raw.classes.numpy(), self.task.num_outputs)


class Overlays(Pictures):
    """The image with its prediction drawn upon it."""

    picture = "overlay"

    def drawn(self, record: Mapping[str, Any], raw: Any) -> "Image.Image":
        assert self.read is not None
        painted: Image.Image = self.task.painted(self.read(), record, raw)
        return painted
