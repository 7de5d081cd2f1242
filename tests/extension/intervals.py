"""From outside of ftlab: short texts as inputs, intervals as targets, and all that is between them.

trusted_modules=[intervals] allows its names, and the options beside it name them; nothing of ftlab knows this file.
Shapes: n samples, b batch, v words of the vocabulary, d features.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from ftlab.backbones.base import Features
from ftlab.backbones.module import ModuleBackbone
from ftlab.backbones.weights import Loaded
from ftlab.batch import Batch, Fields
from ftlab.blocks import Axes, Bars, Block, Chart, Heading, Table
from ftlab.data.base import Samples, Source, Splits
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Inputs, Transform, Unread
from ftlab.problems import Fault
from ftlab.targets.base import Target
from ftlab.tasks.base import Task

# --- a kind of input


class Counts(Transform):
    """How often a text has each word of the vocabulary."""

    def __init__(self, vocabulary: Sequence[str], most: int | None) -> None:
        self.vocabulary, self.most = vocabulary, most

    def then(self, first: str) -> Fields:
        found = Counter(first.split())
        counts = torch.tensor([float(found[word]) for word in self.vocabulary])
        return {"counts": counts if self.most is None else counts.clamp(max=self.most)}


@dataclass(frozen=True)
class Words(InputPreprocessing):
    """The vocabulary is that of the training texts; other words are not seen, and said to be so."""

    kind: ClassVar[str] = "words"
    plural: ClassVar[str] = "texts"
    loading: ClassVar[tuple[str, ...]] = ("most",)

    vocabulary: tuple[str, ...]
    most: int | None = None  # times that a word is counted at most

    @classmethod
    def fitted(cls, texts: Inputs) -> "Words":
        return cls(tuple(sorted({word for place in range(len(texts)) for word in texts[place].split()})))

    def transform(self, augment: Augment | None = None) -> Transform:
        if augment and augment.random:
            raise UserError("augment: texts are not varied as images are; use augment=none")
        return Counts(self.vocabulary, self.most)

    def each(self, given: Any) -> Iterator[str]:
        yield from [given] if isinstance(given, str) else given

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        found = []
        for file in [inputs] if isinstance(inputs, str) else inputs:
            if not Path(file).is_file():
                raise UserError(f"input={file}: no such file; give one with a text on each line")
            for number, text in enumerate(Path(file).read_text(encoding="utf8").splitlines(), 1):
                found.append(Unread({"file": file, "line": number}, lambda text=text: text))
        return found, ()

    def shown(self, raw: str) -> dict[str, Any]:
        return {"cells": {"text": raw}}

    def builds(self) -> dict[str, Any]:
        return {"words": len(self.vocabulary)}

    def blank(self) -> Fields:
        return {"counts": torch.zeros(len(self.vocabulary))}

    def told(self, loading: Mapping[str, Any]) -> "Words":
        return replace(self, most=loading.get("most", self.most))

    def remarks(self, parts: Mapping[str, Inputs]) -> tuple[str, ...]:
        known, said = set(self.vocabulary), "have words that no training text has"
        new = {split: sum(not known.issuperset(text.split()) for text in texts) for split, texts in parts.items()}
        return tuple(f"{count} texts of {split} {said}" for split, count in new.items() if count)


# --- a kind of target


@dataclass(frozen=True)
class Ends:
    """Intervals, of a split or of a batch, which are no tensor."""

    low: Tensor  # (n,)
    high: Tensor  # (n,)

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, place: int) -> tuple[float, float]:
        return float(self.low[place]), float(self.high[place])

    def __bool__(self) -> bool:
        raise AssertionError("targets have no truth value")

    def select(self, places: Tensor) -> "Ends":
        return self.each(lambda ends: ends[places])

    def each(self, move: Callable[[Tensor], Tensor]) -> "Ends":
        return Ends(move(self.low), move(self.high))


@dataclass(frozen=True)
class Intervals(Target):
    """From a lower to an upper number; low <= high."""

    kind: ClassVar[str] = "intervals"
    plural: ClassVar[str] = "intervals"
    task: ClassVar[str] = "interval"

    middle: float = math.nan  # mean of the training intervals' middles
    spread: float = math.nan  # standard deviation of the same

    def misshapen(self, column: Any) -> str | None:
        return None if isinstance(column, Ends) else f"targets are a {type(column).__name__}; accepted: Ends."

    def faults(self, column: Ends) -> dict[int, str]:
        good = column.low.isfinite() & column.high.isfinite() & (column.low <= column.high)
        accepted = "accepted: finite numbers, the lower one first"
        return {i: f"{self.shown(column[i])}; {accepted}" for i in torch.where(~good)[0].tolist()}

    def fitted(self, train: Ends) -> "Intervals":
        middles = (train.low + train.high) / 2
        if middles.min() == middles.max():
            raise UserError("all training intervals have the same middle; there is nothing to learn.")
        return Intervals(float(middles.mean()), float(middles.std(correction=0)))

    def shown(self, one: Any) -> str:
        return f"{one[0]} to {one[1]}"

    def same(self, one: Any, other: Any) -> bool:
        return bool(one == other)

    def collated(self, several: Sequence[tuple[float, float]]) -> Ends:
        return Ends(*torch.tensor(several).unbind(1))

    def stored(self) -> dict[str, Any]:
        return {"middle": self.middle, "spread": self.spread}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Intervals":
        if not (math.isfinite(stored["middle"]) and 0 < stored["spread"] < math.inf):
            raise ValueError(f"targets: {dict(stored)} is no middle and spread")
        return cls(stored["middle"], stored["spread"])


# --- a task


def overlap(predicted: Mapping[str, Tensor], true: Ends) -> Tensor:
    """(b,) intersection over union of intervals; 1 for two that are the same point."""
    both = torch.minimum(predicted["high"], true.high) - torch.maximum(predicted["low"], true.low)
    either = torch.maximum(predicted["high"], true.high) - torch.minimum(predicted["low"], true.low)
    return torch.where(either > 0, both.clamp(min=0) / either, 1.0)


class Overlaps(Metric):
    """Of all samples (n,), or their mean."""

    higher_is_better, full_state_update = True, False
    plot_lower_bound, plot_upper_bound = 0.0, 1.0

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.add_state("found", [], dist_reduce_fx="cat")

    def update(self, predicted: Mapping[str, Tensor], true: Ends) -> None:
        self.found.append(overlap(predicted, true))

    def compute(self) -> Tensor:
        found = dim_zero_cat(self.found)
        return found.double().mean() if self.mean else found


class Interval(Task):
    """Learns both ends by the squares of their errors, in deviations of the training middles."""

    name, objective, takes = "interval", "iou", Intervals
    num_outputs = 2
    predict_settings: ClassVar[Mapping[str, Any]] = {"digits": 3}
    worst_title = "The intervals that are met least"

    def loss(self, outputs: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        predicted = self.predictions(outputs)
        true = batch.targets.each(lambda end: end.to(predicted["low"]))
        lower, upper = predicted["low"] - true.low, predicted["high"] - true.high
        total = (lower.square() + upper.square()).sum() / self.spec.target.spread**2
        return total, total.new_full((), len(batch))

    def predictions(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(b,) low and high in the user's units."""
        ends = {"low": outputs["middle"] - outputs["half"], "high": outputs["middle"] + outputs["half"]}
        return {name: end.float() * self.spec.target.spread + self.spec.target.middle for name, end in ends.items()}

    def compared(self, predictions: dict[str, Tensor], targets: Ends) -> tuple[dict[str, Tensor], Ends]:
        return predictions, targets.each(lambda end: end.to(predictions["low"]))

    def metrics(self, samples: int) -> MetricCollection:
        return MetricCollection({"iou": Overlaps(mean=True)})

    def diagnosis(self) -> Metric:
        return Overlaps(mean=False)

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        return {"overlaps": {"split": split, "counts": torch.histc(diagnosis.float(), 5, 0, 1).long().tolist()}}

    def blocks(self, report: Mapping[str, Any]) -> list[Block]:
        split, counts = report["overlaps"]["split"], report["overlaps"]["counts"]
        parts = [f"{place / 5:.1f} to {place / 5 + 0.2:.1f}" for place in range(5)]
        return [
            Heading(f"Overlaps, {split}", level=2),
            Table(("overlap", "samples"), list(zip(parts, counts, strict=True))),
            Chart([Axes([Bars(counts)], places=parts, y="samples")], "Samples by overlap"),
        ]

    def describe(self, predictions: Mapping[str, Tensor], digits: int) -> list[dict[str, Any]]:
        both = zip(predictions["low"].tolist(), predictions["high"].tolist(), strict=True)
        return [{"low": round(low, digits), "high": round(high, digits)} for low, high in both]

    def worst(self, predictions: Mapping[str, Tensor], targets: Ends) -> list[dict[str, Any]]:
        lost = 1 - overlap(predictions, targets)
        found = []
        for place in lost.argsort(descending=True).tolist():
            low, high, note = predictions["low"][place], predictions["high"][place], f"(overlap {1 - lost[place]:.2f})"
            texts = {
                "truth": self.spec.target.shown(targets[place]),
                "prediction": f"{low:.1f} to {high:.1f}",
                "note": note,
            }
            found.append({"position": place, "severity": float(lost[place]), **texts})
        return found


# --- a head, a backbone and a source


class MiddleAndHalf(Head):
    """Outputs by name; half of an interval is never below 0."""

    def __init__(self, num_features: int, num_outputs: int, default_pool: str) -> None:
        super().__init__()
        self.both = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        middle, half = self.both(features.vector).unbind(1)
        return {"middle": middle, "half": nn.functional.softplus(half)}


class WordsNetwork(ModuleBackbone):
    takes = "words"

    def __init__(self, words: int, width: int, meta: bool = False) -> None:
        layers = nn.Sequential(nn.Linear(words, width), nn.Linear(width, width))
        super().__init__(layers, {"first": ["0"], "second": ["1"]}, width)
        self.loaded = Loaded("random")


class Lines(Source):
    """A file with text TAB low TAB high on each line."""

    def __init__(self, file: str, split: Sequence[float]) -> None:
        self.file, self.split = file, split

    def survey(self, seed: int) -> Splits:
        read, faults = [], []
        for number, line in enumerate(Path(self.file).read_text(encoding="utf8").splitlines(), 1):
            name = f"{self.file}:{number}"
            try:
                text, low, high = line.split("\t")
                read.append((name, text, (float(low), float(high))))
            except ValueError as error:
                faults.append(Fault(name, "lines are no text and two numbers", f"{name}: {error}."))
        names, texts, ends = map(list, zip(*read, strict=True))
        whole = Samples(texts, Ends(*torch.tensor(ends, dtype=torch.float64).unbind(1)), names)
        train, val, test, said = complete(Intervals(), whole, None, None, self.split, seed)
        return Splits(train, val, test, Intervals(), said, faults=tuple(faults), kind="words", fit=Words.fitted)
