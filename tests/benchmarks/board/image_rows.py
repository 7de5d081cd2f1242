"""What an image set is measured with: ftlab untouched and by other strategies of its own, and recipes that people know.

The recipes see the same images through the same preprocessing, at their default size of batch, and take the network's
own weights; what validates chooses its best epoch by val.
"""

from tests.benchmarks.board.base import Row, ours

ROWS: dict[str, Row] = {
    "default": ours(),
    "ours: closed_form": ours("strategy=closed_form"),
    "ours: full": ours("strategy=full"),
}
