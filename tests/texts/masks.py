"""A tiny run that learns hidden tokens of texts of unequal length, to be joined to what holds for every run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ftlab.assembly import Parts, assemble
from ftlab.backbones.text import TextBackbone
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.data.module import DataModule
from ftlab.run import loaders
from ftlab.run_settings import RunSettings, typed
from ftlab.targets.masked_tokens import MaskedTokens, column
from ftlab.training.fit import prepare
from tests.backbones.texts import BERT, tokenizer
from tests.training.tiny import BASE, Run, console


def texts(count: int, seed: int) -> Samples:
    """Of 1 to 20 tokens, so that a mean of the means of batches is another number than the mean of all tokens."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 21, (count,), generator=draw).tolist()
    letters = [torch.randint(97, 105, (length,), generator=draw).tolist() for length in lengths]
    return Samples([" ".join(map(chr, one)) for one in letters], column(count))


def parts_of(*words: str, train: int = 40, drop: float = 0.0) -> tuple[Parts, RunSettings, Callable[..., DataModule]]:
    own = (
        "task=masked_language",
        "data=digits",
        "strategy=full",
        *(word for word in BASE if "label_smoothing" not in word),
    )
    settings: dict[str, Any] = plainly(compose([*own, *words]), resolve=True)
    torch.manual_seed(0)
    network = {"model_type": "bert", **BERT}
    backbone = TextBackbone("bert", pretrained=False, config=network, tokenizer=tokenizer(masks=True), drop_rate=drop)
    data = Splits(texts(train, 1), texts(13, 2), None, MaskedTokens(), kind="text")
    parts = assemble(settings, data, backbone)
    given = typed(settings)
    return parts, given, partial(loaders, parts, given)


def prepared(folder: Path, *words: str, **given: Any) -> Run:
    """A run that has not begun."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    parts, settings, make_data = parts_of(*words, **given)
    return Run(parts, *prepare(parts, settings, make_data, folder, console()))
