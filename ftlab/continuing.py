"""The phases of a run that goes on, and what would keep them from being run: all of it before anything is written."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftlab.assembly import Parts
from ftlab.earlier import check_classes
from ftlab.resume import begun_with, check_epochs, epochs_from
from ftlab.tasks.monitor import monitor_of


def going_on(folder: Path, settings: Mapping[str, Any], parts: Parts) -> Parts:
    """The parts, with the phases of the run in the folder where it is to be resumed.

    Raises: UserError where its outputs mean other classes, no epoch is left to train, the phases are not those by
    which it was run, or weights are gone that they go back to.
    """
    from ftlab.training.phases.history import judged
    from ftlab.training.phases.prolonging import longer
    from ftlab.training.saving.checkpoints import check_best, newest, state

    if not settings["resume"]:
        return parts
    before, monitor = state(newest(folder / "checkpoints")), monitor_of(settings["monitor"], parts.task)
    check_classes(folder, before.get("classes"), parts.spec.target.classes, parts.preprocessing.pixels)
    values, source = judged(before["history"], monitor), epochs_from(settings["strategy"])
    phases = longer(before, parts.phases, values, source)
    if not settings["refit"] or begun_with(folder)["refit"]:  # else a finished run has something left to do
        check_epochs(folder, phases, values, source)
    check_best(folder, phases, values)
    return replace(parts, phases=phases)
