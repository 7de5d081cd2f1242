"""All sets and rows of the board, by kind of input."""

from tests.benchmarks.board import image_rows, images, table_rows, tables
from tests.benchmarks.board.base import Row, Set

SETS: tuple[Set, ...] = (*images.SETS, *tables.SETS)
ROWS: dict[str, dict[str, Row]] = {"image": image_rows.ROWS, "table": table_rows.ROWS}
