"""`ftlab predict`: one JSON line an input, in the order given; a broken one costs its own line only."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ftlab.batch import Fields
from ftlab.errors import UserError
from ftlab.inputs.base import Unread
from ftlab.predictor import Predictor, batches


def write_lines(
    predictor: Predictor, inputs: Sequence[Unread], output: Path | None, batch_size: int, top_k: int, num_workers: int
) -> int:
    """Predict `inputs` and write a line each to `output` (None: standard output); how many could not be read."""
    failed = 0
    with sink(output) as stream, ThreadPoolExecutor(max(1, num_workers)) as pool:
        for chunk in batches(inputs, batch_size):
            ready = list(pool.map(lambda one: prepared(predictor, one), chunk))
            for line in lines(predictor, chunk, ready, top_k):
                failed += "error" in line
                print(json.dumps(line, ensure_ascii=False), file=stream, flush=True)
    where = f", written to {output}" if output else ""
    done, plural = len(inputs) - failed, predictor.preprocessing.plural
    print(f"{done} of {len(inputs)} {plural} predicted{where}", file=sys.stderr)
    return failed


def prepared(predictor: Predictor, one: Unread) -> Fields | UserError:
    """The input as the network takes it, or the reason why there is none."""
    try:
        return predictor.transform(one.read())
    except UserError as error:
        return error


def lines(
    predictor: Predictor, inputs: Sequence[Unread], ready: Sequence[Fields | UserError], top_k: int
) -> Iterator[dict[str, Any]]:
    good = [fields for fields in ready if not isinstance(fields, UserError)]
    records: Iterable[dict[str, Any]] = iter(
        predictor.records(predictor.preprocessing.stack(good), top_k) if good else []
    )
    for one, fields in zip(inputs, ready, strict=True):
        told = {"error": str(fields)} if isinstance(fields, UserError) else next(iter(records))
        yield {**one.name, **told}


@contextmanager
def sink(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with open(output, "x", encoding="utf8") as file:
        yield file
