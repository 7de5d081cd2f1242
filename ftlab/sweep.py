"""Jobs of a multirun: a line a job; one that fails is written down and the others go on; at the end a table of all.

Everything goes through files in the jobs' folders, since a launcher may run them in other processes or elsewhere.
What a job prints itself lies in its own ftlab.log.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import TextIOBase
from math import nan, prod
from pathlib import Path
from typing import IO

from ftlab.errors import StoppedError, UserError
from ftlab.exits import guard
from ftlab.files.writing import read_json, write_json
from ftlab.overrides import parse
from ftlab.starting import SWEEP
from ftlab.yaml_text import loaded

FOUND = "search.json"  # of a search: its trials
SEARCH = "hydra_plugins.ftlab.Search"  # Hydra's name of the sweeper of ftlab/search/


@dataclass(frozen=True)
class Job:
    """One of a multirun."""

    folder: Path
    sweep: Path  # the folder of the multirun
    number: int  # from 0, as Hydra counts
    overrides: Sequence[str]
    draws: bool  # whether no other job runs beside it, so that it may draw on the terminal

    def title(self) -> str:
        """job 3 of 8: seed=1 optimizer.lr=0.1"""
        constant, count = swept(self.sweep)
        of = f" of {count}" if count else ""
        own = [text for text in self.overrides if text.partition("=")[0] not in constant]
        return f"job {self.number + 1}{of}: {' '.join(own or self.overrides)}"


def swept(sweep: Path) -> tuple[set[str], int | None]:
    """The keys that were typed with one value, and the number of jobs; None where a sweeper decides that by itself."""
    if not (sweep / SWEEP).is_file():
        return set(), None
    whole = loaded((sweep / SWEEP).read_text(encoding="utf-8"))
    hydra, search = whole["hydra"], whole.get("sweep", {})
    typed, errors = parse(hydra["overrides"]["task"], True, frozenset())
    is_known = not errors and not hydra["sweeper"].get("params") and "BasicSweeper" in hydra["sweeper"]["_target_"]
    constant = {one.key for one in typed if not one.sweep}
    if hydra["sweeper"]["_target_"] == SEARCH:
        return constant, search["trials"] * search["seeds"]
    return constant, prod(len(one.values) for one in typed) if is_known else None


def progress(sweep: Path, count: int | None, now: float) -> str:
    """; best 0.9123 (job 2), about 40 s left. Of jobs that have ended; empty once all of `count` have.

    now: seconds since 1970. What is to come takes the time that each job has taken which has ended, however many run at
    once.
    """
    from ftlab.reports.jobs import has_ended, row_of
    from ftlab.reports.numbers import duration, figure
    from ftlab.reports.sweep import best

    ended = (path for path in sweep.iterdir() if path.name.isdecimal() and has_ended(path))
    rows = [row_of(path) for path in sorted(ended, key=lambda path: int(path.name))]
    if count is not None and len(rows) >= count:
        return ""
    first = best(rows) if len(rows) > 1 else None
    told = [f"best {figure(first['objective'])} (job {int(first['job']) + 1})"] if first else []
    if count is not None and rows:
        taken = now - (sweep / SWEEP).stat().st_mtime
        told.append(f"about {duration(taken / len(rows) * (count - len(rows)))} left")
    return f"; {', '.join(told)}" if told else ""


def run_job(run: Callable[[], float], job: Job) -> float:
    """The objective of one job for the sweeper; nan where the job failed, with failed.json in its folder."""
    from ftlab.reports.jobs import PRUNED, line, row_of

    title, value = job.title(), nan
    try:
        with quiet(title, job.draws):
            value = run()
    except StoppedError as why:
        write_json(job.folder / PRUNED, {"why": str(why), "overrides": list(job.overrides)})
    except Exception as error:
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        found = {"error": text, "overrides": list(job.overrides)}
        (job.folder / "failed.json").write_text(json.dumps(found, indent=2))
        if not isinstance(error, UserError):  # a wrong input explains itself; anything else needs its traceback
            traceback.print_exc()
    ahead = progress(job.sweep, swept(job.sweep)[1], time.time())
    print(f"{title}: {line(row_of(job.folder))}{ahead}", flush=True)
    return value


@contextmanager
def quiet(title: str, draws: bool) -> Iterator[None]:
    """What the body prints is not shown, but for warnings and errors; on a terminal its last line is, while it runs."""
    from rich.console import Console
    from rich.text import Text

    from ftlab.reports.numbers import shorten

    for handler in logging.getLogger().handlers:  # Hydra's, which it makes anew for each job; its file has all of it
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)
    console = Console(file=sys.stdout)
    width = console.width - 3  # the first places of a line are for what turns
    with ExitStack() as stack:
        # Before the stream below: while rich draws, what is printed elsewhere appears above.
        draws = draws and console.is_terminal
        status = stack.enter_context(console.status(Text(shorten(title, width)))) if draws else None

        def show(line: str) -> None:
            if status is not None:
                status.update(Text(shorten(f"{title}: {line}", width)))

        stack.enter_context(redirect_stdout(Last(console.file, show)))
        yield


class Last(TextIOBase):
    """A stream that shows only the last finished line."""

    def __init__(self, like: IO[str], show: Callable[[str], None]) -> None:
        self.like, self.show = like, show
        self.line = ""  # the one that has not ended

    @property
    def encoding(self) -> str | None:  # type: ignore[override]  # tables are drawn with what it has
        return getattr(self.like, "encoding", None)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *ended, self.line = (self.line + text).split("\n")
        for line in ended[-1:]:
            self.show(" ".join(line.split()))
        return len(text)


def summed_up(code: int, folder: Path) -> int:
    """The code of a multirun, whose jobs are shown in one table."""
    if code == 130 or not (folder / SWEEP).is_file():
        return code
    summary = guard(lambda: finish(folder))
    return code or summary


def finish(folder: Path) -> int:
    """Prints the table of all jobs, writes sweep.csv, sweep.html and experiment/best.yaml beside them; 1 where a job
    failed, else 0."""
    from rich.console import Console

    from ftlab.reports.best import write_best
    from ftlab.reports.jobs import collect
    from ftlab.reports.sweep import print_sweep, write_csv
    from ftlab.reports.sweep_page import write_sweep_page

    rows = collect(folder)
    print()
    print_sweep(rows, Console())
    write_csv(rows, folder / "sweep.csv")
    search = read_json(folder / FOUND) if (folder / FOUND).is_file() else {}
    again = write_best(rows, folder)
    write_sweep_page(rows, folder / "sweep.html", folder.name, search, again)
    print(f"\nsweep.html {folder / 'sweep.html'}")
    if again:
        print(f"the best again: {again}")
    return int(any(row["error"] is not None for row in rows))
