"""A parameter that several layers share is counted, frozen, trained and saved once, with the first stage that holds it.

Shapes: b batch, d features, k outputs.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import ftlab
from ftlab.backbones.base import Features
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.bundle import read, restore, tensors
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.model import Model
from ftlab.optimizers import groups
from ftlab.pickles import FROZEN
from ftlab.planning import show_plan
from ftlab.run import train
from ftlab.training.distributed.ranks import checksums
from ftlab.training.saving.frozen_part import untrained
from tests.training.test_resume import assert_equal, last, without_times
from tests.training.tiny import BASE, PREPROCESSING, Run, Watch, moved, prepared, splits

WIDTH = 8


class Tied(Head):
    """(b, d) through a layer and back through the same weight, then to (b, k)."""

    def __init__(self, num_features: int, num_outputs: int, default_pool: str) -> None:
        super().__init__()
        self.mix = nn.Linear(num_features, num_features)
        self.back = nn.Linear(num_features, num_features)
        self.back.weight = self.mix.weight
        self.again = nn.Linear(num_features, num_features, bias=False)
        self.again.weight = self.mix.weight
        self.fc = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        assert features.vector is not None
        return self.fc(self.again(self.back(self.mix(features.vector).relu())))


HEAD = {"_target_": "tests.test_tied.Tied"}
OWN = {"head": HEAD, "trusted_modules": ["tests.test_tied"]}


def small_backbone(seed: int = 0) -> ModuleBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential()
        module.add_module("flat", nn.Flatten())
        module.add_module("embed", nn.Linear(3 * 8 * 8, WIDTH))
        module.add_module("act", nn.ReLU())
        module.add_module("body", nn.Linear(WIDTH, WIDTH))
    return ModuleBackbone(module, {"embed": ["embed"], "body": ["body"]}, WIDTH, PREPROCESSING)


def tied_run(folder: Path, where: str, *words: str) -> Run:
    """A run that has not begun; `where`: the weight is shared inside the head, or by backbone and head."""
    run = prepared(folder, *words, backbone=small_backbone(), **OWN)
    head, body = run.parts.model.head, run.parts.model.backbone.model.body
    if where == "across":
        for layer in (head.mix, head.back, head.again):
            layer.weight = body.weight
    return run


OWNER = {"inside": "head/mix", "across": "backbone/body"}
both = pytest.mark.parametrize("where", ["inside", "across"])


@both
def test_each_parameter_is_in_one_stage_one_layer_and_one_group(tmp_path: Path, where: str) -> None:
    model = tied_run(tmp_path, where).parts.model
    own = [name for name, _ in model.named_parameters()]  # torch names a shared one once
    assert [name for stage in model.stages for name in stage.parameters] == own
    assert [name for _, layer in model.layers() for name in layer.parameters] == own
    assert sum(model.sizes().values()) == sum(parameter.numel() for parameter in model.parameters())
    assert model.addresses == ("backbone/embed", "backbone/body", "head/mix", "head/back", "head/fc")  # again has none
    run = prepared(tmp_path / "groups", backbone=small_backbone(), **OWN)
    grouped = [id(p) for group in groups(run.parts.model, run.parts.optimizer) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in run.parts.model.parameters())


@both
def test_the_plan_says_what_is_tied_to_which_stage(tmp_path: Path, where: str) -> None:
    run = tied_run(tmp_path, where, "strategy=full")
    names = ["head/back.weight", "head/again.weight"]
    names = names if where == "inside" else ["head/mix.weight", *names]
    assert run.parts.model.tied == dict.fromkeys(names, OWNER[where])
    for detail in ("stages", "layers"):
        console = Console(file=io.StringIO(), width=80)
        show_plan(run.parts, console, detail)
        assert [line for line in console.file.getvalue().splitlines() if "tied" in line] == [
            f"{name}: tied to {OWNER[where]}" for name in names
        ]


@both
def test_a_shared_parameter_freezes_and_trains_with_its_stage(tmp_path: Path, where: str) -> None:
    others = "{name: others, epochs: 1, stages: {head/back: 1, head/fc: 1, rest: frozen}}"
    owner = f"{{name: owner, epochs: 1, stages: {{{OWNER[where]}: 1, rest: frozen}}}}"
    run = tied_run(tmp_path, where, "strategy=phases", f"strategy.inline=[{others},{owner}]")
    watch = Watch()
    run.fit(watch)
    names = {"head.mix.weight", "head.back.weight", "head.again.weight"}
    names |= {"backbone.model.body.weight"} if where == "across" else set()
    bias = "head.mix.bias" if where == "inside" else "backbone.model.body.bias"
    first, second = (moved(epoch.before, epoch.after) for epoch in watch.epochs)
    assert first == {"head.back.bias", "head.fc.weight", "head.fc.bias"}
    assert second == {*names, bias}


@both
def test_checkpoints_hold_a_shared_weight_once_and_are_whole(tmp_path: Path, where: str) -> None:
    run = tied_run(tmp_path, where, "strategy=head_only", "trainer.max_epochs=1").fit()
    assert_equal(dict(last(tmp_path)["state_dict"]), dict(run.finetuner.state_dict()))
    frozen = set(torch.load(tmp_path / "checkpoints" / FROZEN, weights_only=True)["state_dict"])
    model = run.parts.model
    assert frozen == {f"model.{name}" for name in untrained(model, [s for s in model.addresses if "head/" in s])}
    assert ("model.head.mix.weight" in frozen) == (where == "across")


@both
def test_a_bundle_gives_the_tie_back_and_refuses_two_weights_for_one(tmp_path: Path, where: str) -> None:
    run = tied_run(tmp_path / "run", where, "strategy=full", "trainer.max_epochs=1").fit()
    model, other = run.parts.model, tied_run(tmp_path / "other", where).parts.model
    with torch.no_grad():
        other.head.mix.weight.zero_()
    found = tensors(model)
    restore(other, found, tmp_path)
    assert other.head.back.weight is other.head.mix.weight
    assert_equal(dict(other.state_dict()), dict(model.state_dict()))
    with pytest.raises(UserError, match=r"ftlab_head\.back\.weight and .* are one tensor of the network"):
        restore(other, {**found, "ftlab_head.back.weight": found["ftlab_head.back.weight"] + 1}, tmp_path)


def test_a_tied_run_resumes_bit_for_bit_and_leaves_a_bundle(tmp_path: Path) -> None:
    words = [*BASE, "strategy=progressive", "trainer.max_epochs=3", "strategy.groups=2"]
    settings: dict[str, Any] = {**ftlab.config.plainly(ftlab.compose(words), resolve=True), **OWN}
    with pytest.MonkeyPatch.context() as patch:
        keep_the_first_epoch(patch, tmp_path)
        whole = train(settings, tmp_path / "whole", splits(), small_backbone())
    half = tmp_path / "half"
    went_on = train({**settings, "resume": str(half)}, None, splits(), small_backbone())
    assert without_times(went_on["history"]) == without_times(whole["history"])
    assert_equal(last(half)["state_dict"], last(tmp_path / "whole")["state_dict"])
    description, weights = read(half / "bundle", OWN["trusted_modules"])
    assert description.head == HEAD
    assert torch.equal(weights["ftlab_head.mix.weight"], weights["ftlab_head.again.weight"])


def keep_the_first_epoch(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep a copy of the run's folder as a kill after its first epoch would leave it."""
    from ftlab.training.saving.checkpoints import Checkpoints

    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        if epoch == 0:
            shutil.copytree(folder / "whole", folder / "half")

    patch.setattr(Checkpoints, "_save", save_and_keep)


def test_ranks_compare_a_shared_weight_once(tmp_path: Path) -> None:
    model = tied_run(tmp_path, "across").parts.model
    assert len(checksums(model)) == len(dict(model.named_parameters()))


def test_the_first_stage_in_their_order_holds_what_a_module_shares() -> None:
    module = nn.Sequential()
    module.add_module("embed", nn.Linear(4, 4, bias=False))
    module.add_module("out", nn.Linear(4, 4))
    module.out.weight = module.embed.weight
    head = Tied(4, 2, "average")
    for order in (("embed", "out"), ("out", "embed")):
        model = Model(ModuleBackbone(module, {name: [name] for name in order}, 4), head)
        found = {stage.name: set(stage.parameters) for stage in model.stages if stage.name.startswith("backbone")}
        weight, bias = "backbone.model.embed.weight", "backbone.model.out.bias"
        expected = {"backbone/embed": {weight}, "backbone/out": {bias}}
        assert found == (expected if order[0] == "embed" else {"backbone/out": {weight, bias}})
        assert model.tied[f"backbone/{order[1]}.weight"] == f"backbone/{order[0]}"
