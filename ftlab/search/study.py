"""The trials of a search in an Optuna study: its storage, how values are chosen, when a run is pruned.

Optuna is asked and told; it never runs anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import UserError
from ftlab.search.space import Space, Span, Values

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

NEEDED = "hydra/sweeper=optuna: needs Optuna; pip install 'ftlab[search]'"
JOURNAL = "study.journal"  # in the sweep's folder
OBJECTIVE = "objective"  # the task's own
COSTS = {"seconds": "seconds", "memory": "peak_memory_bytes", "parameters": "trainable_parameters"}  # less is better
OVERRIDES, JOBS, FOLDER, SPACE, WHY = "overrides", "jobs", "folder", "space", "why"  # what is noted of trials and study


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The keys under `sweep:`."""

    trials: int  # of the whole study, with those of before
    timeout: float | None  # seconds
    seeds: int
    sampler: str
    pruner: str
    objectives: Sequence[str]
    storage: str | None
    study: str

    def url(self, folder: Path) -> str:
        """Where the trials are kept: a file for Optuna's journal, or what Optuna calls a storage."""
        return self.storage or str(folder / JOURNAL)


def optuna() -> Any:
    """The package. Raises: UserError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError(NEEDED) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line a job is printed anyway
    return optuna


def storage_of(url: str) -> BaseStorage:
    """A journal file where it is no URL. Raises: UserError where it cannot be opened."""
    storages = optuna().storages
    try:
        if "://" in url:
            return storages.get_storage(url)
        return storages.JournalStorage(storages.journal.JournalFileBackend(url))
    except Exception as error:  # of any data base's driver
        raise UserError(f"sweep.storage={url}: cannot be opened ({type(error).__name__}: {error})") from error


def sampler_of(name: str, space: Space, seed: int, number: int) -> BaseSampler:
    """How the values of trial `number` are chosen. Where it draws, it draws by the trial's number, so a search that
    was killed goes on as if nothing had happened.

    Raises: UserError for a space that it cannot search.
    """
    package = optuna()
    samplers, own = package.samplers, (seed * 100_003 + number) % 2**32
    if name == "grid":
        return samplers.GridSampler(_grid(space), seed=seed)
    if name == "random":
        return samplers.RandomSampler(seed=own)
    if name == "tpe":
        return samplers.TPESampler(seed=own)
    rest = samplers.RandomSampler(seed=own)  # of what these two cannot choose: options, and keys that some trials lack
    if name == "cmaes":
        try:
            import cmaes  # noqa: F401
        except ImportError as error:
            raise UserError("sweep.sampler=cmaes: needs cmaes; pip install 'ftlab[search]'") from error
        return samplers.CmaEsSampler(seed=seed, independent_sampler=rest, warn_independent_sampling=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
        return samplers.QMCSampler(seed=seed, scramble=True, independent_sampler=rest, warn_independent_sampling=False)


def _grid(space: Space) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, one in space.varied.items():
        values = list(one.texts) if isinstance(one, Values) else one.grid()
        if values is None:
            raise UserError(f"sweep.sampler=grid: {key}=interval(...) has no end of values; list them, or use range")
        found[bare(key)] = [int(v) if isinstance(one, Span) and one.whole else v for v in values]
    return found


def size_of_grid(space: Space) -> int:
    return prod(len(values) for values in _grid(space).values())


def pruner_of(name: str) -> BasePruner:
    pruners = optuna().pruners
    kinds = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "halving": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
    }
    return kinds[name]()


def check(settings: SearchSettings, space: Space) -> None:
    """Raises: UserError for settings that do not go together."""
    if not space.varied:
        raise UserError(
            "hydra/sweeper=optuna: nothing varies; give a key several values, a range(...) or an interval(...)"
        )
    if settings.pruner != "none" and len(settings.objectives) > 1:
        raise UserError("sweep.pruner: compares runs by one figure, and sweep.objectives names several; leave one out")
    if settings.seeds > 1 and "seed" in map(bare, space.varied):
        raise UserError("sweep.seeds: gives each trial its seeds; leave seed= out, or give it one value")
    if settings.sampler == "cmaes" and len(settings.objectives) > 1:
        raise UserError("sweep.sampler=cmaes: searches for one objective; use tpe, random, grid or qmc")
    sampler_of(settings.sampler, space, 0, 0)


def opened(settings: SearchSettings, space: Space, folder: Path, directions: Mapping[str, str]) -> Study:
    """The study of the settings, made anew or as it is.

    directions: minimize or maximize, by the name of each objective. Raises: UserError where the study that is there
    searches something else.
    """
    study = optuna().create_study(
        study_name=settings.study,
        storage=storage_of(settings.url(folder)),
        directions=list(directions.values()),
        load_if_exists=True,
    )
    wanted = {**space.described(), "sweep.objectives": str(list(directions)), "sweep.seeds": str(settings.seeds)}
    there = study.user_attrs.get(SPACE)
    if there is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
            study.set_metric_names(list(directions))  # for those who look at the storage by other means
        study.set_user_attr(SPACE, wanted)
    elif there != wanted:
        keys = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
        change = "; ".join(f"{key}: {there.get(key)} -> {wanted.get(key)}" for key in keys[:3])
        raise UserError(f"sweep.study={settings.study}: it searches something else ({change}); give it another name")
    return study


def suggested(trial: Trial, key: str, one: Values | Span) -> str:
    """The value of `key` in the trial, as one types it."""
    if isinstance(one, Values):
        return str(trial.suggest_categorical(bare(key), one.texts))
    if one.whole:
        return one.text(trial.suggest_int(bare(key), int(one.low), int(one.high), step=int(one.step or 1), log=one.log))
    return one.text(trial.suggest_float(bare(key), one.low, one.high, step=one.step, log=one.log))


def bare(key: str) -> str:
    return key.lstrip("+")


def begun(study: Study) -> list[FrozenTrial]:
    """The trials that came to their first job."""
    return [trial for trial in study.get_trials(deepcopy=False) if OVERRIDES in trial.user_attrs]


def summary(study: Study, directions: Mapping[str, str]) -> dict[str, Any]:
    """search.json: the trials, those of the front (of one objective the best), and how much each key matters."""
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.values]
    importance = _importance(study) if len(done) > 2 and len(directions) == 1 else {}
    return {
        "directions": dict(directions),
        "front": [trial.number for trial in study.best_trials] if done else [],
        "importance": importance,
        "evaluator": "PED-ANOVA",
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "values": trial.values,
                "params": trial.params,
                "jobs": trial.user_attrs.get(JOBS, []),
                "why": trial.user_attrs.get(WHY),
            }
            for trial in begun(study)
        ],
    }


def _importance(study: Study) -> dict[str, float]:
    """Watanabe and others, 2023: how the best trials differ in a key from all of them; empty where nothing varied."""
    package = optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
        warnings.simplefilter("error", UserWarning)
        try:
            evaluator = package.importance.PedAnovaImportanceEvaluator()
            return dict(package.importance.get_param_importances(study, evaluator=evaluator))
        except (ValueError, RuntimeError, UserWarning):  # too few trials, or too few that share a key, to tell
            return {}
