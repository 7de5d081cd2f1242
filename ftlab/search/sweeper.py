"""Hydra's sweeper of a search: it asks the study for values, launches the jobs of a trial, and tells what came of them.

Any launcher may run the jobs, also elsewhere: what came of them is read from their folders.
"""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from ftlab.config import plainly
from ftlab.disk import locked
from ftlab.errors import UserError, choices
from ftlab.files.writing import read_report, write_json
from ftlab.reports.jobs import has_ended, row_of
from ftlab.search import study as studies
from ftlab.search.own_sweeper import OwnSweeper
from ftlab.search.plugins import PLUGINS
from ftlab.search.pruning import note
from ftlab.search.space import space_of
from ftlab.search.study import COSTS, FOLDER, JOBS, OBJECTIVE, OVERRIDES, WHY, SearchSettings, bare, begun
from ftlab.starting import SWEEP, move_aside
from ftlab.sweep import FOUND

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


class Search(OwnSweeper):
    """Of conf/hydra/sweeper/optuna.yaml; what it goes by are the keys under `sweep:`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def run(self, arguments: list[str]) -> int:
        settings, seed = SearchSettings(**plainly(self.config.sweep)), self.config.seed
        self.folder = Path(self.config.hydra.sweep.dir)
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        words = [f"{key}={one}" for key, one in self.params.items()] + arguments
        space = space_of([one for one in parser.parse_overrides(words) if not one.key_or_group.startswith("sweep.")])
        directions, self.objective = self._directions(settings)
        studies.check(settings, space)
        self.space, self.settings, self.seed, self.directions = space, settings, seed, directions
        self.left_out = lru_cache(self._lacking)
        with locked(self.folder):
            study = studies.opened(settings, space, self.folder, directions)
            OmegaConf.save(self.config, self.folder / SWEEP)
            try:
                self._run(study)
            finally:
                write_json(self.folder / FOUND, studies.summary(study, directions))
        return 0

    def _directions(self, settings: SearchSettings) -> tuple[dict[str, str], tuple[str, bool]]:
        """minimize or maximize by objective; the task's own objective, and whether more of it is better.

        Raises: UserError for an objective that is none, and for data that cannot be read: no trial could.
        """
        from ftlab.assembly import task_of

        keys = [str(key) for key in self.config if key != "hydra"]
        task = task_of(plainly(OmegaConf.masked_copy(self.config, keys), resolve=True))
        better = {OBJECTIVE: task.mode, "loss": "min", **task.better, **dict.fromkeys(COSTS, "min")}
        for name in settings.objectives:
            if name not in better:
                raise UserError(f"sweep.objectives={name}: no such figure; {choices(name, better)}")
        words = {"min": "minimize", "max": "maximize"}
        return {name: words[better[name]] for name in settings.objectives}, (task.objective, task.mode == "max")

    def _run(self, study: "Study") -> None:
        deadline = time.monotonic() + (self.settings.timeout or float("inf"))
        for trial in self._interrupted(study):
            self._tell(study, trial.number, trial.user_attrs[OVERRIDES])
        most = self.settings.trials
        if self.settings.sampler == "grid":
            most = min(most, studies.size_of_grid(self.space))
        while len(begun(study)) < most and time.monotonic() < deadline:
            number, overrides = self._ask(study)
            self._tell(study, number, overrides)

    def _interrupted(self, study: "Study") -> list["FrozenTrial"]:
        """Trials of this folder that a kill has ended in the middle, to be run again with the same values.

        One that a kill has ended before its first job is nothing, and told so.
        """
        running = [one for one in study.get_trials(deepcopy=False) if not one.state.is_finished()]
        mine = [one for one in running if one.user_attrs.get(FOLDER) == str(self.folder.absolute())]
        for trial in mine:
            if OVERRIDES not in trial.user_attrs:
                study.tell(trial.number, state=studies.optuna().trial.TrialState.FAIL)
        return [trial for trial in mine if OVERRIDES in trial.user_attrs]

    def _ask(self, study: "Study") -> tuple[int, list[str]]:
        """A new trial's number, and what it types; options first, since which keys there are depends on them."""
        study.sampler = studies.sampler_of(self.settings.sampler, self.space, self.seed, len(study.get_trials(False)))
        study.pruner = studies.pruner_of(self.settings.pruner)  # Hyperband's rungs are the sampler's business too
        trial = study.ask()
        trial.set_user_attr(FOLDER, str(self.folder.absolute()))
        groups = self._groups()
        chosen = {key: text for key, text in self.space.fixed.items() if bare(key) in groups}
        chosen |= {
            key: studies.suggested(trial, key, one) for key, one in self.space.varied.items() if bare(key) in groups
        }
        lacking = self.left_out(tuple(f"{key}={text}" for key, text in chosen.items()))
        rest = {key: text for key, text in self.space.fixed.items() if key not in chosen and key not in lacking}
        rest |= {
            key: studies.suggested(trial, key, one)
            for key, one in self.space.varied.items()
            if key not in chosen and key not in lacking
        }
        overrides = [f"{key}={text}" for key, text in {**chosen, **rest}.items()]
        trial.set_user_attr(OVERRIDES, overrides)
        return trial.number, overrides

    def _groups(self) -> set[str]:
        from hydra.core.object_type import ObjectType

        return set(self.context.config_loader.get_group_options("", ObjectType.GROUP))

    def _lacking(self, options: tuple[str, ...]) -> frozenset[str]:
        """The keys that are not there with these options, and are with others; said once for each."""
        there = self.context.config_loader.load_sweep_config(self.config, list(options))
        keys = [key for key in {**self.space.fixed, **self.space.varied} if bare(key) not in self._groups()]
        lacking = frozenset(key for key in keys if not key.startswith("+") and not is_there(there, bare(key)))
        if lacking:
            names = ", ".join(sorted(map(bare, lacking)))
            print(f"{' '.join(options)}: has no {names}; left out there", flush=True)
        return lacking

    def _tell(self, study: "Study", number: int, overrides: Sequence[str]) -> None:
        """Run the jobs of a trial and tell the study what came of them."""
        state = studies.optuna().trial.TrialState
        study.sampler = studies.sampler_of("random", self.space, self.seed, number)  # Optuna's grid would end the study
        jobs = self._jobs(study, number)
        found: list[dict[str, Any]] = []
        for batch in [jobs[:1], jobs[1:]] if self.settings.pruner != "none" else [jobs]:
            if batch and not any(row["error"] is not None or row["pruned"] for row in found):
                self._launch(number, batch, jobs, overrides)
                found += [row_of(self.folder / str(job)) for job in batch]
        pruned = [row for row in found if row["pruned"]]
        errors = [row["error"] for row in found if row["error"] is not None]
        if pruned:
            self._note(study, number, WHY, pruned[0]["pruned"])
            study.tell(number, state=state.PRUNED)
            return
        values = None if errors else values_of(found, list(self.directions))
        if values is None:
            self._note(study, number, WHY, errors[0] if errors else "an objective is undefined")
            study.tell(number, state=state.FAIL)
            return
        study.tell(number, values)

    def _jobs(self, study: "Study", number: int) -> list[int]:
        """The numbers of the jobs of a trial, one a seed: those that it had before it was interrupted."""
        mine = [one for one in begun(study) if one.user_attrs.get(FOLDER) == str(self.folder.absolute())]
        taken = [job for one in mine for job in one.user_attrs.get(JOBS, ())]
        own = next(one for one in mine if one.number == number).user_attrs.get(JOBS)
        if own is None:
            first = max(taken, default=-1) + 1
            own = list(range(first, first + self.settings.seeds))
            self._note(study, number, JOBS, own)
        return list(own)

    def _note(self, study: "Study", number: int, key: str, value: Any) -> None:
        storage = studies.storage_of(self.settings.url(self.folder))
        own = storage.get_study_id_from_name(self.settings.study)
        storage.set_trial_user_attr(storage.get_trial_id_from_study_id_trial_number(own, number), key, value)

    def _launch(self, number: int, batch: Sequence[int], jobs: Sequence[int], overrides: Sequence[str]) -> None:
        """The jobs that have not ended; the first of a trial tells the pruner, as its rivals' first do."""
        for job in batch:
            folder = self.folder / str(job)
            if has_ended(folder):
                continue
            if folder.is_dir() and any(folder.iterdir()):
                move_aside(folder)
            if self.settings.pruner != "none" and job == jobs[0]:
                url, (objective, maximises) = self.settings.url(self.folder), self.objective
                note(folder, url=url, study=self.settings.study, trial=number, pruner=self.settings.pruner,
                     objective=objective, maximises=maximises)  # fmt: skip
            seed = [f"seed={self.seed + jobs.index(job)}"] if self.settings.seeds > 1 else []
            words = [text for text in overrides if not (seed and text.startswith("seed="))]
            self.launcher.launch([[*words, *seed]], initial_job_idx=job)


def is_there(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and name in node.keys()  # noqa: SIM118 - `in` is False for null and ???


def values_of(rows: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> list[float] | None:
    """The mean of each objective over the seeds of a trial; None where one of them is undefined."""
    found = [[value_of(row, name) for row in rows] for name in objectives]
    known = [[value for value in values if value is not None] for values in found]
    return None if known != found else [fmean(values) for values in known]


def value_of(row: Mapping[str, Any], name: str) -> float | None:
    """An objective of a job that has ended well."""
    if name == OBJECTIVE:
        return row["objective"]  # type: ignore[no-any-return]
    if name in COSTS:
        return row[COSTS[name]]  # type: ignore[no-any-return]
    return read_report(row["folder"])["metrics"].get(row["split"] or "", {}).get(name)  # type: ignore[no-any-return]


Search.__module__ = f"{PLUGINS}.ftlab"
