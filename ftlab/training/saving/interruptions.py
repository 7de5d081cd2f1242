"""Ctrl-C and SIGTERM: the run goes on to the next place where it can be saved whole, saves and ends."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, Trainer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptions(Callback):
    """Notes a signal; `Checkpoints` asks after each step. A second signal ends the run at once, unsaved."""

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[signal.Signals, Any] = {}

    def on_train_start(self, *_: Any) -> None:
        """Here Lightning has set its own handlers already, which would end the run wherever it is."""
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self.before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def on_train_end(self, *_: Any) -> None:
        self._put_back()

    def on_exception(self, trainer: Trainer, *_: Any) -> None:
        self._put_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("ftlab: saving a checkpoint at the next step; once more ends at once", file=sys.stderr, flush=True)

    def _put_back(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
