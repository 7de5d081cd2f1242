"""A tracker that may fail: a visible warning, once, and never the end of a run."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.text import Text

from ftlab.files.writing import read_json, write_json
from ftlab.training.tracking.base import MADE, Tracker


class Guarded(Logger):
    """Lightning's logger of a tracker; after its first error it is told nothing more."""

    def __init__(self, tracker: Tracker, folder: Path, console: Console) -> None:
        super().__init__()
        self.tracker, self.folder, self.console = tracker, folder, console
        self.inner: Logger | None = None
        self.failed: str | None = None

    def open(self, settings: Mapping[str, Any], goes_on: bool) -> None:
        """Before the first step. settings: of the run, by dotted name."""
        kept = self._kept() if goes_on else None
        self.inner = self._try(lambda: self.tracker.logger(self.folder, kept))
        if not self.tracker.local and kept is None:  # MLflow refuses other values of a setting that it has
            self._told(lambda logger: logger.log_hyperparams(self.tracker.settings(settings)))
        if number := self._told(self.tracker.number):
            self._keep(number)

    def phase(self, name: str, place: int, epoch: int) -> None:
        self._told(lambda logger: self.tracker.phase(logger, name, place, epoch))

    def leave(self, report: Mapping[str, Any]) -> None:
        self._told(lambda logger: self.tracker.leave(logger, self.folder, report))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._told(lambda logger: logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Lightning's own are those of the module, which has none; see `open`."""

    def save(self) -> None:
        self._told(lambda logger: logger.save())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._told(lambda logger: logger.finalize(status))

    @property
    def name(self) -> str:
        return self.tracker.name

    @property
    def version(self) -> str:
        return ""

    @property
    def log_dir(self) -> str:
        return str(self.folder)

    def _told(self, tell: Callable[[Any], Any]) -> Any:
        return None if self.inner is None or self.failed else self._try(lambda: tell(self.inner))

    def _try(self, act: Callable[[], Any]) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # between a tracker and what it stands on
                return act()
        except Exception as error:  # of any tracker's client: network, disk, service
            reason = " ".join(str(error).split())[:300]
            self.failed = f"logger={self.name}: {type(error).__name__}: {reason}; it is told nothing more of this run"
            self.console.print(Text(f"warning: {self.failed}", style="yellow"), soft_wrap=True)
            return None

    def _kept(self) -> str | None:
        file = self.folder / MADE
        return read_json(file).get(self.name) if file.is_file() else None

    def _keep(self, number: str) -> None:
        file = self.folder / MADE
        write_json(file, {**(read_json(file) if file.is_file() else {}), self.name: number})
