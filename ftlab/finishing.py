"""What a run leaves once it has trained. With report.json it is finished: what fails afterwards is said, no more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ftlab.errors import UserError
from ftlab.files.writing import write_json
from ftlab.reports.terminal import print_summary

if TYPE_CHECKING:  # they import torch
    from ftlab.evaluation import Evaluation
    from ftlab.training.fit import Fitted

Report = dict[str, Any]


def leave(
    folder: Path,
    report: Report,
    fits: Sequence["Fitted"],
    evaluations: Mapping[str, "Evaluation"],
    own: Mapping[str, bool],
) -> None:
    """Bundle, page and, last, the report, which says that the run is finished. own: see Fitted.description.

    The page is of the first of the `fits`, the bundle holds the last.
    """
    from ftlab import bundle as bundles
    from ftlab.adapters.low_rank import merge
    from ftlab.reports.card import card
    from ftlab.reports.page import write_page

    first, last = fits[0], fits[-1]
    description = last.description(report, **own)
    merge(last.parts.model)  # what was judged computes the same, up to rounding
    told = partial(card, report, description.preprocessing.get("kind", ""))
    bundles.save(folder / "bundle", last.parts.model, description, last.parts.membership, told)
    write_page(report, first.blocks(report, evaluations), first.parts.task.scales, folder / "report.html")
    write_json(folder / "report.json", report)
    tell_trackers(first, report)


def finish(folder: Path, report: Report, told: Iterable[str], console: Console) -> None:
    """What a run that has its report does yet: show it, and what needs it."""
    from ftlab.reports.hparams import write_hparams

    print_summary(report, console)
    if (folder / "tensorboard").exists():
        with no_failure("tensorboard: the settings are not beside the figures", console, Exception):
            write_hparams(report, folder / "tensorboard")
    say(told, console)
    tidy_up(folder, report, console)


def tell_trackers(fitted: "Fitted", report: Report) -> None:
    """The end of the run, with all that it leaves."""
    from ftlab.training.tracking.callback import guarded

    for logger in guarded(fitted.finetuner.trainer):
        logger.leave(report)


def tidy_up(folder: Path, report: Report, console: Console) -> None:
    """Remove what checkpoint.keep of the finished run does not name."""
    from ftlab.training.saving.keeping import tidy

    with no_failure("checkpoints: not all was removed that may go", console, OSError, UserError):
        say(tidy(folder, report), console)


def nothing_left(folder: Path, mode: str) -> int:
    """Of a finished run nothing is left to do, but what it was killed before; an exit code."""
    from ftlab.training.distributed.processes import rank

    if not rank():
        print(f"{folder}: the run is finished, with these settings; nothing is left to do")
        if mode == "train":
            make_up(folder, Console())
    return 0


def make_up(folder: Path, console: Console) -> None:
    """Tidy a finished run that was killed after its report and before that was done."""
    from ftlab.disk import locked
    from ftlab.files.writing import read_json
    from ftlab.resume import REPORT
    from ftlab.training.saving.files import kept, superfluous

    report = read_json(folder / REPORT)
    if superfluous(folder, kept(report)):
        with no_failure("checkpoints: not all was removed that may go", console, OSError, UserError), locked(folder):
            tidy_up(folder, report, console)


@contextmanager
def no_failure(what: str, console: Console, *errors: type[Exception]) -> Iterator[None]:
    """An error of these kinds becomes a warning."""
    try:
        yield
    except errors as error:
        console.print(Text(f"warning: {what}: {error}", style="yellow"), soft_wrap=True)


def say(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
