"""Biases alone, or norms alone: what moves, and what a run says of it."""

from pathlib import Path

import pytest

from ftlab.adapters.adapting import told
from ftlab.errors import UserError
from tests.training.tiny import Watch, moved, parts_of, prepared

STEPS = ["strategy=full", "trainer.max_epochs=1"]
HEAD = {"head.fc.weight", "head.fc.bias"}
STAGES = ("stem", "middle", "top")


def moved_under(folder: Path, *words: str) -> set[str]:
    watch = Watch()
    prepared(folder, *STEPS, *words).fit(watch)
    return moved(watch.epochs[0].before, watch.epochs[-1].after)


def test_of_norms_alone_weights_and_biases_move(tmp_path: Path) -> None:
    norms = {f"backbone.model.{stage}.norm.{name}" for stage in STAGES for name in ("weight", "bias")}
    assert moved_under(tmp_path, "parameters=norm") == norms | HEAD


def test_of_biases_alone_nothing_else_of_the_backbone_moves(tmp_path: Path) -> None:
    biases = {f"backbone.model.{stage}.norm.bias" for stage in STAGES}  # the convolutions have none
    assert moved_under(tmp_path, "parameters=bias") == biases | HEAD


def test_norms_train_beside_adapters_where_both_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="adapters are an extra")
    found = moved_under(tmp_path, "parameters=norm", "adapters=lora")
    assert {name.split(".")[3] for name in found - HEAD} == {"norm", "conv"}
    assert not any("base_layer" in name for name in found)


def test_the_plan_says_how_much_trains() -> None:
    parts, *_ = parts_of(*STEPS, "parameters=norm")
    count = 2 * (4 + 6 + 8) + 8 * 4 + 4
    total = 9 * (3 * 4 + 4 * 6 + 6 * 8) + count
    assert told(parts.model, parts.adapted) == [
        f"parameters=norm: at most {count} of {total} parameters train ({count / total:.2%})"
    ]


def test_all_parameters_beside_adapters_are_refused() -> None:
    pytest.importorskip("peft", reason="adapters are an extra")
    with pytest.raises(UserError, match=r"parameters=all: .*adapters=none"):
        parts_of(*STEPS, "parameters=all", "adapters=lora")


def test_what_is_not_there_cannot_train() -> None:
    from torch import nn

    from ftlab.backbones.module import ModuleBackbone
    from tests.training.tiny import PREPROCESSING

    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False))
    bare = ModuleBackbone(module, {"all": ["0"]}, num_features=8, preprocessing=PREPROCESSING)
    with pytest.raises(UserError, match=r"parameters=norm: the backbone .* has none of these"):
        parts_of(*STEPS, "parameters=norm", backbone=bare)
