"""All sets and rows of the board, by kind of input."""

from tests.benchmarks.board import (
    image_rows,
    images,
    series,
    series_rows,
    table_rows,
    tables,
    text_rows,
    texts,
)
from tests.benchmarks.board.base import Row, Set

SETS: tuple[Set, ...] = (*images.SETS, *tables.SETS, *series.SETS, *texts.SETS)
ROWS: dict[str, dict[str, Row]] = {
    "image": image_rows.ROWS,
    "table": table_rows.ROWS,
    "sequence": series_rows.ROWS,
    "text": text_rows.ROWS,
}
