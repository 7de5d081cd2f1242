"""refit=true: what val chose is trained anew on train and val together, and everything that is left says so."""

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ftlab
from ftlab.cache.keys import fingerprint
from ftlab.cache.steady import is_steady
from ftlab.cli import main
from ftlab.composition import compose
from ftlab.data.base import Splits
from ftlab.data.measured import joined
from ftlab.data.membership import record
from ftlab.inputs.images.files import ArrayImages
from ftlab.inputs.images.pictures import first_shapes
from ftlab.inputs.views import Joined, Selected
from ftlab.training.saving.checkpoints import Checkpoints
from ftlab.training.saving.loading import read_checkpoint
from tests.conftest import Command, close_handlers
from tests.training.tiny import BASE, PREPROCESSING, splits, tiny_backbone

SIZES = {"train": 40, "val": 12, "test": 20}
# Of chance: more epochs do not help for long, so that val chooses one before the last.
TABLE = ["data=table", "data.file=rows.csv", "task=regression", "data.target_columns=[y]", "data.split_column=part",
         "trainer.accelerator=cpu", "trainer.max_epochs=6", "backbone.width=8", "backbone.depth=2", "compile=off",
         "data.batch_size=8", "optimizer.lr=0.05", "strategy=full", "monitor=loss"]  # fmt: skip
CONSTANT = ["schedule=constant", "schedule.warmup=0"]


def write_rows(path: Path, val: str = "val") -> None:
    """Rows of train first, then those of val, which lie elsewhere, so that both together have another mean."""
    draw = random.Random(1)
    with open(path, "w", newline="") as stream:
        written = csv.writer(stream)
        written.writerow(["a", "b", "y", "part"])
        for part, count in SIZES.items():
            for _ in range(count):
                a, b = draw.gauss(0, 1) + (part == "val"), draw.gauss(0, 1)
                y = a / 2 + draw.gauss(0, 1) + (part == "val")
                written.writerow([f"{a:.3f}", f"{b:.3f}", f"{y:.3f}", val if part == "val" else part])


def report_of(run: str | Path) -> dict[str, Any]:
    return json.loads((Path(run) / "report.json").read_text())


def assert_same_bundle(one: Path, other: Path) -> None:
    """Weights bit for bit, and what was fitted to the training samples."""
    a, b = (load_file(run / "bundle" / "model.safetensors") for run in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    a, b = (json.loads((run / "bundle" / "bundle.json").read_text()) for run in (one, other))
    assert {key: a[key] for key in ("targets", "preprocessing")} == {
        key: b[key] for key in ("targets", "preprocessing")
    }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows.csv, a run on it, the same with a refit, and of that a copy in the middle of the refit."""
    folder, save = tmp_path_factory.mktemp("refit"), Checkpoints._save
    write_rows(folder / "rows.csv")

    def save_and_keep(self: Checkpoints, trainer: Any, module: Any, epoch: int | None = None) -> None:
        save(self, trainer, module, epoch)
        if self.folder.parent.name == "refit" and epoch == 0:
            shutil.copytree(folder / "run", folder / "killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Checkpoints, "_save", save_and_keep)
        assert main(["train", *TABLE, *CONSTANT, "hydra.run.dir=plain"]) == 0
        assert main(["train", *TABLE, *CONSTANT, "refit=true", "hydra.run.dir=run"]) == 0
        close_handlers()
    return folder


@pytest.fixture
def there(begun: Path, command: Command) -> Path:
    """The same in the folder of the test."""
    shutil.copytree(begun, Path.cwd(), dirs_exist_ok=True)
    return Path.cwd()


def test_the_bundle_is_of_a_run_on_both_splits_that_ends_with_the_epoch_that_val_chose(
    there: Path, command: Command
) -> None:
    chosen = report_of("run")["best"]["epoch"]
    assert 0 < chosen < 5  # else this would say little
    write_rows(there / "both.csv", val="train")
    words = [*TABLE, *CONSTANT, "data.file=both.csv", "data.split=[1,0,0]", f"trainer.max_epochs={chosen + 1}"]
    assert command("train", *words, "hydra.run.dir=both").code == 0
    assert report_of("both")["data"]["sizes"] == {"train": SIZES["train"] + SIZES["val"], "test": SIZES["test"]}
    assert_same_bundle(there / "run", there / "both")
    assert report_of("run")["metrics"]["test"] == report_of("both")["metrics"]["test"]
    assert (there / "run/checkpoints/last.ckpt").is_file()
    assert not list(there.glob("run/refit/checkpoints/*"))  # nothing needs them any more


def test_the_first_fit_is_that_of_a_run_without_refit_and_val_is_judged_by_it(begun: Path) -> None:
    plain, run = report_of(begun / "plain"), report_of(begun / "run")
    assert run["best"] == plain["best"]
    assert [one["val"] for one in run["history"]] == [one["val"] for one in plain["history"]]
    assert run["metrics"]["val"] == plain["metrics"]["val"]
    assert run["metrics"]["test"] != plain["metrics"]["test"]
    assert "refit" not in plain
    assert (run["refit"]["samples"], run["refit"]["epochs"]) == (52, run["best"]["epoch"] + 1)


def test_terminal_page_kept_split_and_evaluate_say_that_val_was_learned_from(there: Path, command: Command) -> None:
    epoch = report_of("run")["best"]["epoch"] + 1
    log, page = (there / "run/ftlab.log").read_text(), (there / "run/report.html").read_text()
    assert "refit: then anew on train and val together, 52 samples, up to the epoch that val has chosen" in log
    assert f"the bundle holds a refit on train and val together, 52 samples, up to epoch {epoch} (phase 1, full)" in log
    for text in (log, page):
        assert "val (first fit)" in text
    assert "the refit has learned from val" in page
    for folder, trained in (("run", ("train", "val")), ("run/bundle", ("train", "val")), ("plain", ("train",))):
        kept = record.read(there / folder)
        assert kept is not None
        assert kept.trained == trained
    for split, count in (("val", 12), ("all", 52), ("test", 0)):
        ended = command("evaluate", "bundle=run/bundle", f"split={split}", f"output={split}.json")
        said = (
            f"{count} of the {72 if split == 'all' else 12} samples are of train and val, which bundle=run/bundle has"
        )
        assert (said in ended.out) == bool(count)
    assert json.loads(Path("test.json").read_text())["metrics"] == pytest.approx(
        report_of("run")["metrics"]["test"], rel=1e-5
    )
    # Also where a file is no longer known as the run's own.
    shutil.copy("rows.csv", "copy.csv")
    ended = command("evaluate", "bundle=run/bundle", "data=table", "data.file=copy.csv", "split=all")
    assert "52 of the 72 samples are of train and val, which bundle=run/bundle has learned from together" in ended.out
    ended = command("train", *TABLE, "data.split_from=run", "trainer.max_epochs=1", "hydra.run.dir=next")
    assert "data.split_from=run: that run has learned from val too (refit=true)" in ended.out


def test_a_run_that_is_killed_in_its_refit_goes_on_there_and_ends_with_the_same_bits(there: Path) -> None:
    done = len(read_checkpoint(there / "killed/refit/checkpoints/last.ckpt")["ftlab"]["history"])
    assert done == 1
    ftlab.train(compose([*TABLE, *CONSTANT, "refit=true", "resume=killed"]))
    assert_same_bundle(there / "run", there / "killed")
    run, killed = report_of("run"), report_of("killed")
    assert killed["metrics"] == run["metrics"]
    assert [text for text in killed["warnings"] if "went on" in text] == [
        "refit: interrupted; went on in epoch 2, at its start"
    ]


def test_a_run_that_is_prolonged_is_refitted_anew(there: Path, command: Command) -> None:
    longer = ["trainer.max_epochs=9"]
    assert command("train", *TABLE, *CONSTANT, *longer, "refit=true", "hydra.run.dir=long").code == 0
    for run in ("run", "killed"):  # of the second there are checkpoints of a refit
        assert command("train", f"resume={run}", *longer, "resume_allow=[trainer.max_epochs]").code == 0
        assert_same_bundle(there / run, there / "long")
        assert report_of(run)["refit"]["epochs"] == report_of("long")["best"]["epoch"] + 1
        assert not any(text.startswith("refit:") for text in report_of(run)["warnings"])


def test_a_finished_run_is_refitted_where_that_is_allowed(there: Path, command: Command) -> None:
    assert command("train", "resume=plain", "refit=true").code == 2
    ended = command("train", "resume=plain", "refit=true", "resume_allow=[refit]")
    assert ended.code == 0, ended.err
    assert_same_bundle(there / "run", there / "plain")
    assert report_of("plain")["metrics"] == report_of("run")["metrics"]


def test_phases_and_rates_are_those_of_the_first_fit(there: Path, command: Command) -> None:
    words = [
        "strategy=progressive",
        "strategy.head_init=random",
        "strategy.groups=2",
        "schedule=cosine",
        "schedule.warmup=0",
    ]
    words += ["strategy.patience=1", "trainer.max_epochs=12", "checkpoint.keep=all", "refit=true"]
    ended = command("train", *TABLE, *words, "hydra.run.dir=run2")
    assert ended.code == 0, ended.err
    first, again = (
        read_checkpoint(there / where / "checkpoints/last.ckpt")["ftlab"]["history"] for where in ("run2", "run2/refit")
    )
    assert len(again) == report_of("run2")["best"]["epoch"] + 1
    assert len({one["phase"] for one in again}) > 1
    for one, other in zip(again, first, strict=False):
        assert one["phase"] == other["phase"]
        assert one["rates"][0] == other["rates"][0]  # of its first step; the others are more, since the epoch is longer


def test_images_and_a_network_of_ones_own_are_refitted_from_where_the_network_began(tmp_path: Path) -> None:
    words, data = [*BASE, "strategy=full", "monitor=loss"], splits()
    words += ["strategy.head_init=random", "optimizer.lr=0.003"]
    run = ftlab.train(compose([*words, "trainer.max_epochs=3", "refit=true"]), tmp_path / "run", data, tiny_backbone())
    words += [f"trainer.max_epochs={run['best']['epoch'] + 1}"]
    assert data.val is not None
    both = Splits(joined([data.train, data.val], data.target), None, data.test, data.target)
    ftlab.train(compose(words), tmp_path / "both", both, tiny_backbone())
    assert_same_bundle(tmp_path / "run", tmp_path / "both")


def test_joined_images_are_known_as_their_parts_are() -> None:
    """So that what is kept of them is found again, and decoded once."""
    large, small = (ArrayImages(np.full((4, size, size), size, np.uint8)) for size in (20, 10))
    first, second = Selected(large, [1]), Selected(small, [3, 2])
    both = Joined([first, second])
    shapes = [*first_shapes(PREPROCESSING, first), *first_shapes(PREPROCESSING, second)]
    assert None not in shapes
    assert [*first_shapes(PREPROCESSING, both)] == shapes
    assert fingerprint(both) is not None
    assert fingerprint(both) != fingerprint(Joined([second, first]))
    assert fingerprint(Joined([first, Unknown()])) is None
    assert is_steady(both, PREPROCESSING.transform())
    assert not is_steady(Joined([first, Unknown()]), PREPROCESSING.transform())


class Unknown:
    """A data set that gives another image each time."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8)


def test_without_a_val_split_there_is_no_refit(there: Path, command: Command) -> None:
    write_rows(there / "both.csv", val="train")
    for mode in ("train", "plan"):
        ended = command(mode, *TABLE, "data.file=both.csv", "data.split=[1,0,0]", "refit=true", "hydra.run.dir=none")
        assert ended.code == 2
        assert "refit=true: what val chose is trained anew on train and val, and there is no val split" in ended.err
