"""`ftlab predict`: the inputs in the order given, each to a writer; a broken one costs its own place only."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from ftlab.batch import mapped, of_one
from ftlab.errors import UserError
from ftlab.inputs.base import Unread
from ftlab.predictor import Predictor, Prepared, batches
from ftlab.tasks.base import Task
from ftlab.writers import Writer

# The keys of conf/predict.yaml that are no task's.
MODE = ("bundle", "input", "output", "batch_size", "num_workers", "accelerator", "trusted_modules", "settings")


def settings_of(task: Task, config: Mapping[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
    """What `config` sets of the task's own settings; `shipped`: all keys with their defaults.

    Raises: UserError where it sets one that this task does not read.
    """
    given = {key: config[key] for key in shipped if key not in MODE}
    given = {key: value for key, value in given.items() if key in task.predict_settings or value != shipped[key]}
    return task.at_predict(given | config.get("settings", {}))


def write(
    predictor: Predictor,
    inputs: Sequence[Unread],
    writer: Writer,
    settings: Mapping[str, Any],
    batch_size: int,
    num_workers: int,
) -> int:
    """Predict `inputs`, told to `writer` one by one; how many could not be read. settings: of `settings_of`."""
    failed = 0
    with writer.writing(), ThreadPoolExecutor(max(1, num_workers)) as pool:
        for chunk in batches(inputs, batch_size):
            ready = list(pool.map(lambda one: prepared(predictor, one), chunk))
            failed += sum(isinstance(one, UserError) for one in ready)
            for one, (record, raw) in zip(chunk, predicted(predictor, ready, settings), strict=True):
                writer.add(one.name, record, raw)
    where = f", written to {writer.output}" if writer.output else ""
    done, plural = len(inputs) - failed, predictor.preprocessing.plural
    print(f"{done} of {len(inputs)} {plural} predicted{where}", file=sys.stderr)
    return failed


def prepared(predictor: Predictor, one: Unread) -> Prepared | UserError:
    """The input as the network takes it, or the reason why there is none."""
    try:
        return predictor.prepared(one.read())
    except UserError as error:
        return error


def predicted(
    predictor: Predictor, ready: Sequence[Prepared | UserError], settings: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Record and prediction of each input; of one that could not be read its error, and None."""
    good = [one for one in ready if not isinstance(one, UserError)]
    answers = mapped(predictor.predictions(*predictor.stacked(good)), Tensor.cpu) if good else None
    records = enumerate(predictor.task.describe(answers, **settings) if good else [])
    for one in ready:
        if isinstance(one, UserError):
            yield {"error": str(one)}, None
        else:
            place, record = next(records)
            yield record, of_one(answers, place)
