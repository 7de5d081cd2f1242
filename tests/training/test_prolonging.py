"""A run that goes on with more epochs: which phases are followed, and what it says of what ran before."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ftlab.cache.decide import Choice
from ftlab.cache.supply import Supply
from ftlab.composition import compose
from ftlab.errors import UserError
from ftlab.resume import is_unasked, went_on
from ftlab.run import train
from ftlab.schedules.cosine import Cosine
from ftlab.strategies.base import Phase, end
from ftlab.training.phases.prolonging import gone_on, longer
from ftlab.training.phases.rates import RatePlan
from tests.training.test_caching_resume import resumed
from tests.training.tiny import BASE, prepared, splits, tiny_backbone

HEAD = Phase("head", 2, {"head/fc": 1.0})
TOP = Phase("top", 2, {"backbone/top": 0.1, "head/fc": 1.0})
ALL = Phase("all", 2, {"backbone/stem": 0.1, "backbone/top": 0.1, "head/fc": 1.0})
AGAIN = Phase("head again", 2, {"head/fc": 1.0})
RUN = [HEAD, TOP, ALL]
NAMES = ["head"] * 2 + ["top"] * 2 + ["all"] * 2
FILE = "strategy.file"


def saved(epochs: int, phases: list[Phase] = RUN) -> dict[str, Any]:
    """What a checkpoint says after so many epochs."""
    history = [{"phase": name} for name in NAMES[:epochs]]
    return {
        "history": history,
        "epoch": None,
        "phases": [phase.epochs for phase in phases],
        "plan": [asdict(phase) for phase in phases],
        "over": epochs == sum(phase.epochs for phase in phases),
    }


def after(epochs: int) -> list[float | None]:
    return [1.0 / (1 + epoch) for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("done", "phases"),
    [
        (6, [*RUN, AGAIN]),
        (6, [HEAD, TOP, replace(ALL, epochs=4)]),  # the last one goes on
        (6, [HEAD, TOP, replace(ALL, epochs=4), AGAIN]),
        (3, [HEAD, replace(TOP, epochs=5), ALL]),  # it runs, and grows
        (3, [HEAD, TOP, AGAIN, ALL]),  # what has not begun is free
        (3, [HEAD, replace(TOP, rates={"head/fc": 0.5})]),  # from here on
        (4, [HEAD, TOP, AGAIN]),
    ],
)
def test_phases_of_a_file_are_followed_as_they_are_where_what_was_run_fits_them(done: int, phases: list[Phase]) -> None:
    assert longer(saved(done), phases, after(done), FILE) == phases


@pytest.mark.parametrize(
    ("done", "phases", "words"),
    [
        (6, [replace(HEAD, epochs=1), TOP, ALL, AGAIN], ["epoch 2", "'head'", "'top'", "head 2, top 2, all 2"]),
        (6, [replace(HEAD, epochs=3), TOP, ALL, AGAIN], ["epoch 3", "'top'", "'head'"]),
        (6, [HEAD, ALL, AGAIN], ["epoch 3", "'top'", "'all'"]),
        (3, [HEAD, replace(ALL, epochs=9)], ["epoch 3", "'top'", "'all'"]),
        (6, [HEAD, TOP, replace(ALL, epochs=1)], ["epoch 6", "'all'", "after the last phase"]),
        (3, [replace(HEAD, rates={"head/fc": 0.5}), TOP, ALL], ["'head' has ended", "stages"]),
        (6, [HEAD, replace(TOP, batchnorm="train"), ALL, AGAIN], ["'top' has ended", "batchnorm"]),
    ],
)
def test_phases_of_a_file_that_what_was_run_does_not_fit_are_refused(
    done: int, phases: list[Phase], words: list[str]
) -> None:
    with pytest.raises(UserError, match=FILE) as caught:
        longer(saved(done), phases, after(done), FILE)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_checkpoint_of_before_knows_its_phases_by_name_only() -> None:
    old = {key: value for key, value in saved(6).items() if key not in ("plan", "over")}
    phases = [replace(HEAD, rates={"head/fc": 0.5}), TOP, ALL, AGAIN]
    assert longer(old, phases, after(6), FILE) == phases
    plan = RatePlan(0.01, dict.fromkeys(ALL.rates, 1.0), Cosine(), phases, 5)
    at = gone_on(old, plan, after(6), 1, 1.0)
    assert (at["epochs_before"], at["epochs"]) == (6, 8)
    assert "rate" not in at  # nobody wrote the last one down


def test_a_run_ends_when_all_phases_that_are_left_have_had_their_epochs() -> None:
    assert end(RUN, []) == end(RUN, after(3)) == end(RUN, after(6)) == 6
    assert end([replace(HEAD, epochs=5, patience=1), TOP], [1.0, 2.0]) == 4  # three are dropped


def test_a_prolonged_run_is_no_interrupted_one_and_says_that_its_rate_rises() -> None:
    plan = RatePlan(0.01, dict.fromkeys(ALL.rates, 1.0), Cosine(), [HEAD, TOP, replace(ALL, epochs=4)], 5)
    before = saved(6)
    before["history"][-1]["rates"] = [[0.0, {"head/fc": 0.002}], [0.8, {"head/fc": 1e-5}]]
    at = gone_on(before, plan, after(6), 1, 0.5)  # a rollback has halved the rate
    now = plan.at(plan.phases[2], plan.begin(after(6)), 0)["head/fc"] * 0.5
    assert (at["rate_before"], at["rate"]) == (1e-5, now)
    assert went_on(at) == f"prolonged from 6 to 8 epochs; the learning rate rises again there, from 1e-05 to {now:.2g}"
    assert not is_unasked(at)
    assert is_unasked({**at, "processes": 2})
    whole = gone_on(saved(3), plan, after(3), 1, 1.0)
    assert went_on(whole) == "interrupted; went on in epoch 4, at its start"
    assert is_unasked(whole)


def test_choices_of_the_cache_are_kept_by_a_run_that_goes_on_as_it_was_begun() -> None:
    supply = Supply(None)  # type: ignore[arg-type]
    choice = Choice("head", "live", "live", "one epoch: nothing is computed twice")
    state = {"choices": [asdict(choice)], "settings": {}, "told": {"head": asdict(choice)}}
    supply.load(state)
    assert supply.choices == [choice]
    supply.load(state, keeps=False)
    assert supply.choices == []
    assert supply.told == state["told"]


def test_a_phase_that_grows_decides_anew_where_its_frozen_part_comes_from(tmp_path: Path) -> None:
    words = ["strategy=head_only", "strategy.head_init=random"]
    run = prepared(tmp_path / "run", *words, "trainer.max_epochs=1").fit()
    assert "one epoch" in run.finetuner.supply.told["head"]["why"]
    gone = resumed(tmp_path / "run", *words, "trainer.max_epochs=3")
    (choice,) = gone.finetuner.supply.choices
    assert "one epoch" not in choice.why
    told = gone.finetuner.supply.told["head"]
    assert {key: told[key] for key in ("train", "val", "why")} == {
        "train": choice.train,
        "val": choice.val,
        "why": choice.why,
    }


# A whole run of a file of phases


def write(path: Path, phases: list[Phase]) -> Path:
    entries = [
        {"name": p.name, "epochs": p.epochs, "stages": {**p.rates, "rest": "frozen"}} for p in phases
    ]  # JSON is YAML
    path.write_text(json.dumps({"phases": entries}))
    return path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three phases."""
    folder = tmp_path_factory.mktemp("prolonging")
    train(compose(words(write(folder / "my.yaml", RUN))), folder / "run", splits(), tiny_backbone())
    return folder / "run"


def words(file: Path) -> list[str]:
    return [*BASE, "strategy=phases", f"strategy.file={file}", "schedule=cosine", "strategy.batchnorm=frozen"]


def test_its_end_offers_no_key_that_prolongs_nothing(ended: Path) -> None:
    log = (ended / "ftlab.log").read_text()
    assert "trainer.max_epochs=N" not in log
    assert f"epochs come from {FILE}: with more there, ftlab train resume={ended} 'resume_allow=[{FILE}]'" in log


def test_it_is_not_prolonged_by_a_key_that_its_phases_do_not_follow(ended: Path) -> None:
    mine = words(ended.parent / "my.yaml")
    more = [*mine, f"resume={ended}", "trainer.max_epochs=80", "resume_allow=[trainer.max_epochs]"]
    with pytest.raises(UserError, match=rf"epochs come from {FILE}: raise them there.*resume_allow=\[{FILE}\]"):
        train(compose(more), data=splits(), backbone=tiny_backbone())
    with pytest.raises(UserError, match=rf"6 epochs are done, and 6 are asked for; give more in {FILE}"):
        train(compose([*mine, f"resume={ended}", f"resume_allow=[{FILE}]"]), data=splits(), backbone=tiny_backbone())
    with pytest.raises(UserError, match=rf"the run is finished; .*epochs come from {FILE}"):
        train(compose([*mine, f"resume={ended}"]), data=splits(), backbone=tiny_backbone())


def test_a_phase_that_is_added_is_run_and_what_ran_before_is_told_as_it_ran(ended: Path, tmp_path: Path) -> None:
    before = json.loads((ended / "report.json").read_text())
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    longer_file = write(tmp_path / "my2.yaml", [*RUN[:2], replace(ALL, epochs=3), AGAIN])
    goes_on = [*words(longer_file), f"resume={folder}", f"resume_allow=[{FILE}]"]
    report = train(compose(goes_on), data=splits(), backbone=tiny_backbone())
    assert [record["phase"] for record in report["history"]] == [*NAMES, "all", "head again", "head again"]
    assert [phase["epochs"] for phase in report["plan"]] == [2, 2, 3, 2]
    drawn, then = report["rates"], before["rates"]
    assert drawn["planned"] == then["planned"] == []
    count = len(then["epoch"])
    assert drawn["epoch"][:count] == then["epoch"]
    assert {stage: rates[:count] for stage, rates in drawn["groups"].items()} == then["groups"]
    head = drawn["groups"]["head/fc"]
    assert head[count] > head[count - 1]  # it rises again
    said = "prolonged from 6 to 9 epochs; the learning rate rises again there, from "
    assert said in (folder / "ftlab.log").read_text()
    assert not [text for text in report["warnings"] if "prolonged" in text or "interrupted" in text]
    page = (folder / "report.html").read_text()
    assert "Prolonged from 6 to 9 epochs, where the learning rate rises again" in " ".join(page.split())
    assert "<dt>time, this sitting</dt>" in page
    assert "<dt>time</dt>" in (ended / "report.html").read_text()
    assert all("rates" not in record for record in report["history"])
