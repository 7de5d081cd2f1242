"""Figures of a split: dataset-level, whatever the batches; modes and devices are put back."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.evaluation import Evaluation, evaluate, on_device
from ftlab.heads.linear import Linear
from ftlab.model import Model
from ftlab.targets.classes import Classes
from ftlab.targets.masks import Masks
from ftlab.tasks.classification import Classification
from ftlab.tasks.segmentation import Segmentation
from tests.training.tiny import CLASSES, tiny_backbone

SPEC = DataSpec("test", Classes(CLASSES, (2, 2, 2, 2)), {"train": 8})


def model() -> Model:
    backbone = tiny_backbone()
    torch.manual_seed(0)
    return Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool, dropout=0.5))


def batches(sizes: tuple[int, ...]) -> list[Batch]:
    n = sum(sizes)
    images = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    index, targets = torch.arange(n), torch.arange(n) % 4
    ends = torch.tensor(sizes).cumsum(0).tolist()
    return [
        Batch(targets[a:b], index[a:b], {"images": images[a:b]}) for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]


def test_a_split_has_the_same_figures_in_batches_of_any_size() -> None:
    task, network = Classification(SPEC), model()
    whole, warned = evaluate(network, task, batches((30,)), 30).figures()
    parts, _ = evaluate(network, task, batches((1, 7, 20, 2)), 30).figures()
    assert parts == pytest.approx(whole, abs=1e-6)
    assert warned == []


def test_evaluation_mode_holds_during_it_and_the_modes_are_put_back() -> None:
    network = model()
    network.train()
    network.backbone.model.stem.eval()
    before = {name: module.training for name, module in network.named_modules()}
    state = {name: value.clone() for name, value in network.state_dict().items()}
    seen: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(any(m.training for m in network.modules()) or torch.is_grad_enabled())

    network.head.register_forward_pre_hook(look)
    evaluate(network, Classification(SPEC), batches((8, 8)), 16)
    assert seen == [False, False]
    assert {name: module.training for name, module in network.named_modules()} == before
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


def test_the_worst_mistakes_of_the_whole_split_are_kept_by_their_place_in_it() -> None:
    task, network = Classification(SPEC), model().eval()
    found = evaluate(network, task, batches((7, 13, 10)), 30, keep=5)
    (whole,) = batches((30,))
    with torch.no_grad():
        expected = task.worst(task.predictions(network(whole)), whole.targets)
    assert len(expected) > 5
    assert [m["index"] for m in found.worst] == [m["position"] for m in expected[:5]]
    assert [m["severity"] for m in found.worst] == pytest.approx([m["severity"] for m in expected[:5]])


@pytest.mark.parametrize("sizes", [(30,), (7, 13, 10)])
def test_prediction_and_target_of_the_worst_are_kept_on_the_cpu_with_memory_of_their_own(sizes: tuple[int]) -> None:
    task, network = Classification(SPEC), model().eval()
    found = evaluate(network, task, batches(sizes), 30, keep=5)
    (whole,) = batches((30,))
    with torch.no_grad():
        chances = task.predictions(network(whole))
    assert len(found.worst) == 5
    for one in found.worst:
        torch.testing.assert_close(one["answer"], chances[one["index"]])
        assert one["target"] == whole.targets[one["index"]]
        assert one["answer"].untyped_storage().nbytes() == chances[0].nbytes  # not the whole batch's


def test_intervals_of_groups_are_the_same_in_whatever_order_samples_are_taken_in() -> None:
    task, network, groups = Classification(SPEC), model(), torch.arange(30) // 3
    (whole,) = batches((30,))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    mixed = Batch(whole.targets[order], whole.index[order], {"images": whole.inputs["images"][order]})
    found = [evaluate(network, task, [one], 30, keep=1).judged(groups, "groups") for one in (whole, mixed)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].intervals["accuracy"] == found[1].intervals["accuracy"]


def texts(found: Evaluation) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key not in ("answer", "target")} for one in found.worst]


def test_a_reset_forgets_everything() -> None:
    task, network = Classification(SPEC), model().eval()
    found = Evaluation(task, 8, keep=4, shared=False)
    (batch,) = batches((8,))
    found.update(network(batch), batch)
    first = found.figures()
    worst, matrix = texts(found), found.diagnosis.compute().matrix.tolist()  # type: ignore[union-attr]
    found.reset()
    assert found.worst == []
    found.update(network(batch), batch)
    assert found.figures() == first
    assert texts(found) == worst
    assert found.diagnosis.compute().matrix.tolist() == matrix  # type: ignore[union-attr]


def test_the_tasks_weights_are_not_in_the_state_of_an_evaluation() -> None:
    task = Classification(SPEC, class_weights=[1.0, 2.0, 3.0, 4.0])
    assert Evaluation(task, 8, keep=1).state_dict() == {}


def test_a_batch_moves_with_all_its_tensors() -> None:
    (batch,) = batches((3,))
    there = on_device(batch, torch.device("meta"))
    assert there.targets.device == there.index.device == there.inputs["images"].device == torch.device("meta")
    assert there.border is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_that_trained_in_other_numbers_is_evaluated_in_them(dtype: torch.dtype) -> None:
    task, network = Classification(SPEC), model()
    expected = evaluate(network, task, batches((30,)), 30).figures()[0]
    found = evaluate(network.to(dtype), task, batches((30,)), 30).figures()[0]
    assert found["loss"] == pytest.approx(expected["loss"], abs=2e-2)


def test_scores_are_there_for_all_ranks_to_add_up_though_this_one_has_no_sample() -> None:
    task = Classification(DataSpec("made here", Classes(CLASSES), {"train": 4}))
    found = Evaluation(task, 3)
    assert found.scores is not None
    assert found.scores.tolist() == [0, 0, 0]
    outputs = torch.eye(len(CLASSES))[:2]
    found.update(outputs, Batch(torch.tensor([0, 0]), torch.tensor([2, 0])))
    assert found.scores.tolist() == [0, 0, 1]  # the sample of place 2 is right, that of place 0 wrong
    found.reset()
    assert found.scores.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("most", "interval"), [(8 * (3 * 3 + 3), True), (8 * (3 * 3 + 3) - 1, False)])
def test_what_is_gathered_is_counted_as_it_is_and_not_by_the_number_of_outputs(
    monkeypatch: pytest.MonkeyPatch, most: int, interval: bool
) -> None:
    monkeypatch.setattr("ftlab.evaluation.GATHERED", most)
    task = Segmentation(DataSpec("test", Masks(("a", "b", "c"), (4, 2, 2)), {"train": 8}))
    found = Evaluation(task, 8, keep=1, shared=False)
    for index in torch.arange(8).split(3):
        masks = (index[:, None, None] + torch.arange(4).view(2, 2)) % 3
        found.update(torch.randn(len(index), 3, 2, 2), Batch(masks, index))
    judged = found.judged()
    assert judged is not None
    assert bool(judged.intervals) == interval
    assert ("numbers are predicted" in judged.why) != interval
    assert bool(found.compared) == interval
