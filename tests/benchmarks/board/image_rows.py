"""What an image set is measured with: ftlab untouched, other strategies of its own, and recipes that people know."""

from tests.benchmarks.board import image_recipes as recipes
from tests.benchmarks.board.base import Row, ours

ROWS: dict[str, Row] = {
    "default": ours(),
    "ours: closed_form": ours("strategy=closed_form"),
    "ours: full": ours("strategy=full"),
    "probe": recipes.probe,
    "full": recipes.full,
    "scratch": recipes.scratch,
    "fastai fine_tune": recipes.fast_ai,
    "lightning BackboneFinetuning": recipes.lightning,
}
