"""Masks that are predicted, as pictures in a new folder beside the lines that name them."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ftlab.errors import UserError, choices
from ftlab.tasks.base import Task
from ftlab.writers import LINES, Lines

if TYPE_CHECKING:
    from PIL import Image

    from ftlab.tasks.segmentation import Segmentation


class Pictures(Lines):
    """FOLDER/NAME.png of each input, and FOLDER/predictions.jsonl, whose records have its name under `picture`."""

    picture: str  # the key of a record that names it

    def __init__(self, folder: Path, task: "Segmentation") -> None:
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
                self.drawn(raw).save(stream, format="PNG")
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
    def drawn(self, raw: Any) -> "Image.Image":
        """The picture of a RawMask."""


class MaskPictures(Pictures):
    """The number of each pixel's class, with a palette."""

    picture = "mask"

    def drawn(self, raw: Any) -> "Image.Image":
        from ftlab.inputs.images.overlay import as_palette_image

        return as_palette_image(raw.classes.numpy(), self.task.num_outputs)


class Overlays(Pictures):
    """The image in the colours of its classes."""

    picture = "overlay"

    def drawn(self, raw: Any) -> "Image.Image":
        from ftlab.inputs.images.overlay import overlaid

        assert self.read is not None
        return overlaid(self.read(), raw.classes.long().numpy(), background=self.task.background)


FORMATS = {"masks": MaskPictures, "overlay": Overlays}


def pictures_of(output: Path | None, task: Task, form: str) -> Pictures:
    """The writer of one of Task.formats. Raises: UserError for one that the task has not, or without a folder."""
    if form not in task.formats:
        has = choices(form, task.formats) if task.formats else "it has none, so leave it null"
        raise UserError(f"format={form}: task={task.name} writes no such thing; {has}")
    if output is None:
        raise UserError(f"format={form}: writes a folder; name a new one by output=FOLDER")
    return FORMATS[form](output, task)  # type: ignore[arg-type]  # what has these formats is a segmentation
