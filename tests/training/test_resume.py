"""A run that was killed goes on as if it had not been: within epochs and at their ends, over all phases."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab.run import train
from ftlab.training.saving.loading import read_checkpoint
from tests.training.tiny import BASE, splits, tiny_backbone

SETTINGS = [
    "subset=60",
    "data.split=[0.9,0.05,0.05]",
    "data.image_size=32",
    "data.batch_size=16",
    "backbone.name=resnet10t",
    "backbone.pretrained=false",
    "backbone.drop_rate=0.2",
    "backbone.drop_path_rate=0.2",
    "augment=strong",
    "strategy.batchnorm=train",
    "strategy=progressive",
    "strategy.groups=2",
    "strategy.head_share=0.5",
    "strategy.patience=1",
    "strategy.min_delta=0.5",
    "schedule=plateau",
    "trainer.max_epochs=8",
    "trainer.accumulate_grad_batches=2",
    "trainer.accelerator=cpu",
    "checkpoint.every_n_steps=1",
]


def last(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def assert_equal(a: Any, b: Any, place: str = "") -> None:
    """Bit for bit, through nested containers."""
    assert type(a) is type(b), place
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            assert_equal(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{place}[{i}]")
    else:
        assert a == b, place


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    measured = {"seconds", "step_seconds", "peak_memory_bytes"}
    return [{k: v for k, v in record.items() if k not in measured} for record in history]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, with a copy of its folder as it was after each epoch, and in the middle of each."""
    from ftlab.training.saving.checkpoints import Checkpoints

    folder = tmp_path_factory.mktemp("resume") / "whole"
    save = Checkpoints._save

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        place = "within" if epoch is None else "after"
        shutil.copytree(folder, folder.parent / f"{place}-{trainer.current_epoch}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_save", save_and_keep)
        train(ftlab.compose(SETTINGS), folder)
    return folder


def test_the_run_has_several_phases_and_one_ends_early(whole):
    """Else the tests below would say little."""
    history = last(whole)["ftlab"]["history"]
    names = [record["phase"] for record in history]
    assert len(set(names)) == 3
    assert len(names) == 6


ALL = [f"after-{epoch}" for epoch in range(6)] + [f"within-{epoch}" for epoch in (0, 2, 3, 5)]
QUICK = ("after-1", "within-2", "after-4")  # a place in each phase; the others are slow proofs of the same
PLACES = [pytest.param(place, marks=() if place in QUICK else pytest.mark.slow) for place in ALL]


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_ends_bit_identical(whole, place, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(whole.parent / place, killed)
    train(ftlab.compose([*SETTINGS, f"resume={killed}"]))
    a, b = last(whole), last(killed)
    assert_equal(a["state_dict"], b["state_dict"])
    assert_equal(a["optimizer_states"], b["optimizer_states"])
    assert_equal(without_times(a["ftlab"]["history"]), without_times(b["ftlab"]["history"]))


@pytest.mark.parametrize("torn", [b"PK", *(pytest.param(one, marks=pytest.mark.slow) for one in (b"", None))])
def test_a_torn_checkpoint_falls_back_to_the_one_before_it(whole, torn, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(whole.parent / "within-3", killed)
    path = killed / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-5000] if torn is None else torn)
    with pytest.warns(UserWarning, match=r"last\.ckpt: .*going on from previous\.ckpt"):
        train(ftlab.compose([*SETTINGS, f"resume={killed}"]))
    assert_equal(last(whole)["state_dict"], last(killed)["state_dict"])


def test_more_epochs_prolong_the_last_phase(whole, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(whole.parent / "after-3", killed)
    assert not (killed / "report.json").exists()
    longer = [s for s in SETTINGS if not s.startswith("trainer.max_epochs")] + ["trainer.max_epochs=20"]
    train(ftlab.compose([*longer, f"resume={killed}", "resume_allow=[trainer.max_epochs]"]))
    assert last(killed)["ftlab"]["phases"] == [3, 3, 14]  # as begun: 3, 3 and 2
    report = json.loads((killed / "report.json").read_text())
    assert report["resumed"] == [{"epoch": 4, "batch": 0, "processes": 1, "processes_before": 1}]
    assert "interrupted; went on in epoch 5, at its start" in report["warnings"]
    names = [record["phase"] for record in last(killed)["ftlab"]["history"]]
    assert names[:4] == [record["phase"] for record in last(whole)["ftlab"]["history"][:4]]


def test_a_finished_run_goes_on_with_more_epochs_and_its_bundle_with_it(whole, tmp_path):
    finished = tmp_path / "finished"
    shutil.copytree(whole, finished)
    before = (finished / "bundle" / "bundle.json").read_text()
    longer = [s for s in SETTINGS if not s.startswith("trainer.max_epochs")] + ["trainer.max_epochs=12"]
    longer += ["early_stopping.patience=50"]  # its last phase ended on a plateau
    train(ftlab.compose([*longer, f"resume={finished}", "resume_allow=[trainer.max_epochs,early_stopping.patience]"]))
    assert len(last(finished)["ftlab"]["history"]) > len(last(whole)["ftlab"]["history"])
    assert (finished / "bundle" / "bundle.json").read_text() != before


def test_another_config_is_refused_by_name(whole):
    changed = [s for s in SETTINGS if not s.startswith("data.batch_size")]
    with pytest.raises(ftlab.UserError, match=r"data\.batch_size \(16 -> 32\)"):
        train(ftlab.compose([*changed, f"resume={whole.parent / 'after-0'}"]))


def test_a_finished_run_is_not_run_again(whole):
    with pytest.raises(ftlab.UserError, match="finished"):
        train(ftlab.compose([*SETTINGS, f"resume={whole}"]))


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ftlab.UserError, match="no run there"):
        train(ftlab.compose([*SETTINGS, f"resume={tmp_path}"]))


def test_a_folder_that_holds_a_run_is_not_used_again(whole):
    with pytest.raises(ftlab.UserError, match="holds a run already"):
        train(ftlab.compose(SETTINGS), whole)


def test_a_finished_run_is_refused_where_no_epoch_is_left_and_stays_as_it_was(tmp_path):
    folder, words = tmp_path / "run", [*BASE, "strategy=head_only", "strategy.head_init=random"]
    train(ftlab.compose([*words, "trainer.max_epochs=2"]), folder, splits(), tiny_backbone())
    log = folder / "ftlab.log"  # in which each attempt is written down
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file != log}
    again = [*words, f"resume={folder}", "resume_allow=[trainer.max_epochs]"]
    for epochs in (1, 2):
        said = rf"2 epochs are done, and {epochs} are asked for; give trainer\.max_epochs above 2"
        with pytest.raises(ftlab.UserError, match=said):
            train(ftlab.compose([*again, f"trainer.max_epochs={epochs}"]), data=splits(), backbone=tiny_backbone())
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file != log} == before
    assert log.read_text().endswith("2 are asked for; give trainer.max_epochs above 2\n")
    report = train(ftlab.compose([*again, "trainer.max_epochs=3"]), data=splits(), backbone=tiny_backbone())
    assert len(report["history"]) == 3
    assert report["phases"][0]["cache"]["computed"] == 60  # train and val, each time anew
