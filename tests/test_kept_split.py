"""A run and its bundle know which sample was in which split: later data are held against it, on the command line."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab import earlier, survey
from ftlab.cli import main
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.data.base import Samples, Splits
from ftlab.data.membership import record
from ftlab.data.membership.holding import Held, Hold
from ftlab.earlier import check_classes
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from tests.conftest import Command, close_handlers
from tests.data.pictures import write_classes, write_image
from tests.training.tiny import splits as pictures
from tests.training.tiny import tiny_backbone

NOISE = [
    "data=table",
    "data.file=noise.csv",
    "data.label_column=y",
    "data.split=[0.6,0.1,0.3]",
    "trainer.accelerator=cpu",
]
SHORT = ["strategy=full", "trainer.max_epochs=2", "backbone.width=8", "backbone.depth=1", "compile=off"]


def write_noise(folder: Path, count: int = 60) -> list[str]:
    """Rows of chance, and the lines of the file."""
    draw = random.Random(5)
    rows = [",".join([f"{draw.gauss(0, 1):.4f}" for _ in range(5)] + [draw.choice("ab")]) for _ in range(count)]
    lines = ["c0,c1,c2,c3,c4,y", *rows]
    (folder / "noise.csv").write_text("\n".join(lines) + "\n")
    return lines


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with noise.csv and a finished run on it."""
    folder = tmp_path_factory.mktemp("kept")
    write_noise(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *NOISE, *SHORT, "hydra.run.dir=run"]) == 0
        close_handlers()
    return folder


@pytest.fixture
def there(begun: Path, command: Command) -> Path:
    """The same in the folder of the test."""
    shutil.copytree(begun, Path.cwd(), dirs_exist_ok=True)
    return Path.cwd()


def sizes(run: str | Path) -> dict[str, int]:
    return json.loads((Path(run) / "report.json").read_text())["data"]["sizes"]


def test_a_run_and_its_bundle_keep_the_same_record(begun: Path) -> None:
    run = record.read(begun / "run")
    bundle = record.read(begun / "run" / "bundle")
    assert run is not None
    assert bundle is not None
    assert run.same(bundle)
    counted = {split: int((run.splits == place).sum()) for place, split in enumerate(record.SPLITS)}
    assert counted == sizes(begun / "run")


def evaluated(command: Command, *words: str) -> tuple[dict[str, Any], str]:
    ended = command("evaluate", "bundle=run/bundle", *words, "output=found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())
    Path("found.json").unlink()
    return found, ended.out


def test_a_row_more_leaves_the_figures_of_the_test_split_as_they_were(there: Path, command: Command) -> None:
    before, said = evaluated(command)
    assert "the data are not" not in said
    own, line = evaluated(command, *NOISE[:-1]), (there / "noise.csv").read_text().splitlines()
    assert own[0]["metrics"] == before["metrics"]
    more = [",".join([*(f"{float(cell) + 0.01:.4f}" for cell in row.split(",")[:-1]), "a"]) for row in line[1:9]]
    (there / "noise.csv").write_text("\n".join([*line, *more]) + "\n")
    for words in ([], NOISE[:-1]):
        found, said = evaluated(command, *words)
        kept = record.read(there / "run")
        assert kept is not None
        joined = found["samples"] - before["samples"]
        assert 0 <= joined <= 8
        # Of the old rows of test as many are right as before: all that the new ones can change is their own number.
        right = [round(one["metrics"]["accuracy"] * one["samples"]) for one in (before, found)]
        assert right[0] <= right[1] <= right[0] + joined
        assert "the data are not those of bundle=run/bundle: 8 new (" in said
        assert any("8 new" in warning for warning in found["warnings"])


def test_what_went_and_what_is_labelled_anew_is_counted_in_the_evaluation(there: Path, command: Command) -> None:
    lines = write_noise(there)
    other = [
        row[:-1] + ("b" if row.endswith("a") else "a") if place in (4, 9) else row for place, row in enumerate(lines)
    ]
    (there / "noise.csv").write_text("\n".join(other[:1] + other[2:]) + "\n")
    assert "1 gone, 2 labelled anew; 59 samples are there" in evaluated(command)[1]


def test_other_data_are_not_held_against_the_run(there: Path, command: Command) -> None:
    (there / "other.csv").write_text("\n".join(write_noise(there)[:40]) + "\n")
    assert "the data are not" not in evaluated(command, *NOISE[:-1], "data.file=other.csv")[1]


def test_a_bundle_without_a_record_is_evaluated_as_before_with_a_line_that_says_so(
    there: Path, command: Command
) -> None:
    before = evaluated(command)[0]
    (there / "run" / "bundle" / record.FILE).unlink()
    found, said = evaluated(command)
    assert found["metrics"] == before["metrics"]
    assert "bundle=run/bundle keeps no split (split.safetensors is missing" in said


GO_ON = ["resume=run", "trainer.max_epochs=3"]


def test_other_data_are_refused_on_resuming_unless_they_are_allowed(there: Path, command: Command) -> None:
    files = [path for path in (there / "run").rglob("*") if path.is_file() and not path.match(".hydra/*")]
    kept = {path: path.read_bytes() for path in files if path.name not in (".lock", "ftlab.log")}
    old = sizes("run")
    lines = write_noise(there)
    (there / "noise.csv").write_text("\n".join([*lines[:1], *lines[3:], lines[3].replace("0", "1")]) + "\n")
    ended = command("train", *GO_ON, "resume_allow=[trainer.max_epochs]")
    assert ended.code == 2
    assert "1 new" in ended.err
    assert "2 gone" in ended.err
    assert {path: path.read_bytes() for path in kept} == kept
    ended = command("train", *GO_ON, "resume_allow=[trainer.max_epochs,data]")
    assert ended.code == 0, ended.err
    now = sizes("run")
    assert sum(now.values()) == 59
    assert max(abs(now[split] - old[split]) for split in old) <= 2
    warnings = json.loads((there / "run" / "report.json").read_text())["data"]["warnings"]
    assert any("1 new" in text and "2 gone" in text for text in warnings)
    # What is there now is what the run knows from here on.
    assert command("train", "resume=run", "trainer.max_epochs=4", "resume_allow=[trainer.max_epochs]").code == 0
    assert sizes("run") == now
    assert "the data are not" not in evaluated(command)[1]


def test_a_run_takes_the_split_of_another_with_another_seed_and_more_rows(there: Path, command: Command) -> None:
    lines = write_noise(there, 70)
    assert len(lines) == 71
    words = [*NOISE, *SHORT, "seed=8", "trainer.max_epochs=1"]
    assert command("train", *words, "data.split_from=run/bundle", "hydra.run.dir=second").code == 0
    first, second = record.read(there / "run"), record.read(there / "second")
    assert first is not None
    assert second is not None
    where = dict(zip(second.samples.tolist(), second.splits.tolist(), strict=True))
    assert {sample: where[sample] for sample in first.samples.tolist()} == dict(
        zip(first.samples.tolist(), first.splits.tolist(), strict=True)
    )
    assert len(second) == 70
    # Its own bundle is held against its own record, though the run that it took the split from is gone.
    (there / "run").rename(there / "gone")
    assert command("evaluate", "bundle=second/bundle").out.startswith(
        f"test: {(second.splits == 2).sum()} of 70 samples"
    )
    missing = command("train", *words, "data.split_from=run", "hydra.run.dir=third")
    assert missing.code == 2
    assert "data.split_from=run: no split there" in missing.err


def test_plan_and_check_know_the_split_that_is_taken(there: Path, command: Command) -> None:
    for mode in ("plan", "check"):
        ended = command(mode, *NOISE, *SHORT, "seed=8", "data.split_from=run")
        assert ended.code == 0, ended.err
        assert "the split is that of data.split_from=run" in " ".join(ended.out.split())


# --- images


def folder_data(root: Path, check: str = "fast") -> dict[str, Any]:
    words = ["data=image_folder", f"data.root={root}", "data.split=[0.6,0.2,0.2]", f"data.check={check}"]
    return dict(plainly(compose(words))["data"])


def names(found: Held, root: Path) -> dict[str, list[str]]:
    return {split: [str(Path(n).relative_to(root)) for n in s.names] for split, s in found.splits.parts().items()}


def test_a_file_more_leaves_the_others_in_their_split_wherever_the_folder_lies(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", cat=20, dog=20)
    before = survey.surveyed(folder_data(root), 0, hold=Hold(records=True))
    old = names(before, root)
    write_image(root / "cat" / "0a.png", (1, 2, 3))
    (root / "dog" / "7.png").unlink()
    write_image(root / "dog" / "8.png", (5, 6, 7), size=(40, 30))
    root = root.rename(tmp_path / "moved")
    assert names(survey.surveyed(folder_data(root), 0), root)["test"] != old["test"]
    hold = Hold("the run", before.membership, records=True)
    after = survey.surveyed(folder_data(root), 0, hold=hold)
    now = names(after, root)
    home = next(split for split in now if "cat/0a.png" in now[split])
    wanted = {split: [name for name in there if name != "dog/7.png"] for split, there in old.items()}
    assert now == {**wanted, home: [*wanted[home], "cat/0a.png"]}
    assert len(after.said) == 1
    assert f"1 new (1 in {home}), 1 gone, 1 changed in their files" in after.said[0]


def test_a_full_check_looks_at_the_bytes_of_files_too(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", cat=6, dog=6)
    fast, full = (survey.surveyed(folder_data(root, level), 0, hold=Hold(records=True)) for level in ("fast", "full"))
    file = root / "cat" / "3.png"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # of the sum at the end of the last chunk, which Pillow does not look at
    file.write_bytes(data)
    for before, counted in ((fast, False), (full, True)):
        after = survey.surveyed(folder_data(root), 0, hold=Hold("the run", before.membership))
        assert any("1 changed in their files" in text for text in after.said) is counted


# --- data of Python, other processes


def test_the_data_sets_of_python_are_compared_by_index_and_that_is_told(tmp_path: Path) -> None:
    def given(labels: list[int]) -> Splits:
        items = [(torch.full((3, 8, 8), 9 * place, dtype=torch.uint8), label) for place, label in enumerate(labels)]
        return ftlab.from_datasets(items, test=items[:4])

    words = [
        "strategy=head_only",
        "trainer.max_epochs=1",
        "data.batch_size=4",
        "trainer.accelerator=cpu",
        "compile=off",
    ]
    labels = [0, 1, 0, 1, 0, 1, 0, 1]
    report = ftlab.train(compose(words), tmp_path / "run", given(labels), tiny_backbone())
    assert sum("known by their index alone" in text for text in report["data"]["warnings"]) == 1
    go_on = [*words, f"resume={tmp_path / 'run'}", "trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]"]
    with pytest.raises(UserError, match=r"1 new \(1 in train\), 3 labelled anew; 13 samples are there"):
        ftlab.train(compose(go_on), data=given([1, 1, 0, 1, 0, 0, 0, 1, 1]), backbone=tiny_backbone())


def test_only_the_first_process_keeps_a_record_and_looks_at_files(tmp_path: Path) -> None:
    settings = {"resume": None, "resume_allow": []}
    assert earlier.of_run(tmp_path, settings, is_main=True) == Hold(records=True)
    assert earlier.of_run(tmp_path, settings, is_main=False) == Hold(contents=False)
    other = survey.held(pictures(), earlier.of_run(tmp_path, settings, is_main=False), None, "bytes")
    assert other.membership is None


def test_every_process_of_a_resumed_run_deals_alike(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", cat=20, dog=20)
    first = survey.surveyed(folder_data(root, "full"), 0, hold=Hold(records=True))
    write_image(root / "cat" / "0a.png", (1, 2, 3))
    write_image(root / "dog" / "8.png", (5, 6, 7), size=(40, 30))
    assert first.membership is not None
    record.write(tmp_path, first.membership)
    settings = {"resume": str(tmp_path), "resume_allow": ["data"]}
    main, other = (
        survey.surveyed(folder_data(root, "full"), 0, hold=earlier.of_run(tmp_path, settings, is_main))
        for is_main in (True, False)
    )
    assert names(main, root) == names(other, root)
    assert main.membership is not None
    record.write(tmp_path, main.membership)  # a process that reads later finds what the first one wrote
    late = survey.surveyed(folder_data(root, "full"), 0, hold=earlier.of_run(tmp_path, settings, is_main=False))
    assert names(late, root) == names(main, root)
    assert other.membership is None


# --- sequences


def test_new_windows_join_the_split_of_their_sequence(tmp_path: Path) -> None:
    def write(series: int, steps: int) -> None:
        draw = random.Random(1)
        lines = ["who,x,y"]
        for one in range(series):
            lines += [f"s{one},{draw.gauss(0, 1):.4f},{draw.gauss(0, 1):.4f}" for _ in range(30)][:steps]
        (tmp_path / "long.csv").write_text("\n".join(lines) + "\n")

    words = ["data=sequence", f"data.root={tmp_path}", "data.file=long.csv", "data.series_column=who", "data.window=4"]
    words += ["data.target_columns=[y]", "data.split=[0.5,0.2,0.3]", "task=regression"]
    node = plainly(compose(words))["data"]

    def homes(found: Held) -> dict[str, set[str]]:
        """Splits of each sequence."""
        told: dict[str, set[str]] = {}
        for split, samples in found.splits.parts().items():
            for name in samples.names:
                told.setdefault(name.rpartition("(")[2], set()).add(split)
        return told

    write(10, 12)
    before = survey.surveyed(node, 0, hold=Hold(records=True))
    write(14, 15)
    after = survey.surveyed(node, 0, hold=Hold("the run", before.membership))
    assert all(len(splits) == 1 for splits in homes(after).values())
    assert homes(before).items() <= homes(after).items()
    assert len(homes(after)) == 14


def test_samples_of_ones_own_that_do_not_fit_are_an_error_as_before() -> None:
    bad = Splits(Samples([{"x": 1.0}], torch.tensor([0, 1])), None, None, Classes(("a", "b")), kind="table")
    assert survey.held(bad, Hold(records=True), None, "size").splits is bad


def test_a_run_does_not_go_on_where_its_outputs_would_mean_other_classes(there: Path, command: Command) -> None:
    """The head has learned a and b; of b and z the same outputs would be those of other classes."""
    more = ["resume=run", "trainer.max_epochs=3", "resume_allow=[data,trainer.max_epochs]"]
    lines = (there / "noise.csv").read_text().splitlines()
    renamed = [line[:-1] + "z" if line.endswith(",a") else line for line in lines]
    (there / "noise.csv").write_text("\n".join(renamed) + "\n")
    told = command("train", *more)
    assert told.code == 2
    assert told.err == "ftlab: resume=run: its outputs are the classes a, b; those of the data are b, z; start anew\n"


def test_a_run_of_before_the_order_of_numbers_is_known_by_its_classes() -> None:
    names = tuple(str(number) for number in range(11))
    check_classes(Path("run"), None, names[:10], images=True)
    check_classes(Path("run"), None, names, images=False)  # tables had the order of numbers
    check_classes(Path("run"), None, ("Trouser", "Coat"), images=True)  # the data's own order
    check_classes(Path("run"), names, names, images=True)
    with pytest.raises(
        UserError,
        match=r"its outputs are the classes 0, 1, 10, 2 and 7 more; those of the data are 0, 1, 2",
    ):
        check_classes(Path("run"), None, names, images=True)
