"""What a person adds from outside, by trusted_modules and YAML alone: a kind of input, a kind of target, its task, a
head, a backbone and a source, through every mode of the command line. All of it is in tests/extension/.
"""

import json
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

import ftlab
from ftlab.cli import main
from tests.conftest import ROOT, Command, close_handlers

FOLDER = ROOT / "tests" / "extension"
TRUST = "trusted_modules=[intervals]"
CONF = f"--config-dir={FOLDER / 'conf'}"
RUN = ["data=lines", "trainer.max_epochs=3", "cache=memory", "optimizer.lr=0.03", "trainer.accelerator=cpu", "seed=3"]

MOVES = {"tall": 6, "short": -6, "old": 3, "new": -3, "red": 1, "blue": -1, "rich": 8, "poor": -8}
WIDENS = {"maybe": 2.0, "surely": 0.25, "about": 1.0}
WORDS = [*MOVES, *WIDENS]


def truth(text: str) -> tuple[float, float]:
    """What every line of the data is made by: a text's words move the middle of its interval, or widen it."""
    words = text.split()
    middle, half = 50 + sum(MOVES.get(word, 0) for word in words), 3 + sum(WIDENS.get(word, 0) for word in words)
    return middle - half, middle + half


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(3, 7))) for _ in range(count)]


def lines(these: list[str]) -> str:
    return "".join(f"{text}\t{truth(text)[0]}\t{truth(text)[1]}\n" for text in these)


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(both, 0.0) / (max(one[1], other[1]) - min(one[0], other[0]))


@pytest.fixture(autouse=True, scope="module")
def importable() -> Iterator[None]:
    """The folder of the user's own module belongs on PYTHONPATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield
    close_handlers()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extension")
    (folder / "lines.tsv").write_text(lines(texts(400, seed=0)))
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    folder = place / "run"
    assert main(["train", *words(place), f"hydra.run.dir={folder}"]) == 0
    return folder


def words(place: Path) -> list[str]:
    return [CONF, TRUST, *RUN, f"data.file={place / 'lines.tsv'}"]


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def of_file(place: Path) -> dict[str, tuple[float, float]]:
    rows = (line.split("\t") for line in (place / "lines.tsv").read_text().splitlines())
    return {text: (float(low), float(high)) for text, low, high in rows}


def test_it_learns_far_more_than_the_one_interval_that_would_fit_all(run: Path, place: Path) -> None:
    found, pairs = report(run), list(of_file(place).values())
    mean = tuple(sum(ends) / len(pairs) for ends in zip(*pairs, strict=True))
    baseline = sum(overlap(mean, pair) for pair in pairs) / len(pairs)
    val, test = found["metrics"]["val"]["iou"], found["metrics"]["test"]["iou"]
    assert test > baseline + 0.35
    assert found["objective"] == {"name": "iou", "value": val, "mode": "max", "split": "val"}
    assert [phase["name"] for phase in found["phases"]] == ["head", "second", "first"]
    assert [phase["cache"]["train"] for phase in found["phases"]] == ["memory", "memory", "off"]
    assert not [text for text in found["data"]["warnings"] if "index" in text]  # texts are known again by themselves


class Stops:
    """Standard output that presses Ctrl-C once the first epoch is told."""

    def __init__(self, inner: TextIO) -> None:
        self.inner, self.stopped = inner, False

    def write(self, text: str) -> int:
        if text.startswith("epoch   1") and not self.stopped:
            self.stopped = True
            signal.raise_signal(signal.SIGINT)
        return self.inner.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_run_that_is_resumed_in_the_middle_of_a_phase_ends_bit_for_bit_as_one_without_a_break(
    run: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "broken"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Stops(sys.stdout))
        assert main(["train", *words(place), f"hydra.run.dir={folder}"]) == 130
    assert main(["train", CONF, TRUST, f"resume={folder}"]) == 0, capsys.readouterr().err
    one, other = report(run), report(folder)
    assert (other["resumed"][0]["epoch"], other["resumed"][0]["batch"]) == (1, 1)
    assert (folder / "bundle" / "model.safetensors").read_bytes() == (run / "bundle" / "model.safetensors").read_bytes()
    assert other["metrics"] == one["metrics"]
    assert other["overlaps"] == one["overlaps"]


@pytest.mark.parametrize("named", [False, True], ids=["the run's data", "data of the option, which brings its task"])
def test_evaluation_repeats_the_figures_of_the_report(named: bool, run: Path, command: Command) -> None:
    data = [CONF, "data=lines", f"data.file={run.parent / 'lines.tsv'}"] if named else []
    done = command("evaluate", f"bundle={run / 'bundle'}", TRUST, "batch_size=8", "output=found.json", *data)
    assert done.code == 0, done.err
    found = json.loads(Path("found.json").read_text())
    assert found["metrics"] == report(run)["metrics"]["test"]


def test_another_file_of_the_users_own_source_is_measured_whole(run: Path, command: Command) -> None:
    these = texts(30, seed=4)
    Path("new.tsv").write_text(lines(these))
    data = [CONF, TRUST, "data=lines", "data.file=new.tsv", "output=found.json"]
    done = command("evaluate", f"bundle={run / 'bundle'}", *data)
    assert done.code == 0, done.err
    found = json.loads(Path("found.json").read_text())
    said = ftlab.load(run / "bundle", trusted_modules=["intervals"]).predict(these)
    overlaps = [overlap((one["low"], one["high"]), truth(text)) for one, text in zip(said, these, strict=True)]
    assert (found["split"], found["samples"]) == ("all", 30)
    assert found["metrics"]["iou"] == pytest.approx(sum(overlaps) / 30, abs=0.02)  # predictions are rounded
    refused = command("evaluate", f"bundle={run / 'bundle'}", CONF, TRUST, "split=all")
    assert refused.code == 2
    assert "of several splits cannot be put together; choose one of them by split=" in refused.err


def test_predictions_of_texts_of_a_file_are_near_the_truth_in_its_units(run: Path, command: Command) -> None:
    new = [text for text in texts(60, seed=1) if text not in of_file(run.parent)]
    Path("new.txt").write_text("\n".join(new))
    told = ["input=new.txt", "output=found.jsonl", "settings.digits=1", TRUST]
    done = command("predict", f"bundle={run / 'bundle'}", *told)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [(one["file"], one["line"]) for one in found] == [("new.txt", n) for n in range(1, len(new) + 1)]
    overlaps = [overlap((one["low"], one["high"]), truth(text)) for one, text in zip(found, new, strict=True)]
    assert sum(overlaps) / len(overlaps) == pytest.approx(report(run)["metrics"]["test"]["iou"], abs=0.1)
    alone = ftlab.load(run / "bundle", trusted_modules=["intervals"]).predict(new[0])[0]
    assert {end: round(value, 1) for end, value in alone.items()} == {end: found[0][end] for end in ("low", "high")}
    refused = command("predict", f"bundle={run / 'bundle'}", "input=new.txt", "settings.digit=1", TRUST)
    assert (refused.code, "did you mean 'digits'" in refused.err) == (2, True), refused.err


def test_the_report_has_its_section_and_its_worst_samples(run: Path) -> None:
    page, counts = (run / "report.html").read_text(), report(run)["overlaps"]["counts"]
    assert sum(counts) == report(run)["data"]["sizes"]["test"]
    for text in ("Overlaps, test", "0.8 to 1.0", "Samples by overlap", "The intervals that are met least", "(overlap "):
        assert text in page
    assert any(text in page for text in of_file(run.parent))  # the cells of a worst sample


def test_what_the_bundle_keeps_is_read_only_where_the_module_is_trusted(run: Path) -> None:
    stored = json.loads((run / "bundle" / "bundle.json").read_text())
    assert stored["targets"].keys() == {"kind", "train_samples", "middle", "spread"}
    assert stored["targets"]["kind"] == "intervals.Intervals"
    assert stored["preprocessing"] == {"kind": "intervals.Words", "vocabulary": sorted(WORDS), "most": None}
    with pytest.raises(ftlab.UserError, match=r"intervals.* may not be named"):
        ftlab.load(run / "bundle")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["augment.mixup=0.2"], "augment: intervals do not follow an image that is varied; use augment=none"),
        (["task=regression"], "needs numbers as targets, and data=intervals has intervals; choose task=interval"),
    ],
)
def test_what_does_not_fit_is_refused(typed: list[str], said: str, place: Path, command: Command) -> None:
    done = command("plan", *words(place), "cache=off", *typed)
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_check_names_lines_that_cannot_be_used_and_a_run_may_leave_them_out(place: Path, command: Command) -> None:
    Path("bad.tsv").write_text(lines(texts(40, seed=2)) + "tall\t5\t3\nold\tnan\t3\nrich 7\n")
    done = command("check", CONF, TRUST, "data=lines", "data.file=bad.tsv")
    assert done.code == 2
    for said in ("bad.tsv:41 has the target 5.0 to 3.0", "bad.tsv:42 has the target nan to 3.0", "bad.tsv:43"):
        assert said in done.out
