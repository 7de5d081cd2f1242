"""Weights that no phase has trained are written once, and every checkpoint is whole all the same."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ftlab
from ftlab.backbones import weights
from ftlab.backbones.module import ModuleBackbone
from ftlab.errors import UserError
from ftlab.pickles import FROZEN, FROZEN_PART
from ftlab.run import train
from ftlab.training.saving.checkpoints import Checkpoints
from ftlab.training.saving.frozen_part import FrozenPart, untrained
from ftlab.training.saving.loading import read_checkpoint
from tests.training.test_resume import assert_equal, last
from tests.training.tiny import BASE, PREPROCESSING, STAGES, parts_of, prepared, splits, tiny_backbone

HEAD = "{name: head, epochs: 2, stages: {head/fc: 1, rest: frozen}}"
TOP = "{name: top, epochs: 2, stages: {head/fc: 1, backbone/top: 1, rest: frozen}}"
BACK = "{name: back, epochs: 1, stages: {head/fc: 1, rest: frozen}}"
STEM = "{name: stem, epochs: 1, stages: {backbone/stem: 1, rest: frozen}}"
PHASES = f"strategy.inline=[{HEAD},{TOP},{BACK},{STEM}]"
EVERY_STEP = "checkpoint.every_n_steps=1"


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """Of each checkpoint: the phase, and the names that its own file holds; each is whole when it is read."""
    found: list[tuple[str, set[str]]] = []
    save = Checkpoints._save

    def compared(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        path = self.folder / "last.ckpt"
        assert_equal(dict(read_checkpoint(path)["state_dict"]), dict(module.state_dict()))
        found.append((module.running.name, set(torch.load(path, weights_only=True)["state_dict"])))

    monkeypatch.setattr(Checkpoints, "_save", compared)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("strategy=phases", PHASES, EVERY_STEP),
        ("strategy=phases", PHASES, "strategy.batchnorm=train", "cache=memory"),
        ("strategy=progressive", "trainer.max_epochs=9", "optimizer.lr=0.3"),
        ("strategy=progressive", "trainer.max_epochs=6", "on_nonfinite=rollback", "strategy.batchnorm=train"),
        ("strategy=closed_form",),
        ("strategy=lp_ft", "trainer.max_epochs=4"),
        ("head=sklearn", "strategy=closed_form"),
        ("strategy=full", "trainer.max_epochs=2"),
    ],
    ids=lambda words: " ".join(word for word in words if word != PHASES),
)
def test_every_checkpoint_holds_the_weights_of_its_moment(
    tmp_path: Path, saved: list[tuple[str, set[str]]], words: tuple[str, ...]
) -> None:
    run = prepared(tmp_path, *words).fit()
    assert saved
    assert (tmp_path / "checkpoints" / FROZEN).exists() == (words[0] != "strategy=full")
    assert (
        read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["state_dict"].keys()
        == run.finetuner.state_dict().keys()
    )


def test_a_checkpoint_leaves_out_what_no_phase_has_trained_and_nothing_else(
    tmp_path: Path, saved: list[tuple[str, set[str]]]
) -> None:
    run = prepared(tmp_path, "strategy=phases", PHASES).fit()
    names = {
        "head": {"stem", "middle", "top"},
        "top": {"stem", "middle"},
        "back": {"stem", "middle"},
        "stem": {"middle"},
    }
    everything = set(run.finetuner.state_dict())
    for phase, own in saved:
        out = {name for name in everything if name.split(".")[:4][-1] in names[phase] and ".backbone." in name}
        assert out
        assert everything - own == out, phase


def test_what_is_untrained_includes_the_buffers_of_frozen_stages(tmp_path: Path) -> None:
    model = parts_of()[0].model
    backbone = {name for name in model.state_dict() if name.startswith("backbone.")}
    assert set(untrained(model, [])) == backbone
    assert "backbone.model.stem.norm.running_mean" in untrained(model, STAGES[1:])
    assert {name.split(".")[2] for name in untrained(model, STAGES[1:])} == {"stem"}
    assert untrained(model, STAGES) == []


def test_the_frozen_part_alone_is_refused_as_weights(ended: Path) -> None:
    with pytest.raises(
        UserError, match=r"frozen\.pt: holds only what no phase .* had trained .*give a \.ckpt beside it"
    ):
        weights.read(ended / "checkpoints" / FROZEN)


def test_a_bundle_may_be_read_by_whom_its_description_may(ended: Path) -> None:
    modes = {file.stat().st_mode for file in (ended / "bundle").iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_the_checkpoint_of_a_run_gives_all_its_weights_to_another_one(ended: Path, name: str) -> None:
    whole = read_checkpoint(ended / "checkpoints" / name)["state_dict"]
    found = weights.read(ended / "checkpoints" / name)
    assert_equal(dict(whole), {key: found[key] for key in whole})


def state() -> dict[str, Tensor]:
    return {"a": torch.arange(3.0), "b": torch.arange(4), "c": torch.zeros(2, 2)}


def left_by(part: FrozenPart, tensors: dict[str, Tensor], names: Sequence[str] = ("a", "b")) -> dict[str, Any]:
    """A checkpoint of these tensors, without what the part takes out."""
    checkpoint = {"state_dict": dict(tensors)}
    part.take_out(checkpoint, names)
    return checkpoint


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("how", ["in place", "through .data", "new data", "another tensor"])
def test_a_frozen_tensor_that_has_changed_is_written(tmp_path: Path, how: str, name: str) -> None:
    part, tensors = FrozenPart(tmp_path), state()
    content = left_by(part, tensors)[FROZEN_PART]
    for _ in range(3):  # a place in memory that is free again would be taken
        match how:
            case "in place":
                tensors[name].add_(1)
            case "through .data":
                tensors[name].data += 1
            case "new data":
                tensors[name].data = tensors[name] + 1
            case _:
                tensors[name] = tensors[name] + 1
        left = left_by(part, tensors)
        assert left[FROZEN_PART] == content
        assert set(left["state_dict"]) == {name, "c"}
    tensors[name] = state()[name]  # as weights that are put back
    assert set(left_by(part, tensors)["state_dict"]) == {"c"}


def test_a_tensor_of_another_type_with_the_same_values_is_written(tmp_path: Path) -> None:
    part = FrozenPart(tmp_path)
    left_by(part, state())
    assert "a" in left_by(part, {**state(), "a": state()["a"].double()})["state_dict"]


def test_a_process_that_goes_on_leaves_out_the_same(tmp_path: Path) -> None:
    content = left_by(FrozenPart(tmp_path), state())[FROZEN_PART]
    left = left_by(FrozenPart(tmp_path), state())
    assert left[FROZEN_PART] == content
    assert set(left["state_dict"]) == {"c"}
    assert FROZEN_PART not in left_by(FrozenPart(tmp_path / "nothing"), state(), [])


class Counts(nn.Module):
    """A module of the user's own, with all that a state may hold beside tensors of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.body = tiny_backbone().model
        self.register_buffer("seen", torch.zeros(2000))
        self._register_state_dict_hook(
            lambda module, state, prefix, _: state.update({f"{prefix}renamed": torch.ones(1)})
        )
        self._register_load_state_dict_pre_hook(lambda state, prefix, *_: state.pop(f"{prefix}renamed", None))
        self._version = 3
        self.versions: list[Any] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen = self.seen + 1  # another tensor each time
        return self.body(images)

    def get_extra_state(self) -> Tensor:
        return self.seen[:1].clone()

    def set_extra_state(self, state: Tensor) -> None:
        pass

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        self.versions.append(metadata.get("version"))
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def test_a_module_of_ones_own_is_saved_as_it_is_at_that_moment(
    tmp_path: Path, saved: list[tuple[str, set[str]]]
) -> None:
    module = Counts()
    stages = {"body": ["body"]}
    backbone = ModuleBackbone(module, stages, num_features=8, preprocessing=PREPROCESSING)
    words = ("strategy=head_only", "strategy.head_init=random", "cache=off", "trainer.max_epochs=3", EVERY_STEP)
    prepared(tmp_path, *words, backbone=backbone).fit()
    assert len(saved) == 15
    assert all("model.backbone.model.seen" in own for _, own in saved[1:])
    module.load_state_dict(
        {
            name.removeprefix("model.backbone.model."): value
            for name, value in last(tmp_path)["state_dict"].items()
            if name.startswith("model.backbone.model.")
        }
    )
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]._metadata["model.backbone.model"] == {
        "version": 3
    }


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended") / "run"
    train(ftlab.compose([*BASE, "strategy=head_only", "trainer.max_epochs=1"]), folder, splits(), tiny_backbone())
    return folder


def missing(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def of_another_run(file: Path) -> None:
    torch.save({**torch.load(file, weights_only=True), "name": "0123"}, file)


def something_else(file: Path) -> None:
    torch.save([1, 2], file)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing, r"frozen\.pt: is missing; it holds the weights that were frozen from the start\. Copy the"),
        (cut, r"frozen\.pt: truncated or not the frozen part of a run"),
        (of_another_run, r"frozen\.pt: is of another run than last\.ckpt\. Copy the checkpoints of a run as a whole"),
        (something_else, r"frozen\.pt: is not the frozen part of a run of ftlab\. Copy the"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_frozen_part_that_does_not_fit_ends_a_resume_by_its_name(
    ended: Path, tmp_path: Path, spoil: Any, said: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(ended, run)
    spoil(run / "checkpoints" / FROZEN)
    words = [f"resume={run}", "trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]", "strategy=head_only"]
    with pytest.raises(UserError, match=said):
        train(ftlab.compose([*BASE, *words]), data=splits(), backbone=tiny_backbone())


def test_a_run_from_before_there_was_such_a_file_goes_on(ended: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(ended, run)
    for file in (run / "checkpoints").glob("*.ckpt"):
        whole = read_checkpoint(file)
        del whole[FROZEN_PART]
        torch.save(whole, file)
    (run / "checkpoints" / FROZEN).unlink()
    words = [f"resume={run}", "trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]", "strategy=head_only"]
    report = train(ftlab.compose([*BASE, *words]), data=splits(), backbone=tiny_backbone())
    assert len(report["history"]) == 2
    assert last(run)[FROZEN_PART]
