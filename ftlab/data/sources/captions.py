"""Images with one caption or several: rows of a file, or a JSON file of the form of COCO's captions."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.sources.split_names import SPLITS, split_of
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import dialect
from ftlab.files.folders import existing_folder
from ftlab.files.jsonl_file import listed
from ftlab.files.paths import printable
from ftlab.files.table_file import table_file
from ftlab.files.text_table import Record
from ftlab.inputs.images.files import ImageFiles
from ftlab.inputs.texts.preprocessing import is_halved
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.texts import Texts, Written


@dataclass
class _Picture:
    name: str  # of where it is listed first
    path: Path
    split: str = "train"
    captions: list[str] = field(default_factory=list)


class Captions(Source):
    """Captions of one image are of one sample, whichever rows they stand in; a cell may also hold a list of them, as
    JSON. Paths are relative to `images`, or to `root`.

    Raises (survey): UserError, naming the file, for what is wrong as a whole.
    """

    def __init__(
        self,
        root: str,
        file: str,
        images: str | None,
        path_column: str,
        caption_column: str,
        split_column: str | None,
        split: Sequence[float],
        delimiter: str | None,
        encoding: str | None,
    ) -> None:
        self.root, self.images, self.split = root, images, split
        self.path_column, self.caption_column, self.split_column = path_column, caption_column, split_column
        self.is_coco = Path(file).suffix.lower() == ".json"
        found = dialect(delimiter, None, encoding)
        folder = Path(root).expanduser()
        self.file = CsvFile(file, folder) if self.is_coco else table_file(file, folder, dialect=found)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        folder = root if self.images is None else existing_folder(root / self.images, "data.images")
        faults: list[Fault] = []
        problems: tuple[Problem, ...] = ()
        if self.is_coco:
            pictures, problems = self._of_coco(folder)
        else:
            table = self.file.read()
            self._check_columns(table.columns)
            rows = [row if isinstance(row, Fault) else self._row(folder, line, row) for line, row in table.rows]
            faults, problems = [row for row in rows if isinstance(row, Fault)], tuple(table.problems)
            pictures = list(_joined(row for row in rows if isinstance(row, _Picture)))
        judged = [(one, _fault(one)) for one in pictures]
        faults += [why for _, why in judged if why]
        good = [one for one, why in judged if not why]
        if self.learned and not any(one.split == "train" for one in good):
            raise UserError(faults[0].reason if faults else f"{self.file.shown}: no image is of the train split")
        parts = {split: _samples([one for one in good if one.split == split]) for split in SPLITS}
        val, test = (parts[split] if len(parts[split]) else None for split in ("val", "test"))
        train, val, test, said = complete(Texts(), parts["train"], val, test, self.split, seed)
        return Splits(train, val, test, Texts(), said, problems, tuple(faults))

    def _check_columns(self, there: Sequence[str]) -> None:
        own = {"path_column": self.path_column, "caption_column": self.caption_column}
        for key, column in {**own, "split_column": self.split_column}.items():
            if column is not None and column not in there:
                raise self.file.error(f"data.{key}={column} is no column", hint=choices(column, there))

    def _row(self, folder: Path, line: int, row: Record) -> _Picture | Fault:
        split = split_of(self.file, line, row.get(self.split_column or "", ""), self.split_column)
        if isinstance(split, Fault):
            return split
        path, cell = row[self.path_column].strip(), row[self.caption_column]
        if not path:
            return self.file.fault("rows lack a path", "the path is blank", line, self.path_column)
        several = listed(cell) if cell.lstrip().startswith("[") else None
        return _Picture(self.file.row(line), folder / path, str(split), [cell] if several is None else several)

    def _of_coco(self, folder: Path) -> tuple[list[_Picture], tuple[Problem, ...]]:
        path = self.file.existing()
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
            images = {one["id"]: folder / one["file_name"] for one in content["images"]}
            captions = [(one["image_id"], str(one["caption"])) for one in content["annotations"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{printable(path)}: no file of COCO's captions ({type(error).__name__}: {error})"
            ) from error
        of: dict[Any, list[str]] = defaultdict(list)
        for image, caption in captions:
            of[image].append(caption)
        bare = [printable(path) for key, path in images.items() if key not in of]
        lost = [f"image_id {key}" for key in of if key not in images]
        found = [_Picture(printable(path), path, captions=of[key]) for key, path in images.items() if key in of]
        return found, (
            *problem("images have no caption", "warning", bare, "they are left out"),
            *problem("captions are of images that are not listed", "warning", lost, "they are left out"),
        )


def _joined(rows: Iterator[_Picture]) -> Iterator[_Picture]:
    """One of each image, with all of its captions. Raises: UserError for an image that is in two splits."""
    found: dict[Path, _Picture] = {}
    for row in rows:
        first = found.setdefault(row.path, row)
        if first.split != row.split:
            raise UserError(
                f"{row.name}: {printable(row.path)} is of {row.split}, and in {first.name} of {first.split}"
            )
        if first is not row:
            first.captions += row.captions
    yield from found.values()


def _fault(one: _Picture) -> Fault | None:
    if not os.path.isfile(one.path):
        reason = f"{one.name}: {printable(one.path)} is not there."
        return Fault(one.name, "rows name an image that is not there", reason)
    if not one.captions or not all(text.strip() for text in one.captions):
        return Fault(one.name, "captions are empty", f"{one.name}: a caption is empty.")
    if any(map(is_halved, one.captions)):
        reason = f"{one.name}: a caption holds half of a character, a lone surrogate."
        return Fault(one.name, "captions hold halves of characters", reason)
    return None


def _samples(pictures: Sequence[_Picture]) -> Samples:
    paths = [one.path for one in pictures]
    texts = [tuple(dict.fromkeys(text.strip() for text in one.captions)) for one in pictures]
    return Samples(ImageFiles(paths), Written(texts), [printable(path) for path in paths])
