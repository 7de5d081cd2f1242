"""metrics.csv: one row an epoch, written anew from the whole history, so that a resumed run loses none."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.files.writing import write_text


def write_metrics(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Columns: epoch, phase, seconds, steps, then train/... and val/... in the order in which they first appear."""
    rows = [_row(record) for record in history]
    header = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _row(record: dict[str, Any]) -> dict[str, Any]:
    plain = {name: record[name] for name in ("epoch", "phase", "seconds", "steps")}
    figures = {f"{split}/{name}": value for split in ("train", "val") for name, value in record[split].items()}
    return plain | figures
