"""`ftlab predict`: one JSON line an image, in the order given; a broken file costs its own line only."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from ftlab.data.images import load_image
from ftlab.errors import UserError
from ftlab.predictor import Predictor, batches


def write_lines(
    predictor: Predictor, paths: Sequence[Path], output: Path | None, batch_size: int, top_k: int, num_workers: int
) -> int:
    """Predict `paths` and write a line each to `output` (None: standard output); how many could not be read."""
    failed = 0
    with sink(output) as stream, ThreadPoolExecutor(max(1, num_workers)) as pool:
        for chunk in batches(paths, batch_size):
            inputs = list(pool.map(lambda path: prepared(predictor, path), chunk))
            for line in lines(predictor, chunk, inputs, top_k):
                failed += "error" in line
                print(json.dumps(line, ensure_ascii=False), file=stream, flush=True)
    where = f", written to {output}" if output else ""
    print(f"{len(paths) - failed} of {len(paths)} images predicted{where}", file=sys.stderr)
    return failed


def prepared(predictor: Predictor, path: Path) -> Tensor | UserError:
    """The file as the network's input (c, h, w), or the reason why there is none."""
    try:
        return predictor.transform(load_image(path))
    except UserError as error:
        return error


def lines(
    predictor: Predictor, paths: Sequence[Path], inputs: Sequence[Tensor | UserError], top_k: int
) -> Iterator[dict[str, Any]]:
    good = [x for x in inputs if isinstance(x, Tensor)]
    records: Iterable[dict[str, Any]] = iter(predictor.records(torch.stack(good), top_k) if good else [])
    for path, value in zip(paths, inputs, strict=True):
        name = str(path).encode("utf8", "backslashreplace").decode("utf8")  # a name may hold bytes that are no text
        yield (
            {"file": name, "error": str(value)}
            if isinstance(value, UserError)
            else {"file": name, **next(iter(records))}
        )


@contextmanager
def sink(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with open(output, "x", encoding="utf8") as file:
        yield file
