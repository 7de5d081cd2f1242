"""Convex phases: an epoch whose last batch fits the head to the features of all the others.

Shapes: n samples, d features.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import ftlab
from ftlab.cli import main
from ftlab.convex.standardised import FLOOR
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.run import train
from ftlab.targets.labels import Labels
from ftlab.training.phases import convex, features
from ftlab.training.phases.features import FeatureStore, compute
from tests.training.test_resume import assert_equal, last, without_times
from tests.training.tiny import CLASSES, Run, Watch, moved, parts_of, prepared, splits

NOISY = ["augment=strong", "head.dropout=0.5"]  # neither may reach the features


def features_of(run: Run, folder: Path) -> tuple[Tensor, Tensor]:
    """(n, d) features of the train split, and its targets."""
    _, _, make_data = parts_of()
    data, layer = make_data(), run.parts.model.head.fc
    store = FeatureStore(len(data.samples("train")), layer.in_features, folder / "store")
    compute(run.parts.model, layer, data.loader("train", shuffle=False), store)
    return store.rows, data.samples("train").targets


def test_the_head_is_the_fit_of_scikit_learn_to_features_without_dropout_and_augmentation(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=closed_form", "strategy.C=0.5", *NOISY).fit()
    rows, targets = features_of(run, tmp_path)
    values, deviation = rows.double().numpy(), rows.double().numpy().std(0)
    scale = np.maximum(deviation, FLOOR * np.sqrt((deviation**2).mean()))
    values = (values - values.mean(0)) / scale
    expected = LogisticRegression(C=0.5, tol=1e-6, max_iter=10_000).fit(values, targets.numpy())
    found = run.parts.model.head.fc(rows).detach().numpy()
    assert found == pytest.approx(expected.decision_function(values), abs=5e-3)  # the run's tolerance is 1e-4


def test_an_epoch_of_a_convex_phase_is_recorded_like_any_other(tmp_path: Path) -> None:
    run = prepared(tmp_path, "strategy=closed_form", *NOISY).fit()
    (record,) = run.finetuner.history
    assert (record["phase"], record["steps"]) == ("head", 5)
    assert record["convex"]["converged"] is True
    rows, targets = features_of(run, tmp_path)
    loss = nn.functional.cross_entropy(run.parts.model.head.fc(rows), targets).item()
    assert record["train"]["loss"] == pytest.approx(loss, rel=1e-4)  # under the head that it ended with
    assert record["val"]["accuracy"] > 0.5
    assert (tmp_path / "checkpoints" / "best.ckpt").exists()


def test_lp_ft_begins_with_the_head_of_closed_form_to_the_bit(tmp_path: Path) -> None:
    alone = prepared(tmp_path / "a", "strategy=closed_form", *NOISY).fit().state()
    watch = Watch()
    prepared(tmp_path / "b", "strategy=lp_ft", "trainer.max_epochs=3", *NOISY).fit(watch)
    assert moved(alone, watch.epochs[0].after) == set()
    assert moved(alone, watch.epochs[1].before) == set()


def test_features_that_do_not_fit_into_memory_lie_in_a_file_that_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = prepared(tmp_path / "a", "strategy=closed_form").fit().state()
    made: list[Path] = []

    def on_disk(samples: int, width: int, file: Path) -> FeatureStore:
        store = FeatureStore(samples, width, file, memory=100)
        assert file.stat().st_size == 4 * samples * width
        made.append(file)
        return store

    monkeypatch.setattr(convex, "FeatureStore", on_disk)
    again = prepared(tmp_path / "b", "strategy=closed_form").fit().state()
    assert moved(alone, again) == set()
    assert [file.exists() for file in made] == [False]


def test_batches_may_be_accumulated_and_clipped_around_a_convex_phase(tmp_path: Path) -> None:
    words = ["strategy=lp_ft", "strategy.groups=1", "trainer.max_epochs=2", "trainer.accumulate_grad_batches=2"]
    run = prepared(tmp_path, *words, "trainer.gradient_clip_val=1.0").fit()
    assert [record["phase"] for record in run.finetuner.history] == ["head", "stem"]


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
def test_other_precisions_fit_too(tmp_path: Path, precision: str) -> None:
    words = [
        "strategy=lp_ft",
        "strategy.groups=1",
        "trainer.max_epochs=2",
        f"trainer.precision={precision}",
        "optimizer.lr=1e-4",
    ]
    run = prepared(tmp_path, *words).fit()
    assert run.finetuner.history[0]["val"]["accuracy"] > 0.5


def test_labels_are_fitted_too(tmp_path: Path) -> None:
    data = splits()
    for part in (data.train, data.val, data.test):
        assert part is not None
        part.targets = nn.functional.one_hot(part.targets, 4).float()
    data.target = Labels(CLASSES)
    run = prepared(tmp_path, "strategy=closed_form", "task=multilabel", data=data).fit()
    assert run.finetuner.history[0]["val"]["accuracy"] > 0.75  # of always no


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["head=mlp"], "head=mlp.*head=linear"),
        (["head=cosine"], "head=cosine.*head=linear"),
        (["task.loss=focal"], "focal.*not convex"),
    ],
)
@pytest.mark.parametrize("strategy", ["closed_form", "lp_ft strategy.head_init=closed_form"])
def test_what_cannot_be_fitted_is_refused_before_the_run(strategy: str, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parts_of(*f"strategy={strategy}".split(), *words)


def test_a_head_of_ones_own_can_be_fitted_if_it_is_one_linear_layer_named_fc() -> None:
    class Own(Head):
        def __init__(self, **layers: nn.Module) -> None:
            super().__init__()
            for name, layer in layers.items():
                self.add_module(name, layer)

        def forward(self, *_: Any) -> Tensor:
            raise NotImplementedError

    assert Own(drop=nn.Dropout(), fc=nn.Linear(2, 3)).last_layer is not None
    assert Own(fc=nn.Linear(2, 3), scale=nn.Linear(3, 3)).last_layer is None
    assert Own(last=nn.Linear(2, 3)).last_layer is None


# --- going on


SETTINGS = [
    "subset=60", "data.split=[0.9,0.05,0.05]", "data.image_size=32", "data.batch_size=16", "augment=strong",
    "backbone.name=resnet10t", "backbone.pretrained=false", "strategy=lp_ft", "schedule=cosine", "schedule.warmup=1",
    "trainer.max_epochs=3", "trainer.accelerator=cpu", "checkpoint.every_n_steps=1",
]  # fmt: skip


@pytest.mark.slow
def test_a_run_killed_in_or_after_its_convex_phase_ends_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftlab.training.saving.checkpoints import Checkpoints

    whole, save, kept = tmp_path / "whole", Checkpoints._save, []

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        kept.append(tmp_path / f"{trainer.current_epoch}-{trainer.global_step}-{epoch is None}")
        shutil.copytree(whole, kept[-1])

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        train(ftlab.compose(SETTINGS), whole)
    places = [kept[2], kept[3]]  # in the convex epoch of 4 batches, and at its end
    assert [p.name for p in places] == ["0-3-True", "0-4-False"]
    for place in places:
        train(ftlab.compose([*SETTINGS, f"resume={place}"]))
        a, b = last(whole), last(place)
        assert_equal(a["state_dict"], b["state_dict"], place.name)
        assert_equal(a["optimizer_states"], b["optimizer_states"], place.name)
        assert_equal(without_times(a["ftlab"]["history"]), without_times(b["ftlab"]["history"]), place.name)


# --- from the command line


def test_on_digits_the_command_is_a_linear_probe_of_the_untouched_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    import timm

    words = ["subset=150", "data.split=[0.6,0.2,0.2]", "task.label_smoothing=0", f"hydra.run.dir={tmp_path}/run"]
    assert main(["train", "strategy=closed_form", "strategy.C=0.05", *words]) == 0, capsys.readouterr().err
    assert "convex" in capsys.readouterr().out  # the plan
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [phase["fit"] for phase in report["plan"]] == ["convex"]

    from ftlab.assembly import assemble
    from ftlab.config import plainly
    from ftlab.run import loaders
    from ftlab.run_settings import typed

    settings = plainly(ftlab.compose(words[:2]), resolve=True)
    parts = assemble(settings)
    data, rows = loaders(parts, typed(settings)), {}
    for split in ("train", "test"):
        store = FeatureStore(len(data.samples(split)), 1280, tmp_path / "store")
        compute(parts.model, parts.model.head.fc, data.loader(split, shuffle=False), store)
        rows[split] = store.rows.double().numpy()
    deviation = rows["train"].std(0)
    scale = np.maximum(deviation, FLOOR * np.sqrt((deviation**2).mean()))
    train_rows, test_rows = ((rows[split] - rows["train"].mean(0)) / scale for split in ("train", "test"))
    probe = LogisticRegression(C=0.05, max_iter=1000)
    probe.fit(train_rows, data.samples("train").targets.numpy())
    accuracy = probe.score(test_rows, data.samples("test").targets.numpy())
    assert accuracy > 0.6
    assert abs(report["metrics"]["test"]["accuracy"] - accuracy) * len(rows["test"]) < 1.01

    bundled = load_file(tmp_path / "run" / "bundle" / "model.safetensors")
    plain = timm.create_model("tf_efficientnet_lite0", num_classes=10)
    plain.load_state_dict(bundled)  # an ordinary network with an ordinary linear layer
    own = parts.model.backbone.model.state_dict()
    assert [n for n in own if not torch.equal(own[n], bundled[n])] == []


def test_the_store_keeps_its_default_in_memory(tmp_path: Path) -> None:
    store = FeatureStore(3, 2, tmp_path / "store")
    store.put(torch.tensor([2, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert store.rows.tolist() == [[3.0, 4.0], [0.0, 0.0], [1.0, 2.0]]
    assert not (tmp_path / "store").exists()
    assert features.MEMORY > 2**30


@pytest.mark.parametrize("tells", ["last", "below"])
def test_layers_below_have_a_part_in_the_fit_where_they_tell_more_than_they_cost(tells: str) -> None:
    task = parts_of()[0].task
    draw = torch.Generator().manual_seed(0)
    targets = torch.arange(40) % len(CLASSES)
    true = nn.functional.one_hot(targets, len(CLASSES)).float() + 0.3 * torch.randn(40, len(CLASSES), generator=draw)
    noise = torch.randn(40, 30, generator=draw)
    rows = torch.cat([true, noise] if tells == "last" else [noise, true], 1)
    below = rows.shape[1] - (len(CLASSES) if tells == "last" else 30)
    layer = nn.Linear(rows.shape[1], len(CLASSES))
    convex.fit_layer(layer, task, rows, targets, None, below=below)
    used = layer.weight[:, -below:].abs().amax() > 0
    assert bool(used) is (tells == "below")
    assert (layer(rows).argmax(1) == targets).float().mean() > 0.9
