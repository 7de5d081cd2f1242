"""What a set of sequences is measured with: ftlab, and what people put beside it on all steps of a sequence.

Shapes: n sequences, t steps, c channels, k outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import ftlab
from ftlab.data.base import DataSpec, Samples
from ftlab.inputs.sequences.preprocessing import StepsTransform
from ftlab.sized import epochs
from ftlab.targets.classes import Classes
from tests.benchmarks.board.base import PLAINLY, Row, Set, ours, splits

BATCH, HIDDEN = 32, 64  # of the GRU


@dataclass(frozen=True)
class Part:
    """A split: standardised steps (n, t, c), whatever is shorter filled up with 0 in front, and the targets (n,)."""

    series: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """(n, t * c)."""
        return self.series.reshape(len(self.series), -1)


@dataclass(frozen=True)
class Learned:
    train: Part
    val: Part
    test: Part
    classes: bool
    own: int | None  # the channel that is the target's own past
    scale: tuple[float, float]  # mean and deviation of that channel
    epochs: int  # that the untouched command takes

    def judged(self, predictions: np.ndarray) -> float:
        return float((accuracy_score if self.classes else r2_score)(self.test.targets, predictions))


def learned(board: Set, seed: int) -> Learned:
    found = splits(board, seed)
    assert found.fit is not None
    assert found.val is not None
    assert found.test is not None
    steps = StepsTransform(found.fit(found.train.inputs))  # type: ignore[arg-type]  # of sequences
    longest = max(len(samples.inputs[i]) for samples in found.parts().values() for i in range(len(samples)))
    classes, names = board.metric == "accuracy", steps.own.names
    target = next((place for place, name in enumerate(names) if f"[{name}]" in " ".join(board.words)), None)
    channel = steps.own.channels[target or 0]
    parts = (part(samples, steps, longest) for samples in (found.train, found.val, found.test))
    return Learned(*parts, classes, target, (channel.mean, channel.std), planned(board, len(found.train)))


def planned(board: Set, samples: int) -> int:
    spec = DataSpec(board.name, Classes(()), {"train": samples})
    return epochs(ftlab.compose(board.words), spec)[0]


def part(samples: Samples, steps: StepsTransform, longest: int) -> Part:
    found = [steps(samples.inputs[i])["series"].numpy()[-longest:] for i in range(len(samples))]
    filled = np.stack([np.pad(one, ((longest - len(one), 0), (0, 0))) for one in found])
    targets = samples.targets
    assert isinstance(targets, torch.Tensor)
    return Part(filled, np.array([len(one) for one in found]), targets.numpy().reshape(len(found), -1)[:, 0])


def row(predict: Callable[[Learned, int], np.ndarray]) -> Row:
    def measured(board: Set, seed: int) -> float:
        data = learned(board, seed)
        return data.judged(predict(data, seed))

    return measured


def linear(data: Learned, seed: int) -> np.ndarray:
    """All steps one beside the other; the penalty is chosen by cross-validation."""
    model = LogisticRegressionCV(max_iter=3000, **PLAINLY) if data.classes else RidgeCV(np.logspace(-4, 6, 21))
    return make_pipeline(StandardScaler(), model).fit(data.train.flat, data.train.targets).predict(data.test.flat)


def trees(data: Learned, seed: int) -> np.ndarray:
    kind = HistGradientBoostingClassifier if data.classes else HistGradientBoostingRegressor
    return kind(random_state=seed).fit(data.train.flat, data.train.targets).predict(data.test.flat)


def trivial(data: Learned, seed: int) -> np.ndarray:
    """The last value of the target's own past; else the mean, or the most frequent class."""
    targets = data.train.targets
    if data.classes:
        return np.full(len(data.test.targets), np.bincount(targets).argmax())
    if data.own is None:
        return np.full(len(data.test.targets), targets.mean())
    mean, std = data.scale
    return data.test.series[:, -1, data.own] * std + mean


class Gru(nn.Module):
    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(channels, HIDDEN, batch_first=True), nn.Linear(HIDDEN, outputs)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.out(self.gru(series)[0][:, -1])


def gru(data: Learned, seed: int) -> np.ndarray:
    """Adam at 1e-3, as many epochs as the untouched command takes, and of them the one that is the best on val."""
    torch.manual_seed(seed)
    mean, std = (0, 1) if data.classes else (data.train.targets.mean(), data.train.targets.std())
    inputs, val_inputs = torch.tensor(data.train.series), torch.tensor(data.val.series)
    targets, val_targets = (
        torch.tensor(one.targets) if data.classes else torch.tensor((one.targets - mean) / std).float()
        for one in (data.train, data.val)
    )
    network = Gru(inputs.shape[2], int(targets.max()) + 1 if data.classes else 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(x), y) if data.classes else (network(x)[:, 0] - y).square().mean()

    best, found = np.inf, np.empty(0)
    for _ in range(data.epochs):
        for places in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss(inputs[places], targets[places]).backward()
            optimizer.step()
        with torch.no_grad():
            now = float(loss(val_inputs, val_targets))
            if now < best:
                outputs = network(torch.tensor(data.test.series)).numpy()
                best, found = now, outputs.argmax(1) if data.classes else outputs[:, 0] * std + mean
    return found


ROWS: dict[str, Row] = {
    "default": ours(),
    "ours: full": ours("strategy=full"),
    "ours: closed_form": ours("strategy=closed_form"),
    "ridge or logistic, all steps": row(linear),
    "GRU": row(gru),
    "boosted trees, all steps": row(trees),
    "last value or mean": row(trivial),
}
