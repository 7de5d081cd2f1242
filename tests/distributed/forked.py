"""Processes of a run, forked from one that has imported all; importing it anew takes each of them 5 s."""

from collections.abc import Callable
from typing import Any

from torch import multiprocessing


def forked(run: Callable[..., None], *arguments: Any, processes: int) -> None:
    """run(rank, *arguments) in each process. Raises: ProcessRaisedException, with the error of the first that fails."""
    multiprocessing.set_forkserver_preload(["ftlab.training.fit", "ftlab.run"])
    multiprocessing.start_processes(run, arguments, nprocs=processes, start_method="forkserver")  # type: ignore[no-untyped-call]
