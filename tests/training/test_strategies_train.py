"""For each strategy a real run: what is frozen in a phase is bit-equal after it, and every trainable tensor moved in
the phase that thawed it and not before. conf/strategy is enumerated.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from ftlab.backbones.image import TimmBackbone
from ftlab.config import options
from ftlab.errors import UserError
from tests.training.tiny import STAGES, Epoch, Run, Watch, moved, parameters_of, prepared

AGAIN = [
    {"name": "head", "epochs": 1, "stages": {"head": 1.0, "rest": "frozen"}},
    {"name": "top", "epochs": 1, "stages": {"backbone/top": 1.0, "rest": "frozen"}, "batchnorm": "train"},
    {"name": "all", "epochs": 1, "stages": {"*": 1.0}},
    {"name": "frozen again", "epochs": 1, "stages": {"head": 1.0, "backbone/stem": 0.1, "rest": "frozen"}},
]
# Which stages train in which phase, and whether BatchNorm gathers statistics there.
Plan = list[tuple[str, set[str], bool]]
# With the lower rate where a closed-form head stands on features of next to no variance: its weights are large.
EXPECTED: dict[str, Plan] = {
    "full": [("full", set(STAGES), False)],
    "scratch": [("full", set(STAGES), True)],
    "head_only": [("head", {"head/fc"}, False)],
    "feature_extraction": [("head", {"head/hidden1", "head/fc"}, False)],
    "partial": [("partial", set(STAGES[1:]), False)],
    "progressive": [
        ("head", {"head/fc"}, False),
        ("top", {"backbone/top", "head/fc"}, False),
        ("stem", set(STAGES), False),
    ],
    "closed_form": [("head", {"head/fc"}, False)],
    "lp_ft strategy.groups=1 optimizer.lr=1e-4": [("head", {"head/fc"}, False), ("stem", set(STAGES), False)],
    "full strategy.head_init=closed_form optimizer.lr=1e-4": [
        ("head", {"head/fc"}, False),
        ("full", set(STAGES), False),
    ],
    "progressive strategy.head_init=closed_form optimizer.lr=1e-4": [
        ("head", {"head/fc"}, False),
        ("top", {"backbone/top", "head/fc"}, False),
        ("stem", set(STAGES), False),
    ],
    "phases": [
        ("head", {"head/fc"}, False),
        ("top", {"backbone/top"}, True),
        ("all", set(STAGES), False),
        ("frozen again", {"backbone/stem", "head/fc"}, False),
    ],
}


def buffers_of(run: Run, stages: set[str]) -> set[str]:
    names = {name for name, _ in run.parts.model.named_buffers()}
    return {n for n in names if any(n.startswith(f"backbone.model.{s.split('/')[1]}.") for s in stages)}


def phases_of(epochs: list[Epoch]) -> list[tuple[str, dict[str, Tensor], dict[str, Tensor]]]:
    """(name, state before, state after) of each phase."""
    names = list(dict.fromkeys(epoch.phase for epoch in epochs))
    own = [[epoch for epoch in epochs if epoch.phase == name] for name in names]
    return [(name, those[0].before, those[-1].after) for name, those in zip(names, own, strict=True)]


def test_every_option_has_its_expectation_here() -> None:
    assert {words.split()[0] for words in EXPECTED} == set(options("strategy"))


@pytest.mark.parametrize("option", sorted(EXPECTED))
def test_what_is_frozen_is_bit_equal_and_what_trains_moves_in_each_phase(tmp_path: Path, option: str) -> None:
    settings = {**options("strategy")["phases"], "inline": AGAIN}
    changed = {"strategy": settings} if option == "phases" else {}
    epochs = () if option == "phases" else ("trainer.max_epochs=4",)  # such phases have epochs of their own
    words = [*f"strategy={option}".split(), *epochs, "optimizer=sgd", "optimizer.weight_decay=0.1"]
    watch = Watch()
    run = prepared(tmp_path, *words, "optimizer.decay_norms_and_biases=true", **changed).fit(watch)
    seen = phases_of(watch.epochs)
    assert [name for name, _, _ in seen] == [name for name, _, _ in EXPECTED[option]]
    for (name, before, after), (_, trainable, statistics) in zip(seen, EXPECTED[option], strict=True):
        expected = parameters_of(run, list(trainable)) | (buffers_of(run, trainable) if statistics else set())
        assert moved(before, after) == expected, name


def test_a_phase_begins_with_what_the_one_before_ended_with_or_its_best(tmp_path: Path) -> None:
    """Between phases nothing moves but by putting back the best weights."""
    watch = Watch()
    run = prepared(tmp_path, "strategy=progressive", "trainer.max_epochs=9", "optimizer.lr=0.3").fit(watch)
    losses = [record["val"]["loss"] for record in run.finetuner.history]
    assert len(losses) == 9
    restored = 0
    for number in range(1, 9):
        before, now = watch.epochs[number - 1], watch.epochs[number]
        own = [e for e in range(number) if watch.epochs[e].phase == before.phase]
        best = min(own, key=lambda e: losses[e]) if now.phase != before.phase else number - 1
        restored += best != number - 1
        assert moved(watch.epochs[best].after, now.before) == set()
    assert restored  # the rate is so high that a last epoch is not always the best


class Cuts(Checkpoint):
    """Cuts the best weights of each phase short; as a Checkpoint it has its turn after ftlab's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        for file in self.folder.glob("phase-*-best.ckpt"):
            file.write_bytes(file.read_bytes()[:-2000])


def test_best_weights_that_cannot_be_put_back_end_the_run_with_their_file(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=progressive", "trainer.max_epochs=9", "optimizer.lr=0.3")
    with pytest.raises(UserError, match=r"phase-\d-\w+-best\.ckpt: truncated or not a checkpoint"):
        run.fit(Cuts(tmp_path / "checkpoints"))


def test_a_plateau_ends_a_phase_and_not_the_run(tmp_path: Path) -> None:
    """At a rate of next to nothing no epoch is better by min_delta; patience is each phase's own."""
    words = ["strategy=progressive", "strategy.patience=1", "strategy.min_delta=0.5", "trainer.max_epochs=30"]
    run = prepared(tmp_path, *words, "optimizer.lr=1e-9").fit()
    assert [record["phase"] for record in run.finetuner.history] == ["head"] * 2 + ["top"] * 2 + ["stem"] * 2


def test_early_stopping_ends_the_run_in_its_last_phase_only(tmp_path: Path) -> None:
    words = ["strategy=progressive", "early_stopping.patience=1", "early_stopping.min_delta=0.5"]
    run = prepared(tmp_path, *words, "trainer.max_epochs=12", "optimizer.lr=1e-9").fit()
    planned = [phase.epochs for phase in run.parts.phases]
    assert planned == [3, 4, 5]  # 9 spare epochs end at 1.8, 5.4 and 9: 2, 3 and 4 of them
    assert [r["phase"] for r in run.finetuner.history] == ["head"] * 3 + ["top"] * 4 + ["stem"] * 2


def test_a_network_of_timm_with_batchnorm_and_drop_path_keeps_to_it_too(tmp_path: Path) -> None:
    words = ["strategy=progressive", "strategy.batchnorm=train", "trainer.max_epochs=3"]
    torch.manual_seed(0)
    backbone = TimmBackbone("resnet10t", pretrained=False, drop_path_rate=0.3, image_size=32)
    watch = Watch()
    run = prepared(tmp_path, *words, "data.image_size=32", "data.batch_size=20", backbone=backbone).fit(watch)
    stages = list(run.parts.model.addresses)
    for number, epoch in enumerate(watch.epochs):
        trainable = run.parts.phases[number].trainable
        names = moved(epoch.before, epoch.after)
        parameters = {name for name, _ in run.parts.model.named_parameters()}
        assert names & parameters == parameters_of(run, list(trainable)), epoch.phase
        statistics = {n for n in names - parameters if n.endswith("running_mean")}
        assert bool(statistics) == (number > 0)
    assert set(run.parts.phases[-1].trainable) == set(stages)
