"""Figures of two processes (gloo, CPU), each with a part of the split, are those of one with all of it."""

from pathlib import Path

import torch
from torch import distributed

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.evaluation import Evaluation
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import Classification
from tests.distributed.forked import forked

TARGETS = torch.tensor([0, 1, 0, 1, 0, 1, 2, 2, 0, 1, 2, 0])  # class 2 is with the second process alone, 3 with none
HALVES = (slice(0, 6), slice(6, 12))


def evaluated(part: slice, shared: bool) -> tuple[dict[str, float | None], list[str]]:
    logits = torch.randn(len(TARGETS), 4, generator=torch.Generator().manual_seed(0))
    found = Evaluation(
        Classification(DataSpec("test", Classes(tuple("abcd"), (1,) * 4), {"train": 4})), len(TARGETS), 1, shared
    )
    found.update(logits[part], Batch(targets=TARGETS[part], index=torch.arange(len(TARGETS))[part]))
    figures, warned = found.figures()
    del figures["loss"]  # the run adds those of all processes itself
    return figures, warned


def process(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(evaluated(HALVES[rank], shared=True), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_a_class_is_there_if_one_process_has_it(tmp_path: Path) -> None:
    forked(process, tmp_path, processes=2)
    figures, warned = evaluated(slice(0, 12), shared=False)
    assert warned[0].startswith("auroc and recall are means over 3 of 4 classes: no sample of 'd'; ")
    assert None not in figures.values()
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt") == (figures, warned)
    first, _ = evaluated(HALVES[0], shared=False)
    assert first["recall"] != figures["recall"]  # the parts alone say something else
