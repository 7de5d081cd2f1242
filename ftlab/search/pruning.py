"""A run as one trial of a search: it tells the study of each epoch, and ends where the study's pruner says so.

A pruner compares runs epoch by epoch. That is no comparison in the middle of a phase that a run's rivals have not come
to: what has just been thawed may cost something first. Such a phase is let come to its end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.files.writing import write_json
from ftlab.search.study import optuna, pruner_of, storage_of
from ftlab.strategies.base import Phase
from ftlab.watchers.base import Watcher

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TRIAL = "trial.json"  # in the folder of a job: which trial of which study it is
PHASE = "phase"  # what is noted of a trial: the number of the phase that it has come to, from 0
RIVALS = 4  # runs that must have come to a phase before one is pruned in the middle of it


class Pruning(Watcher):
    """The watcher of one trial."""

    def __init__(self, url: str, study: str, trial: int, pruner: str, objective: str, maximises: bool) -> None:
        """url, study: as SearchSettings says; objective: the figure of val that is compared."""
        self.storage, self.pruner = storage_of(url), pruner_of(pruner)
        self.study = optuna().load_study(study_name=study, storage=self.storage, pruner=self.pruner)
        own = self.storage.get_study_id_from_name(study)
        self.id = self.storage.get_trial_id_from_study_id_trial_number(own, trial)
        self.objective, self.maximises = objective, maximises

    def epoch(self, history: Sequence[dict[str, Any]], phases: Sequence[Phase]) -> str | None:
        at, trial = len(history) - 1, self.storage.get_trial(self.id)
        value = best([(one["val"] or {}).get(self.objective) for one in history], self.maximises)
        if value is None or trial.state.is_finished():  # finished: its run is prolonged after the search
            return None
        names = [one.name for one in phases]
        phase = names.index(history[-1]["phase"])
        self.storage.set_trial_user_attr(self.id, PHASE, phase)
        if at not in trial.intermediate_values:
            self.storage.set_trial_intermediate_value(self.id, at, value)
        is_over = sum(one["phase"] == names[phase] for one in history) >= phases[phase].epochs
        rivals = [reached(one) for one in self.study.get_trials(deepcopy=False) if one.number != trial.number]
        if not comparable(phase, is_over, rivals) or not self.pruner.prune(self.study, self.storage.get_trial(self.id)):
            return None
        return f"after epoch {at + 1} (phase {names[phase]}) its val {self.objective} of {value:.4f} is behind"


def best(values: Sequence[float | None], maximises: bool) -> float | None:
    """The best so far: it is what the bundle would hold."""
    known = [value for value in values if value is not None]
    return (max if maximises else min)(known, default=None)


def comparable(phase: int, is_over: bool, rivals: Sequence[float]) -> bool:
    """Whether a run may be pruned in its phase number `phase`, from 0.

    is_over: at the end of that phase; rivals: to which phase each came.
    """
    return phase == 0 or is_over or sum(came >= phase for came in rivals) >= RIVALS


def reached(trial: FrozenTrial) -> float:
    """The number of the phase that a trial came to; one that is complete has come to all that it will."""
    return float("inf") if trial.state.name == "COMPLETE" else float(trial.user_attrs.get(PHASE, -1))


def note(folder: Path, **what: Any) -> None:
    """Write down for the job in the folder which trial it is: the arguments of Pruning."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TRIAL, what)


def pruning_of(folder: Path) -> list[Watcher]:
    """The watcher of the job in the folder, where it is a trial that may be pruned."""
    file = folder / TRIAL
    return [Pruning(**json.loads(file.read_text(encoding="utf-8")))] if file.is_file() else []
