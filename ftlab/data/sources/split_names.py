"""What splits are called, in folders and in cells."""

from ftlab.errors import choices
from ftlab.files.csv_file import CsvFile
from ftlab.problems import Fault

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def split_of(file: CsvFile, line: int, text: str | None, column: str | None) -> str | Fault:
    """The split that a cell names; without a column all are of train, which `splits.complete` shares out."""
    said = (text or "").strip().lower() if column else "train"
    if said in SPLIT_NAMES:
        return SPLIT_NAMES[said]
    what, hint = f"split '{said}' is unknown", choices(said, SPLIT_NAMES)
    return file.fault("rows have an unknown split", what, line, column, hint)
