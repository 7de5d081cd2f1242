"""`ftlab predict`: the inputs in the order given, each to a writer; a broken one costs its own place only."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ftlab.batch import of_one
from ftlab.errors import UserError
from ftlab.files.dialect import FOUND, Dialect
from ftlab.inputs.base import InputPreprocessing, Unread
from ftlab.predictor import Pieces, Predictor, Prepared, batches
from ftlab.problems import EXAMPLES
from ftlab.tasks.base import Task
from ftlab.writers import Writer

# The keys of conf/predict.yaml that are no task's.
MODE = (
    "bundle", "input", "output", "format", "batch_size", "num_workers", "accelerator", "trusted_modules", "settings",
    "delimiter", "decimal", "encoding", "question",
)  # fmt: skip


DIFFERENT = re.compile(r"'.*?'|\d+")  # what two texts of one reason differ in


@dataclass
class Unlearned:
    """Inputs are added as they are read."""

    preprocessing: InputPreprocessing
    inputs: int = 0
    what: Counter[str] = field(default_factory=Counter)

    def add(self, raw: Any) -> None:
        found = self.preprocessing.unlearned(raw)
        self.inputs += bool(found)
        self.what.update(found)

    def told(self) -> Iterator[str]:
        """A line, if there is anything to tell."""
        if self.inputs:
            shown = ", ".join(f"{what} ({count:,})" for what, count in self.what.most_common(EXAMPLES))
            more = f" and {len(self.what) - EXAMPLES:,} more" if len(self.what) > EXAMPLES else ""
            plural = self.preprocessing.plural
            yield f"{self.inputs:,} {plural} hold what training did not, or hardly: {shown}{more}"


@dataclass
class Refused:
    """Inputs that could not be read, by reason; reasons that differ in a number or in what is quoted are one."""

    plural: str
    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)  # of each reason, as a person reads it

    def add(self, name: Mapping[str, Any], error: UserError) -> None:
        text, file = str(error), str(name.get("file", ""))
        reason = DIFFERENT.sub("#", text.replace(file, "") if file else text)
        self.count += 1
        self.reasons[reason] += 1
        self.first.setdefault(reason, text if file and file in text else f"{text} (first: {_called(name)})")

    def told(self, inputs: int) -> Iterator[str]:
        """A line for each of the commonest reasons."""
        for reason, count in self.reasons.most_common(EXAMPLES):
            yield f"{count} of {inputs} {self.plural} not predicted: {self.first[reason]}"
        if rest := self.count - sum(count for _, count in self.reasons.most_common(EXAMPLES)):
            yield f"{rest} of {inputs} {self.plural} not predicted for other reasons, each told in its own place"


def _called(name: Mapping[str, Any]) -> str:
    """What an input is called: few.csv, row 2."""
    spans = {key: " to ".join(map(str, value)) if isinstance(value, list) else value for key, value in name.items()}
    return ", ".join(str(value) if key == "file" else f"{key} {value}" for key, value in spans.items())


def listed(
    preprocessing: InputPreprocessing, given: str | Sequence[str], how: Dialect
) -> tuple[list[Unread], tuple[str, ...]]:
    """What `input` names, and warnings. Raises: UserError for how rows are written, where no rows are read."""
    if how == FOUND:
        return preprocessing.listed(given)
    if not preprocessing.from_rows:
        plural = preprocessing.plural
        raise UserError(f"delimiter, decimal, encoding: are for files of rows; this network reads {plural}")
    return preprocessing.listed(given, how)  # type: ignore[call-arg]  # as from_rows says


def asking(inputs: Sequence[Unread], question: str | None, preprocessing: InputPreprocessing) -> list[Unread]:
    """The inputs as what a question is asked of. Raises: UserError for those of which none can be."""
    if question is None:
        return list(inputs)
    if type(preprocessing).asked is InputPreprocessing.asked:
        raise UserError(f"question={question}: is asked of texts; this network reads {preprocessing.plural}")
    return [replace(one, read=lambda one=one: preprocessing.asked(one.read(), question)) for one in inputs]  # type: ignore[misc]  # each its own


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
    plural, new = predictor.preprocessing.plural, Unlearned(predictor.preprocessing)
    refused = Refused(plural)
    with writer.writing(), ThreadPoolExecutor(max(1, num_workers)) as pool:
        for chunk in batches(inputs, batch_size):
            ready = list(pool.map(lambda one: prepared(predictor, one, new), chunk))
            for one, error in zip(chunk, ready, strict=True):
                if isinstance(error, UserError):
                    refused.add(one.name, error)
            told = predicted(predictor, ready, settings, batch_size)
            for one, (record, raw) in zip(chunk, told, strict=True):
                writer.read = one.read
                writer.add(one.name, record, raw)
    where = f", written to {writer.output}" if writer.output else ""
    for line in (*new.told(), *refused.told(len(inputs))):
        print(line, file=sys.stderr)
    print(f"{len(inputs) - refused.count} of {len(inputs)} {plural} predicted{where}", file=sys.stderr)
    return refused.count


def prepared(predictor: Predictor, one: Unread, new: Unlearned) -> Prepared | Pieces | UserError:
    """The input as the network takes it, or the reason why there is none."""
    try:
        raw = one.read()
        ready = predictor.prepared(raw)
        new.add(raw)
        return ready
    except UserError as error:
        return error


def predicted(
    predictor: Predictor, ready: Sequence[Prepared | Pieces | UserError], settings: Mapping[str, Any], batch_size: int
) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Record and prediction of each input; of one that could not be read its error, and None."""
    good = [one for one in ready if not isinstance(one, UserError)]
    how = predictor.task.answering(settings)
    answers = predictor.answers(good, batch_size, how) if good else None
    records = enumerate(predictor.task.describe(answers, **settings) if good else [])
    for one in ready:
        if isinstance(one, UserError):
            yield {"error": str(one)}, None
        else:
            place, record = next(records)
            yield record, of_one(answers, place)
