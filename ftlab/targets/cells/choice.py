"""What of a file's rows is to come out, as the keys of a data option say it."""

from collections.abc import Sequence
from typing import Literal

from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.targets.cells.base import Cells
from ftlab.targets.cells.classes import ClassCells, LabelCells
from ftlab.targets.cells.numbers import NumberCells


def cells_of(
    file: CsvFile,
    plural: str,
    label_column: str,
    target_columns: Sequence[str] | None,
    multilabel: bool,
    separator: str,
    missing: Literal["error", "drop"],
    missing_labels: Sequence[str] | None,
) -> Cells:
    """Numbers where there are `target_columns`, else labels or a class. plural: what the rows are of.

    Raises: UserError for both at once.
    """
    if target_columns and multilabel:
        raise UserError("data.multilabel=true and data.target_columns: targets are labels or numbers; set one.")
    if target_columns:
        return NumberCells(file, target_columns, missing)
    if multilabel:
        return LabelCells(file, label_column, separator, plural, missing_labels)
    return ClassCells(file, label_column, missing, missing_labels=missing_labels)
