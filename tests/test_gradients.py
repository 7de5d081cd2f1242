"""A stage that no output uses cannot train: a phase that says it would is refused, and looking changes nothing."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftlab.assembly import assemble
from ftlab.backbones.module import ModuleBackbone
from ftlab.batch import Batch
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.errors import UserError
from ftlab.gradients import CannotTellError, unused
from ftlab.heads.linear import Linear
from ftlab.model import Model
from tests.training.tiny import PREPROCESSING, parts_of, tiny_backbone

WIDTH = 5
RANDOM = ["backbone.pretrained=false"]
BLANK = torch.zeros(1, dtype=torch.long)


class Forked(nn.Module):
    """Runs `first` and, if asked to, `second`; draws and counts, as networks do in training only."""

    def __init__(self, uses: str) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3 * 8 * 8, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.register_buffer("runs", torch.zeros(()))
        self.uses = uses

    def forward(self, images: Tensor) -> Tensor:
        self.runs.add_(1)
        hidden = self.norm(self.first(images.flatten(1) + torch.rand(1)))
        match self.uses:
            case "second":
                return self.second(hidden)
            case "hidden":
                return Own.apply(hidden, lambda given: self.second(given))
            case "nothing":
                return hidden.detach()
            case "fails":
                raise ValueError("not today")
        return hidden


class Own(torch.autograd.Function):
    """A function that hides what it computes, as reentrant checkpointing does."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, run: Any) -> Tensor:  # type: ignore[override]
        with torch.no_grad():
            return run(given)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return gradient, None


def forked(uses: str) -> ModuleBackbone:
    return ModuleBackbone(Forked(uses), {"first": ["first", "norm"], "second": ["second"]}, WIDTH, PREPROCESSING)


def model_of(uses: str) -> Model:
    return Model(forked(uses), Linear(WIDTH, 2, "average"))


def batch() -> Batch:
    return Batch(BLANK, BLANK, {"images": torch.rand(1, 3, 8, 8)})


def test_a_stage_that_no_output_uses_is_found() -> None:
    assert unused(model_of("second"), batch()) == frozenset()
    assert unused(model_of("first"), batch()) == {"backbone/second"}
    assert unused(model_of("nothing"), batch()) == {"backbone/first", "backbone/second"}


def test_looking_changes_neither_weights_buffers_modes_gradients_nor_random_numbers() -> None:
    model = model_of("second").train()
    model.head.eval()
    model.head.fc.bias.requires_grad_(False)
    model.head.fc.weight.grad = torch.ones_like(model.head.fc.weight)
    given, before = batch(), {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    asked = [parameter.requires_grad for parameter in model.parameters()]
    generator = torch.get_rng_state()
    unused(model, given)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert [parameter.grad is None for parameter in model.parameters()] == [True] * 6 + [False, True]
    assert torch.equal(model.head.fc.weight.grad, torch.ones_like(model.head.fc.weight))


@pytest.mark.parametrize(("uses", "said"), [("hidden", "OwnBackward.*does not show"), ("fails", "not today")])
def test_what_cannot_be_told_is_told_as_that(uses: str, said: str) -> None:
    with pytest.raises(CannotTellError, match=said):
        unused(model_of(uses), batch())
    parts, _, _ = parts_of("strategy=full", backbone=forked(uses))
    assert [text for text in parts.spec.warnings if "not known whether the outputs use every stage" in text]


def test_a_phase_that_trains_an_unused_stage_is_refused() -> None:
    with pytest.raises(UserError, match=r"phase 'full': trains backbone/second, but no output.*strategy=phases"):
        parts_of("strategy=full", backbone=forked("first"))
    frozen = "strategy.inline=[{name: a, epochs: 1, stages: {backbone/second: frozen, rest: 1}}]"
    parts_of("strategy=phases", frozen, backbone=forked("first"))
    parts_of("strategy=head_only", backbone=forked("first"))


def test_a_phase_in_closed_form_needs_no_gradient() -> None:
    parts, _, _ = parts_of("strategy=closed_form", backbone=forked("fails"))
    assert not [text for text in parts.spec.warnings if "not known" in text]


def test_shipped_networks_use_all_their_stages_with_and_without_weights() -> None:
    assert not unused(Model(tiny_backbone(), Linear(8, 4, "average")), batch())
    for words in (
        [*RANDOM, "backbone.name=resnet10t"],
        [*RANDOM, "backbone.name=vit_tiny_patch16_224", "data.image_size=32", "backbone.checkpointing=true"],
        ["data=diabetes", "task=regression"],
    ):
        settings = plainly(compose([*words, "strategy=full"]), resolve=True)
        for describe_only in (True, False):
            warnings = assemble(settings, describe_only=describe_only).spec.warnings
            assert not [text for text in warnings if "not known" in text]
