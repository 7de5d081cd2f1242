"""One number a sample, or several, each with a name.

Shapes: b batch, n samples, t targets, m numbers that are predicted for each target, k = t * m outputs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError, choices
from ftlab.targets.numbers import Numbers
from ftlab.tasks import conformal
from ftlab.tasks.base import Better, Task, Trivial
from ftlab.tasks.residuals import residuals

if TYPE_CHECKING:
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.convex.standardised import Layer
    from ftlab.tasks.sums import Sums, Units

LOSSES = ("mse", "mae", "huber", "smooth_l1", "log_cosh", "quantile", "gaussian_nll")
METRICS = ("r2", "rmse", "mae", "mse", "mape")
RESERVED = ("file", "row", "error", "std", "quantiles")  # keys that a record of a prediction has beside its targets
LEAST_VARIANCE = 1e-6  # of a standardised target: without it a target that is known for sure has no finite loss


class Regression(Task):
    """Learns targets that are standardised by mean and deviation of the train split; figures are in their own units.

    A prediction is (value,), or the quantiles, or value and standard deviation. Losses are means over the targets, in
    units of the standard deviation. Sources: Koenker and Bassett 1978, "Regression Quantiles"; Nix and Weigend 1994,
    "Estimating the Mean and Variance of the Target Probability Distribution".
    """

    name = "regression"
    takes = Numbers
    objective = "r2"
    worst_title = "The largest errors"
    mean: Tensor  # (t,) of the training targets
    std: Tensor  # (t,)

    def __init__(
        self,
        spec: DataSpec,
        loss: str = "mse",
        delta: float = 1.0,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        interval: float | None = None,
        radius: Sequence[float] = (),
    ) -> None:
        """radius: of each target's interval, in the units of the data; of a bundle, where `interval` has found some.

        Raises: UserError for data without numbers, an unknown loss, quantiles that do not rise or lack 0.5, and a
        target that is called as the key of its interval.
        """
        super().__init__(spec)
        target = cast(Numbers, spec.target)
        self.names = target.names
        _check(self.names, loss, quantiles)
        self.interval, self.radius = interval, tuple(radius)
        if interval is not None:
            conformal.check_names(self.names)
        self.kind, self.delta = loss, delta
        self.levels = tuple(quantiles) if loss == "quantile" else ()
        self.main = self.levels.index(0.5) if self.levels else 0  # the one of the m numbers that metrics judge
        self.num_outputs = len(self.names) * (len(self.levels) or (2 if loss == "gaussian_nll" else 1))
        self.register_buffer("mean", torch.tensor(target.means), persistent=False)
        self.register_buffer("std", torch.tensor(target.stds), persistent=False)

    def check_val(self, samples: int) -> None:
        if self.interval is not None:
            conformal.check(self.interval, samples)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        targets = (batch.targets.to(outputs.device, torch.float32) - self.mean) / self.std
        terms = self._terms(self._shaped(outputs), targets)
        return terms.mean(dim=1).sum(), outputs.new_full((), len(outputs), dtype=torch.float32)

    def _shaped(self, outputs: Tensor) -> Tensor:
        """(b, k) to (b, t, m), in full precision."""
        return outputs.float().unflatten(1, (len(self.names), -1))

    def _terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(b, t) losses of outputs (b, t, m) and targets (b, t), both standardised."""
        value = outputs[..., 0]
        match self.kind:
            case "mse":
                return functional.mse_loss(value, targets, reduction="none")
            case "mae":
                return functional.l1_loss(value, targets, reduction="none")
            case "huber":
                return functional.huber_loss(value, targets, reduction="none", delta=self.delta)
            case "smooth_l1":
                return functional.smooth_l1_loss(value, targets, reduction="none", beta=self.delta)
            case "log_cosh":
                return log_cosh(value - targets)
            case "quantile":
                return pinball(outputs, targets, outputs.new_tensor(self.levels))
            case "gaussian_nll":
                variance = outputs[..., 1].exp()
                return functional.gaussian_nll_loss(value, targets, variance, eps=LEAST_VARIANCE, reduction="none")
            case _:
                raise AssertionError(self.kind)

    def refuses_convex(self) -> str | None:
        if self.kind in ("quantile", "gaussian_nll"):
            return f"task.loss={self.kind} predicts more than least squares can; use task.loss=mse"
        return None

    def last_layer(self, features: Tensor, targets: Tensor, strength: float | None) -> "Layer":
        """Ridge regression under every loss: that of an outlier's loss is not of closed form, but it is near."""
        from ftlab.convex.ridge import ALPHAS, ridge  # scipy takes a while to import

        standardised = (targets.double() - self.mean.double().cpu()) / self.std.double().cpu()
        fitted = ridge(features, standardised, alphas=ALPHAS if strength is None else (1 / strength,))
        return replace(fitted, strength=1 / fitted.strength)

    def refuses_estimator(self) -> str | None:
        return None if self.kind == "mse" else f"head=sklearn has a loss of its own and reads no task.loss={self.kind}"

    def for_estimator(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Standardised, as outputs are."""
        return (targets.double() - self.mean.double().cpu()) / self.std.double().cpu(), None

    def predictions(self, outputs: Tensor) -> Tensor:
        """(b, t, m) in the user's units; m: value; value and standard deviation; or the quantiles, which never cross.

        Quantiles are sorted, which brings each nearer to the true one, if it changes it (Chernozhukov et al. 2010,
        "Quantile and Probability Curves Without Crossing").
        """
        shaped, mean, std = self._shaped(outputs), self.mean[:, None], self.std[:, None]
        if self.kind == "gaussian_nll":
            deviation = shaped[..., 1:].exp().clamp(min=LEAST_VARIANCE).sqrt() * std
            return torch.cat([shaped[..., :1] * std + mean, deviation], dim=-1)
        return (shaped.sort(dim=-1).values if self.levels else shaped) * std + mean

    def compared(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return predictions[..., self.main], targets.to(predictions)

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection
        from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

        from ftlab.tasks.measures import R2, Mape

        names = self.names
        figures: dict[str, Any] = {
            "r2": R2(names, self.mean, self.std),
            "rmse": MeanSquaredError(squared=False, num_outputs=len(names)),
            "mae": MeanAbsoluteError(num_outputs=len(names)),
            "mse": MeanSquaredError(num_outputs=len(names)),
            "mape": Mape(names, self.std),
        }
        return MetricCollection(figures, compute_groups=[["rmse", "mse"], ["r2"], ["mae"], ["mape"]])

    @property
    def better(self) -> Mapping[str, Better]:
        """Of several targets also of each, as `figures` names them."""
        whole = super().better
        return {**whole, **{f"{name}/{target}": whole[name] for name in METRICS for target in self._parts}}

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        """Where those without a unit usually lie; the others share their plot with nothing."""
        return {"r2": (0.0, 1.0), "mape": (0.0, 1.0)}

    @property
    def _parts(self) -> tuple[str, ...]:
        """The targets that have figures of their own."""
        return self.names if len(self.names) > 1 else ()

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        """The mean over the targets by the metric's name; of several targets also each, as metric/target."""
        each = {name: values[name].reshape(-1).tolist() for name in METRICS}  # a collection sorts them by name
        found = {name: _mean(numbers) for name, numbers in each.items()}
        if self._parts:
            for name, numbers in each.items():
                found |= {f"{name}/{t}": _mean([x]) for t, x in zip(self._parts, numbers, strict=True)}
        return found

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "dict[str, Sums]":
        from ftlab.tasks.sums import mean, r2, rmse

        scale = [part.double().cpu().numpy() for part in (self.mean, self.std)]
        predicted, true = ((part - scale[0]) / scale[1] for part in (predictions, targets))
        return {
            "r2": r2(predicted, true, units),
            "rmse": rmse(predictions, targets, units),
            "mae": mean(abs(predictions - targets).mean(axis=1), units),
        }

    def trivials(self) -> list[Trivial]:
        return [Trivial("always saying the mean of train", self.mean.cpu())]

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.measures import Pairs

        return Pairs()

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        """Points, residuals and errors by range of each target, of its predictions beside the truth (n, t, 2)."""
        columns = zip(self.names, diagnosis.cpu().unbind(dim=1), strict=True)
        told: dict[str, Any] = {"split": split, "targets": [{"target": t, **residuals(pairs)} for t, pairs in columns]}
        if self.radius:
            told["intervals"] = conformal.told(diagnosis.cpu(), self.names, self.radius, self.interval)
        return {"residuals": told}

    def settle(self, diagnosis: Tensor) -> None:
        if self.interval is not None:
            self.radius = tuple(conformal.radius((diagnosis[..., 0] - diagnosis[..., 1]).double().cpu(), self.interval))

    def settled(self) -> dict[str, Any]:
        return {"radius": list(self.radius)}

    def describe(self, predictions: Tensor) -> list[dict[str, Any]]:
        """{target: value}, and beside it std: {target: ...}, quantiles: {target: {level: ...}}, or interval: {target:
        {low, high}}."""
        return [self._record(row) for row in predictions.tolist()]

    def _record(self, row: list[list[float]]) -> dict[str, Any]:
        named = dict(zip(self.names, row, strict=True))
        record: dict[str, Any] = {target: numbers[self.main] for target, numbers in named.items()}
        if self.kind == "gaussian_nll":
            record["std"] = {target: numbers[1] for target, numbers in named.items()}
        if self.levels:
            levels = [str(level) for level in self.levels]
            record["quantiles"] = {t: dict(zip(levels, numbers, strict=True)) for t, numbers in named.items()}
        if self.radius:
            around = {t: (record[t], by) for t, by in zip(self.names, self.radius, strict=True)}
            record["interval"] = {t: {"low": value - by, "high": value + by} for t, (value, by) in around.items()}
        return record

    def worst(self, predictions: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """All samples; each is as wrong as the target whose error has the most standard deviations."""
        values = predictions[..., self.main]
        errors = values - targets
        severity = (errors.abs() / self.std.cpu()).nan_to_num(nan=math.inf)
        most, place = severity.max(dim=1)
        found = []
        for i in most.argsort(descending=True).tolist():
            t = int(place[i])
            name = f"{self.names[t]} " if len(self.names) > 1 else ""
            found.append(
                {
                    "position": i,
                    "truth": name + _written(targets[i, t]),
                    "prediction": name + _written(values[i, t]),
                    "severity": float(most[i]),
                    "note": f"({_written(errors[i, t], '+')})",
                }
            )
        return found


def _written(value: Tensor, sign: str = "") -> str:
    """Four digits; all those before the point of what a person would not write with an exponent."""
    return f"{value:{sign}.0f}" if 10_000 <= abs(value) < 10_000_000 else f"{value:{sign}.4g}"


def log_cosh(error: Tensor) -> Tensor:
    """log(cosh(error)) without overflow: a square near zero, a line far from it."""
    return error + functional.softplus(-2 * error) - math.log(2)


def pinball(outputs: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """(b, t) mean over the levels (m,) of the quantile loss of outputs (b, t, m) and targets (b, t)."""
    error = targets[..., None] - outputs
    return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)


def _mean(numbers: Sequence[float]) -> float | None:
    """None if one of them is undefined: a mean over the others would be another figure."""
    return None if any(map(math.isnan, numbers)) else sum(numbers) / len(numbers)


def _check(names: Sequence[str], loss: str, quantiles: Sequence[float]) -> None:
    taken = [name for name in names if name in RESERVED]
    if taken:
        raise UserError(f"data: a target cannot be called '{taken[0]}', a key that predictions use; rename the column")
    if loss not in LOSSES:
        raise UserError(f"task.loss={loss}: no such loss; {choices(loss, LOSSES)}")
    levels = list(quantiles)
    if loss == "quantile" and (levels != sorted(set(levels)) or 0.5 not in levels):
        raise UserError(f"task.quantiles={levels}: accepted are rising fractions with 0.5 (the median) among them")
