"""What answers: the network of a bundle, or the file that was exported of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing
from ftlab.serving.batching import Job
from ftlab.tasks.base import Task


class Engine(Protocol):
    """A Predictor, or a portable.running.Exported."""

    task: Task
    preprocessing: InputPreprocessing

    def prepared(self, raw: Any) -> Any: ...

    def answers(self, ready: Sequence[Any], batch_size: int, how: Any = None) -> Any: ...


def records(engine: Engine, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The record of each job: of one pass through the network, or of one for each way in which texts are written."""
    found: dict[int, dict[str, Any]] = {}
    ways: dict[str, list[int]] = {}
    for place, job in enumerate(jobs):
        ways.setdefault(repr(engine.task.answering(dict(job.settings))), []).append(place)
    for places in ways.values():
        found |= zip(places, _records(engine, [jobs[place] for place in places]), strict=True)
    return [found[place] for place in range(len(jobs))]


def _records(engine: Engine, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Of jobs that ask for answers of one kind."""
    how = engine.task.answering(dict(jobs[0].settings))
    answers = engine.answers([job.ready for job in jobs], len(jobs), how)
    asked = {repr(job.settings): dict(job.settings) for job in jobs}  # what several ask alike is said once
    said = {key: engine.task.describe(answers, **settings) for key, settings in asked.items()}
    return [said[repr(job.settings)][place] for place, job in enumerate(jobs)]


def is_finite(record: Any) -> bool:
    """Whether all numbers of a record can be written as JSON."""
    if isinstance(record, float):
        return math.isfinite(record)
    inside = record.values() if isinstance(record, Mapping) else record if isinstance(record, list | tuple) else ()
    return all(map(is_finite, inside))


def tried(engine: Engine) -> None:
    """One pass with an input in which there is nothing, so that the first request need not wait for what comes once.

    Raises: what the network raises.
    """
    if engine.task.spec.target.follows:
        return  # a frame belongs to an input of someone's
    ready = (engine.preprocessing.blank(), None)
    engine.task.describe(engine.answers([ready] * 2, 2), **engine.task.predict_settings)


def check_finite(record: dict[str, Any]) -> dict[str, Any]:
    """Raises: UserError for a record that holds what is no number."""
    if not is_finite(record):
        raise UserError("the network's answer is no number; the input is too far from all that it was trained on")
    return record
