"""Where the figures of a run go beside its own report: one class a tracker, on Lightning's loggers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger

from ftlab.errors import UserError

MADE = "trackers.json"  # in the run's folder: the number of the run at each tracker, which goes on there


class Tracker(ABC):
    """Of conf/logger/; made before anything trains, and without its package, which takes seconds."""

    name: ClassVar[str]  # the option's
    local: ClassVar[bool] = False  # whether it is a file in the folder of the fit, so that a second fit has its own

    @abstractmethod
    def logger(self, folder: Path, number: str | None) -> Logger | None:
        """For the run in the folder; number: of the tracker, of a run that goes on. None: others write it."""

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a run, by dotted name, under names that the tracker takes."""
        return dict(settings)

    def number(self, logger: Any) -> str | None:
        """That of the run, which it goes on by."""
        return None

    def phase(self, logger: Any, name: str, place: int, epoch: int) -> None:  # noqa: B027  # most say it their own way
        """Phase number `place`, from 1, begins with `epoch`, from 0."""

    def leave(self, logger: Any, folder: Path, report: Mapping[str, Any]) -> None:  # noqa: B027
        """The run is finished: its page and bundle are in the folder."""


def needs(option: str, module: str, extra: str) -> None:
    """Raises: UserError where the package of a tracker is not installed."""
    if find_spec(module) is None:
        raise UserError(f"logger={option}: needs the package {module}; pip install 'ftlab[{extra}]'")


def final(report: Mapping[str, Any]) -> dict[str, float]:
    """Figures of the splits as trackers show them: test/accuracy."""
    return {
        f"final/{split}/{name}": value
        for split, figures in report["metrics"].items()
        for name, value in figures.items()
        if value is not None
    }
