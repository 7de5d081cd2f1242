"""Accumulated batches equal one large batch, the last window too; what goes bad stops the run before it does harm."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ftlab.batch import Batch
from ftlab.data.base import Splits
from ftlab.data.module import DataModule
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from ftlab.tasks.classification import Classification
from ftlab.training.fit import fit
from tests.training.tiny import CLASSES, Watch, console, moved, parts_of, pictures, prepared, splits

PLAIN = ("strategy=full", "optimizer=sgd", "trainer.max_epochs=1", "optimizer.lr=0.05")
UNEVEN = "task.class_weights=[1.0, 0.2, 5.0, 0.5]"


def trained(folder: Path, *words: str, train: int = 40, drop: float = 0.0) -> dict[str, Tensor]:
    return prepared(folder, *PLAIN, *words, drop=drop, data=splits(train)).fit().state()


def farthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize(
    ("train", "what"),
    [
        (32, "one full window"),
        (40, "a full window and one of one batch"),
        (53, "a last batch of 5"),
        (34, "two samples that join the last batch, whatever its size"),
        (43, "three samples that join only the small batch"),
    ],
)
@pytest.mark.parametrize(
    "weights",
    [UNEVEN, *(pytest.param(f"task.class_weights={one}", marks=pytest.mark.slow) for one in ("none", "balanced"))],
)
def test_4_batches_of_8_are_1_batch_of_32(tmp_path: Path, train: int, what: str, weights: str) -> None:
    small = ("data.batch_size=8", "trainer.accumulate_grad_batches=4")
    many = trained(tmp_path / "many", *small, weights, train=train)
    once = trained(tmp_path / "once", "data.batch_size=32", weights, train=train)
    assert farthest(many, once) < 1e-6, what


def test_without_accumulation_it_is_another_run(tmp_path: Path) -> None:
    """Else the test above would say nothing."""
    many = trained(tmp_path / "many", "data.batch_size=8")
    once = trained(tmp_path / "once", "data.batch_size=32")
    assert farthest(many, once) > 1e-3


@pytest.mark.parametrize("limit", [0.05, 1e3])
def test_clipping_comes_after_the_division(tmp_path: Path, limit: float) -> None:
    clip = f"trainer.gradient_clip_val={limit}"
    many = trained(tmp_path / "many", "data.batch_size=8", "trainer.accumulate_grad_batches=4", clip, UNEVEN, train=56)
    once = trained(tmp_path / "once", "data.batch_size=32", clip, UNEVEN, train=56)
    assert farthest(many, once) < 1e-6
    free = trained(tmp_path / "free", "data.batch_size=32", UNEVEN, train=56)
    assert (farthest(once, free) > 1e-3) == (limit < 1)


def test_a_step_moves_by_the_clipped_norm_of_the_mean_gradient(tmp_path: Path) -> None:
    words = (*PLAIN, "optimizer.momentum=0", "optimizer.nesterov=false", "optimizer.weight_decay=0", UNEVEN)
    watch = Watch()
    run = prepared(
        tmp_path, *words, "data.batch_size=32", "trainer.gradient_clip_val=0.05", drop=0.0, data=splits(32)
    ).fit(watch)
    names = [name for name, _ in run.parts.model.named_parameters()]
    (epoch,) = watch.epochs
    step = torch.cat([(epoch.after[name] - epoch.before[name]).flatten() for name in names]).norm()
    assert float(step) == pytest.approx(0.05 * 0.05, rel=1e-4)


def test_each_step_is_the_gradient_of_its_windows_weighted_mean(tmp_path: Path) -> None:
    """Two steps of plain gradient descent by hand, on windows of 32 and of 8 samples, give the same weights."""
    words = (*PLAIN, "optimizer.momentum=0", "optimizer.nesterov=false", "optimizer.weight_decay=0", UNEVEN)
    run = prepared(tmp_path, *words, "data.batch_size=8", "trainer.accumulate_grad_batches=4", drop=0.0)
    model, start = run.parts.model, run.state()
    batches = list(run.finetuner.data(rank=0, world=1).loader("train", shuffle=True))  # of epoch 0
    assert [len(batch) for batch in batches] == [8] * 5
    model.eval()  # BatchNorm by running statistics
    for window in (batches[:4], batches[4:]):
        outputs, targets = torch.cat([model(batch) for batch in window]), torch.cat([b.targets for b in window])
        nn.functional.cross_entropy(outputs, targets, torch.tensor([1.0, 0.2, 5.0, 0.5])).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.05 * parameter.grad  # type: ignore[operator]
        model.zero_grad()
    expected = run.state()
    model.load_state_dict(start)
    assert farthest(expected, run.fit().state()) < 1e-6
    assert farthest(expected, start) > 1e-3


def test_the_recorded_loss_is_the_weighted_mean_of_all_samples(tmp_path: Path) -> None:
    run = prepared(tmp_path, *PLAIN, "optimizer.lr=1e-12", UNEVEN, "data.batch_size=16", drop=0.0)
    run.fit()
    model = run.parts.model.eval()
    for split in ("train", "val"):
        batches = list(run.finetuner.data(rank=0, world=1).loader(split, shuffle=False))
        with torch.no_grad():
            outputs = torch.cat([model(batch) for batch in batches])
        targets = torch.cat([batch.targets for batch in batches])
        expected = nn.functional.cross_entropy(outputs, targets, torch.tensor([1.0, 0.2, 5.0, 0.5]))
        assert run.finetuner.history[0][split]["loss"] == pytest.approx(float(expected), rel=1e-5)


def test_a_window_whose_samples_all_weigh_nothing_moves_nothing(tmp_path: Path) -> None:
    """Its gradient is 0 / 0."""
    run = prepared(
        tmp_path, *PLAIN, "optimizer.weight_decay=0", "task.class_weights=[1.0, 0.0, 0.0, 0.0]", "data.batch_size=2"
    ).fit()
    assert all(torch.isfinite(value).all() for value in run.state().values())


class Background(Classification):
    """Its loss is of all samples and its weight of class 1 alone, as a detector divides by the boxes that it found."""

    least_weight = 1.0

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return nn.functional.cross_entropy(outputs, batch.targets, reduction="sum"), (batch.targets == 1).sum()


@pytest.mark.parametrize("found", [0, 1])
def test_a_window_that_found_nothing_learns_as_one_that_found_one(tmp_path: Path, found: int) -> None:
    words = (*PLAIN, "optimizer.momentum=0", "optimizer.nesterov=false", "optimizer.weight_decay=0")
    words = (*words, "data.batch_size=4", "trainer.accumulate_grad_batches=2")
    data = splits(8)
    data.train.targets = torch.tensor([0] * (8 - found) + [1] * found)
    run = prepared(tmp_path, *words, drop=0.0, data=data)
    run.finetuner.task = Background(run.parts.spec)
    model, start = run.parts.model.eval(), run.state()
    batches = list(run.finetuner.data(rank=0, world=1).loader("train", shuffle=True))
    outputs, targets = torch.cat([model(batch) for batch in batches]), torch.cat([b.targets for b in batches])
    nn.functional.cross_entropy(outputs, targets, reduction="sum").backward()
    expected = {name: start[name] - 0.05 * p.grad for name, p in model.named_parameters()}  # type: ignore[operator]
    model.zero_grad()
    assert farthest(expected, run.fit().state()) < 1e-6
    assert farthest(expected, start) > 1e-2
    total = nn.functional.cross_entropy(outputs, targets, reduction="sum")
    assert run.finetuner.history[0]["train"]["loss"] == pytest.approx(total.item(), rel=1e-5)


# What goes bad


class BeforeStep(Callback):
    """The state of the model after each optimizer step."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:  # type: ignore[no-untyped-def, override]
        self.states.append({n: v.clone() for n, v in pl_module.model.state_dict().items()})


def test_a_loss_that_is_not_finite_ends_the_run_with_the_weights_of_the_step_before(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=full", "trainer.max_epochs=2")
    model = run.parts.model
    fc = model.head.fc
    calls: list[int] = []

    def poison(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        calls.append(1)
        return output * float("nan") if len(calls) == 3 else output

    fc.register_forward_hook(poison)
    steps = BeforeStep()
    with pytest.raises(UserError) as caught:
        run.fit(steps)
    message = str(caught.value)
    assert all(word in message for word in ("nan", "epoch 1", "step 3", "'full'", "optimizer.lr", "gradient_clip_val"))
    assert len(steps.states) == 2
    assert moved(steps.states[-1], run.state()) == set()


def test_weights_that_grow_without_bound_end_the_run(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=full", "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=2")
    with pytest.raises(UserError, match=r"training loss is (nan|inf)"):
        run.fit()


def test_data_without_samples_is_an_error_before_anything_trains(tmp_path: Path) -> None:
    empty = Splits(pictures(0), pictures(8), None, Classes(CLASSES))
    with pytest.raises(UserError, match="train split holds 0 samples"):
        prepared(tmp_path, "strategy=head_only", data=empty)


class Empty(DataModule):
    """Loaders without a batch."""

    def loader(self, split: str, shuffle: bool) -> DataLoader[Batch]:
        return DataLoader([], batch_size=None)  # type: ignore[arg-type]


def test_a_run_of_no_step_is_an_error(tmp_path: Path) -> None:
    """Lightning alone warns, and returns as if all were well."""
    parts, settings, make_data = parts_of("strategy=head_only", "trainer.max_epochs=1")

    def empty(**place: int) -> DataModule:
        d = make_data(**place)
        return Empty(d.splits, d.spec, d.preprocessing, d.augment, d.batch_size, d.num_workers, d.seed)

    (tmp_path / "checkpoints").mkdir()
    with pytest.warns(UserWarning, match="is zero"), pytest.raises(UserError, match=r"no step.*nothing to train on"):
        fit(parts, settings, empty, tmp_path, console())
