"""A tiny run that learns to write texts of unequal length, to be joined to what holds for every run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ftlab.assembly import Parts, assemble
from ftlab.backbones.text import TextBackbone
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.module import DataModule
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.training.fit import prepare
from tests.backbones.texts import BERT
from tests.training.tiny import BASE, Run, console
from tests.writing.networks import splits, tokenizer

HEAD = ("head.vocabulary=300", "head.width=16", "head.depth=2", "head.heads=2")


def parts_of(*words: str, drop: float = 0.0) -> tuple[Parts, RunSettings, Callable[..., DataModule]]:
    own = (
        "task=translation",
        "data=digits",
        "strategy=full",
        *(word for word in BASE if "label_smoothing" not in word),
        *HEAD,
    )
    settings: dict[str, Any] = plainly(compose([*own, f"head.dropout={drop}", *words]), resolve=True)
    torch.manual_seed(0)
    network = {"model_type": "bert", **BERT}
    backbone = TextBackbone("bert", pretrained=False, config=network, tokenizer=tokenizer(), drop_rate=drop)
    parts = assemble(settings, splits(40, 13), backbone)
    given = typed(settings)
    return parts, given, partial(loaders, parts, given)


def prepared(folder: Path, *words: str, **given: Any) -> Run:
    """A run that has not begun."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    parts, settings, make_data = parts_of(*words, **given)
    return Run(parts, *prepare(parts, settings, make_data, folder, console()))
