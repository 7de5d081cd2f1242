"""The settings of adapters. Imports no torch, so that a config is checked in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AdapterSettings:
    """A product of two thin matrices beside the weight of each layer that is adapted: W + alpha / rank * B A."""

    name: str
    rank: int  # columns of B and rows of A
    alpha: float
    dropout: float  # of what A is given, in training
    layers: tuple[str, ...] | None  # patterns of layers as `plan.detail=layers` names them; None: by kind
    decomposed: bool = False  # whether the length of each output's weights is a parameter of its own


def none() -> None:
    """No adapters: the network's own parameters train."""


def lora(rank: int, alpha: float, dropout: float, layers: str | Sequence[str]) -> AdapterSettings:
    """Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models"."""
    return AdapterSettings("lora", rank, alpha, dropout, _patterns(layers))


def dora(rank: int, alpha: float, dropout: float, layers: str | Sequence[str]) -> AdapterSettings:
    """Source: Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation"."""
    return AdapterSettings("dora", rank, alpha, dropout, _patterns(layers), decomposed=True)


def _patterns(layers: str | Sequence[str]) -> tuple[str, ...] | None:
    if isinstance(layers, str):
        return None if layers == "auto" else (layers,)
    return tuple(layers)
