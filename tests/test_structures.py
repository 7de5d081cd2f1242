"""Outputs, predictions and targets that are no tensors, through training, the freeze border, evaluation and prediction.

Shapes: b batch, k classes.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from ftlab.backbones.base import Features
from ftlab.batch import Batch
from ftlab.cache.borders import Borders
from ftlab.cache.probe import is_near, is_same
from ftlab.evaluation import evaluate
from ftlab.heads.base import Head
from ftlab.predictor import Predictor
from ftlab.targets.classes import Classes
from ftlab.tasks.base import Task
from tests.training.tiny import Run, prepared

OWN = {
    "trusted_modules": [__name__],
    "head": {"_target_": f"{__name__}.ClassAndSize"},
    "task": {"_target_": f"{__name__}.Several"},
}


class ClassAndSize(Head):
    def __init__(self, num_features: int, num_outputs: int, default_pool: str) -> None:
        super().__init__()
        self.classes, self.size = nn.Linear(num_features, num_outputs), nn.Linear(num_features, 1)

    def forward(self, features: Features, batch: Batch) -> dict[str, Any]:
        assert features.maps is not None
        pooled = features.maps.mean((2, 3))
        return {"logits": self.classes(pooled), "levels": (pooled, self.size(pooled)), "stride": 8}


class Several(Task):
    """Predicts a mapping a sample, in which the number of ranked classes differs."""

    name, objective, takes = "several", "accuracy", Classes

    def __init__(self, spec: Any) -> None:
        super().__init__(spec)
        self.num_outputs = len(spec.target.classes)

    def loss(self, outputs: dict[str, Any], batch: Batch) -> tuple[Tensor, Tensor]:
        total = nn.functional.cross_entropy(outputs["logits"], batch.targets, reduction="sum")
        return total + outputs["levels"][1].square().sum(), torch.tensor(float(len(batch)))

    def predictions(self, outputs: dict[str, Any]) -> list[dict[str, Tensor]]:
        scores = outputs["logits"].softmax(1)
        return [{"scores": one, "likely": (one > 0.25).nonzero().flatten()} for one in scores]

    def compared(self, predictions: list[dict[str, Tensor]], targets: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([one["scores"] for one in predictions]), targets

    def metrics(self, samples: int) -> MetricCollection:
        return MetricCollection({"accuracy": MulticlassAccuracy(self.num_outputs, average="micro")})

    def diagnosis(self) -> Metric | None:
        return None

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        raise AssertionError("there is no diagnosis")

    def describe(self, predictions: list[dict[str, Tensor]], **settings: Any) -> list[dict[str, Any]]:
        assert all(one["scores"].device.type == "cpu" for one in predictions)
        return [{"class": int(one["scores"].argmax()), "likely": one["likely"].tolist()} for one in predictions]

    def worst(self, predictions: list[dict[str, Tensor]], targets: Tensor) -> list[dict[str, Any]]:
        wrong = [
            (i, float(one["scores"].max())) for i, one in enumerate(predictions) if one["scores"].argmax() != targets[i]
        ]
        return [
            {"position": i, "truth": "", "prediction": "", "severity": score, "note": ""}
            for i, score in sorted(wrong, key=lambda one: -one[1])
        ]


def run(folder: Path, *words: str) -> Run:
    return prepared(folder, "strategy=partial", "strategy.last=1", "trainer.max_epochs=2", *words, drop=0.0, **OWN)


def test_what_is_frozen_is_kept_for_a_network_whose_outputs_are_no_tensor(tmp_path: Path) -> None:
    kept = run(tmp_path / "kept", "cache=memory").fit()
    assert [choice.train for choice in kept.finetuner.supply.choices] == ["memory"]
    plain = run(tmp_path / "plain", "cache=off").fit()
    found, expected = kept.state(), plain.state()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)
    accuracy = [one.finetuner.history[-1]["val"]["accuracy"] for one in (kept, plain)]
    assert accuracy[0] == accuracy[1]


def test_evaluation_and_prediction_take_predictions_as_they_are(tmp_path: Path) -> None:
    ready = run(tmp_path)
    model, task, data = ready.parts.model.eval(), ready.parts.task, ready.finetuner.data(rank=0, world=1)
    batches = list(data.loader("val", shuffle=False))
    found = evaluate(model, task, batches, 20, keep=3)
    assert found.diagnosis is None
    with torch.no_grad():
        logits = torch.cat([model(batch)["logits"] for batch in batches])
    targets = torch.cat([batch.targets for batch in batches])
    assert found.figures()[0]["accuracy"] == pytest.approx(float((logits.argmax(1) == targets).float().mean()))
    wrong = (logits.argmax(1) != targets).nonzero().flatten()
    surest = wrong[logits.softmax(1)[wrong].amax(1).argsort(descending=True)][:3]
    assert [one["index"] for one in found.worst] == surest.tolist()
    inputs = ready.parts.splits.val.inputs  # type: ignore[union-attr]
    records = Predictor(model, task, ready.parts.preprocessing).predict([inputs[i] for i in range(len(inputs))])
    assert [one["class"] for one in records] == logits.argmax(1).tolist()
    assert [len(one["likely"]) for one in records] == (logits.softmax(1) > 0.25).sum(1).tolist()


def test_a_cut_network_is_held_against_the_whole_one_in_every_part_of_its_outputs(tmp_path: Path) -> None:
    ready = run(tmp_path)
    model, borders = ready.parts.model.eval(), Borders(ready.parts.model)
    border = borders.of(["head/classes", "head/size"])
    assert border is not None
    batch = next(iter(ready.finetuner.data(rank=0, world=1).loader("val", shuffle=False)))
    values = borders.values(border.names)(batch)
    assert is_same(model, border, batch, values)
    assert not is_same(model, border, batch, tuple(value + 1 for value in values))


def test_structures_are_near_where_their_form_and_every_leaf_are() -> None:
    one = {"a": (torch.ones(2), torch.tensor([1, 2])), "b": 8, "c": torch.zeros(0)}
    assert is_near({**one, "a": (torch.ones(2) + 1e-3, torch.tensor([1, 2]))}, one)
    for other in (
        {**one, "a": (torch.ones(2) + 1, torch.tensor([1, 2]))},
        {**one, "a": (torch.ones(2), torch.tensor([1, 3]))},
        {**one, "a": (torch.ones(1), torch.tensor([1, 2]))},
        {**one, "a": [torch.ones(2), torch.tensor([1, 2])]},
        {**one, "b": 9},
        {**one, "d": 1},
        {**one, "b": object()},
    ):
        assert not is_near(other, one)


def test_what_is_infinite_on_both_sides_is_the_same_and_sets_no_limit():
    found = torch.tensor([1.0, torch.inf, -torch.inf])
    assert is_near(found, found.clone())
    assert not is_near(torch.tensor([9.0, torch.inf, -torch.inf]), found)  # far off, whatever else is infinite
    assert not is_near(torch.tensor([1.0, 5.0, -torch.inf]), found)
    assert not is_near(torch.tensor([torch.nan, torch.inf, -torch.inf]), found)
