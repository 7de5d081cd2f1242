"""Jobs of a multirun: one that fails is written down and the others go on; at the end a table of all.

Everything goes through files in the jobs' folders, since a launcher may run them in other processes or elsewhere.
"""

import json
import logging
from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path

from ftlab.errors import UserError

log = logging.getLogger("ftlab")


def run_job(run: Callable[[], float], folder: Path, overrides: Sequence[str]) -> float:
    """The objective of one job for the sweeper; nan where the job failed, with failed.json in its folder."""
    try:
        return run()
    except Exception as error:
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        (folder / "failed.json").write_text(json.dumps({"error": text, "overrides": list(overrides)}, indent=2))
        # A wrong input explains itself; anything else needs its traceback.
        log.error("job %s failed: %s", folder.name, text, exc_info=not isinstance(error, UserError))
        return nan


def finish(folder: Path) -> int:
    """Prints the table of all jobs, writes sweep.csv beside them; 1 where a job failed, else 0."""
    from rich.console import Console

    from ftlab.reports.sweep import collect, print_sweep, write_csv

    rows = collect(folder)
    print_sweep(rows, Console())
    write_csv(rows, folder / "sweep.csv")
    return int(any(row["error"] is not None for row in rows))
