"""ftlab auto: its words as those of a multirun whose sweeper chooses, and what it leaves in the end."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftlab.choosing.halving import seconds
from ftlab.choosing.journal import FILE
from ftlab.errors import UserError
from ftlab.files.writing import read_json
from ftlab.resume import is_auto

SWEEPER = "hydra_plugins.ftlab_auto.Choose"  # Hydra's name of choosing/sweeper.py's
OWN = ("time=", "auto.")
BEST = "best"  # in the folder: a link to the best run


def as_multirun(lines: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """The words of Hydra's application for train. Raises: UserError for what a choice cannot go on with."""
    kept = [line for line in lines if not line.lstrip("+").startswith((*OWN, "resume="))]
    resumed = [line for line in lines if line.startswith("resume=")]
    if resumed and not (is_auto(resumed) and any(line.startswith("hydra.sweep.dir=") for line in lines)):
        raise UserError(f"{resumed[0]}: goes on by resume=auto hydra.sweep.dir=DIR beside the line it was begun by")
    own = settings["auto"]
    names = ",".join(f'"{name}"' for name in own["backbones"])
    return [
        *kept,
        "hydra/sweeper=auto",
        f"hydra.sweeper.seconds={seconds(settings['time'])}",
        f"hydra.sweeper.samples={own['samples']}",
        f"hydra.sweeper.backbones=[{names}]",
    ]


def finish(folder: Path) -> int:
    """Prints what was tried; leaves auto.html, experiment/best.yaml and the link to the best run."""
    from rich.console import Console

    from ftlab.choosing.page import best_of, print_steps, write_auto
    from ftlab.reports.best import write_repeat
    from ftlab.reports.jobs import collect

    journal = read_json(folder / FILE) if (folder / FILE).is_file() else None
    if not journal or not any(step["job"] is not None for step in journal["steps"]):
        return 0  # the choice itself has said why
    rows = {row["job"]: row for row in collect(folder)}
    best = best_of(journal["steps"], rows)
    print()
    print_steps(journal, rows, best, Console())
    again = write_repeat(rows[str(best["job"])], folder) if best else None
    write_auto(folder / "auto.html", folder.name, journal, rows, best, again)
    print(f"\nauto.html  {folder / 'auto.html'}")
    if best:
        print(f"the best   {linked(folder, str(best['job']))}\nagain      {again}")
    return 0


def linked(folder: Path, job: str) -> Path:
    """The link to the best run; the run itself where no link can be made."""
    link = folder / BEST
    with suppress(OSError):
        if link.is_symlink():
            link.unlink()
        link.symlink_to(job, target_is_directory=True)
    return link if link.is_symlink() else folder / job
