"""Networks whose frozen part is not what it seems: with a cache they train as without one, or are refused."""

from pathlib import Path

import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from ftlab.backbones.module import ModuleBackbone
from tests.training.test_caching import differences, own_cache  # noqa: F401  (a fixture)
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
