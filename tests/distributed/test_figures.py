"""Figures of two processes (gloo, CPU), each with a part of the split, are those of one with all of it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import distributed

from ftlab.batch import Batch
from ftlab.data.base import DataSpec, Splits
from ftlab.data.tiles import tiled
from ftlab.evaluation import Evaluation
from ftlab.frames import Frame
from ftlab.inputs.images.tiles import windows
from ftlab.targets.boxes import Boxes
from ftlab.targets.classes import Classes
from ftlab.targets.ragged import Parts, Ragged
from ftlab.tasks.classification import Classification
from ftlab.tasks.detection import Detection
from tests.distributed.forked import forked
from tests.test_detection_run import squares

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


def in_tiles(rank: int, world: int) -> dict[str, float | None]:
    """Figures of two images in tiles, of which each process has every second one."""
    samples = squares([3, 4], 0, 96)
    kind = Boxes(("dark", "light"), (1, 1))
    whole = tiled(Splits(samples, samples, None, kind), partial(windows, tile=64, overlap=0.3)).val
    assert whole is not None
    assert whole.tiled is not None
    task = Detection(DataSpec("test", kind, {"train": 2}))
    found = Evaluation(task, len(whole), 1, world > 1, whole.targets, whole.tiled)
    mine = torch.arange(len(whole))[rank::world]
    frames = [Frame.of(((1, 0, 0), (0, 1, 0)), (64, 64), (64, 64)) for _ in mine]
    frame = Frame.stacked(frames)
    batch = Batch(kind.gathered(whole.targets, mine), mine, frame=frame)
    draw = torch.Generator().manual_seed(0)
    off = [torch.randn(9, 4, generator=draw) for _ in range(len(whole))]
    own = [whole.targets[index] for index in mine.tolist()]
    boxes = [one["boxes"] + off[i][: len(one["boxes"])] for i, one in zip(mine.tolist(), own, strict=True)]
    rows = zip(boxes, own, strict=True)
    answers = [{"boxes": b, "scores": b[:, 0].abs() / 128 + 0.2, "labels": one["labels"]} for b, one in rows]
    found.update(Said(answers), batch)
    found.join()
    figures, _ = found.figures()
    del figures["loss"]  # as above
    assert found.diagnosis is not None
    figures["images"] = float(len(found.diagnosis.compute()[1]))
    return figures


@dataclass
class Said:
    """Outputs that say what they were told."""

    answers: list[Parts]

    def found(self, threshold: float, overlap: float, most: int) -> list[Parts]:
        return self.answers

    def losses(self, targets: Ragged) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(()), torch.ones(())


def process(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(evaluated(HALVES[rank], shared=True), folder / f"{rank}.pt")
    torch.save(in_tiles(rank, 2), folder / f"tiles-{rank}.pt")
    distributed.destroy_process_group()


def test_a_class_is_there_if_one_process_has_it_and_images_are_whole_whoever_has_their_tiles(tmp_path: Path) -> None:
    forked(process, tmp_path, processes=2)
    figures, warned = evaluated(slice(0, 12), shared=False)
    assert warned[0].startswith("auroc and recall are means over 3 of 4 classes: no sample of 'd'; ")
    assert None not in figures.values()
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt") == (figures, warned)
    first, _ = evaluated(HALVES[0], shared=False)
    assert first["recall"] != figures["recall"]  # the parts alone say something else
    alone = in_tiles(0, 1)
    assert alone["images"] == 2
    assert alone["map_50"] is not None
    assert alone["map_50"] > 0.5
    for rank in (0, 1):
        assert torch.load(tmp_path / f"tiles-{rank}.pt") == alone
