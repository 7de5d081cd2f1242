"""Data that Python gives: the place that it has in a config."""

from ftlab.data.base import Source, Splits
from ftlab.errors import UserError


class Own(Source):
    """Stands for what ftlab.train(config, data=...) was given; has nothing of its own to read."""

    def survey(self, seed: int) -> Splits:
        raise UserError("data=own: the data comes from Python: ftlab.train(config, data=ftlab.from_datasets(...))")
