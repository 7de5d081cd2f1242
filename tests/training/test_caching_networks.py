"""Networks whose frozen part is not what it seems: with a cache they train as without one, or are refused."""

from pathlib import Path

import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from ftlab.backbones.module import ModuleBackbone
from ftlab.errors import UserError
from tests.training.test_caching import ALL, HEAD, differences, own_cache  # noqa: F401  (a fixture)
from tests.training.tiny import PREPROCESSING, prepared

SECOND = "{name: second, epochs: 2, stages: {head/fc: 1, backbone/second: 1, rest: frozen}}"
WORDS = ("strategy=phases", f"strategy.inline=[{SECOND}]")


def backbone_of(kind: type[nn.Module]) -> ModuleBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ModuleBackbone(kind(), {"first": ["first"], "second": ["second"]}, 8, PREPROCESSING)


class Begins(nn.Module):
    """A stage that begins with what is not the same in training."""

    def __init__(self, beginning: nn.Module) -> None:
        super().__init__()
        self.beginning, self.conv = beginning, nn.Conv2d(8, 8, 3)

    def forward(self, maps: Tensor) -> Tensor:
        return self.conv(self.beginning(maps))


class Functional(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return functional.dropout(maps, 0.5, self.training)


class Network(nn.Module):
    """Two stages; the second begins with `beginning`."""

    def __init__(self, beginning: nn.Module) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), Begins(beginning)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.first(images))


class DropsFirst(Network):
    def __init__(self) -> None:
        super().__init__(nn.Dropout(0.5))


class DropsByFunction(Network):
    def __init__(self) -> None:
        super().__init__(Functional())


class DropsPathFirst(Network):
    def __init__(self) -> None:
        super().__init__(DropPath(0.5))


class NormFirst(Network):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(8, affine=False))


class RestsBetween(nn.Module):
    """The drop path belongs to the first stage, and is called behind the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop, self.second = nn.Conv2d(3, 8, 3), DropPath(0.5), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        return maps + self.drop(self.second(maps))


@pytest.mark.parametrize("kind", [DropsFirst, DropsByFunction, DropsPathFirst, NormFirst, RestsBetween])
def test_what_differs_in_training_is_not_kept(tmp_path: Path, kind: type[nn.Module]) -> None:
    """None of it has a parameter that would say that it trains."""
    words = [*WORDS, *(["strategy.batchnorm=train"] if kind is NormFirst else [])]
    run = prepared(tmp_path / "a", *words, "cache=memory", backbone=backbone_of(kind)).fit()
    assert [choice.train for choice in run.finetuner.supply.choices] == ["memory"]
    other = prepared(tmp_path / "b", *words, "cache=off", backbone=backbone_of(kind)).fit()
    assert differences(run, other) < 1e-5
    for a, b in zip(run.finetuner.history, other.finetuner.history, strict=True):
        assert a["val"] == pytest.approx(b["val"], abs=1e-5)


class OfTheBatch(nn.Module):
    """The frozen stage takes the statistics of each batch, also in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False))
        self.second = nn.Conv2d(8, 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.first(images))


def test_values_that_depend_on_the_rest_of_the_batch_are_not_kept(tmp_path: Path) -> None:
    run = prepared(tmp_path / "a", *WORDS, backbone=backbone_of(OfTheBatch)).fit()
    (choice,) = run.finetuner.supply.choices
    assert (choice.train, choice.val) == ("off", "off")
    assert "other samples of a batch" in choice.why
    with pytest.raises(UserError, match=r"cache=memory, phase 'second': .*other samples of a batch"):
        prepared(tmp_path / "b", *WORDS, "cache=memory", backbone=backbone_of(OfTheBatch)).fit()


class Flat(nn.Module):
    """No convolution, so that its frozen part is not copied; statistics that move while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.second = nn.Linear(8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.first(images))


def test_looking_at_a_phase_that_freezes_again_leaves_the_phase_before_as_it_is(tmp_path: Path) -> None:
    """All trains when the later phase is looked at: its dropout and its statistics must rest for that."""
    words = [WORDS[0], f"strategy.inline=[{ALL},{HEAD},{SECOND}]", "strategy.batchnorm=train"]
    run = prepared(tmp_path / "a", *words, "cache=memory", backbone=backbone_of(Flat)).fit()
    assert [choice.train for choice in run.finetuner.supply.choices] == ["off", "memory", "memory"]
    assert differences(run, prepared(tmp_path / "b", *words, "cache=off", backbone=backbone_of(Flat)).fit()) < 1e-5
