"""Bad input ends in one clear message or is listed; nothing of it is lost, changed, or accepted in silence."""

from pathlib import Path

import pytest

from tests.conftest import close_handlers
from tests.faults.bad_input import CASES, Case, Outcome, everything, first_line, table


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = everything(folder)
    close_handlers()
    print("\n" + table(found, folder))
    return {case.name: outcome for case, outcome in found}


def test_there_are_kinds_enough_with_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_named_and_left_as_it_was(case: Case, outcomes: dict[str, Outcome]) -> None:
    found = outcomes[case.name]
    assert "Traceback" not in found.out + found.err
    assert found.code == case.code, found.said
    assert first_line(case, found), f"nothing says {case.says!r}:\n{found.said}"
    assert found.changed == []
    assert len(found.err.splitlines()) <= 6
    if case.severity:
        told = [p for p in found.problems if case.says in f"{p['kind']}: {'; '.join(p['examples'])}"]
        assert case.severity in [p["severity"] for p in told]
        kinds = [(p["kind"], p["severity"]) for p in found.problems]
        assert len(kinds) == len(set(kinds))  # each problem once


def test_what_is_skipped_is_in_the_report(outcomes: dict[str, Outcome]) -> None:
    report = outcomes["train: truncated image, skip"].report
    assert report is not None
    (skipped,) = report["data"]["skipped"]
    assert (Path(skipped["name"]).name, skipped["split"]) == ("cut.jpg", "train")
    assert "truncated" in skipped["reason"]
    assert report["data"]["sizes"] == {"train": 12, "val": 4, "test": 4}
    assert any("1 image is truncated" in line and "left out" in line for line in report["data"]["warnings"])

    rows = outcomes["train: bad rows, skip"].report
    assert rows is not None
    assert [fault["name"] for fault in rows["data"]["skipped"]] == ["labels.csv, row 16", "labels.csv, row 17"]
    assert rows["data"]["sizes"]["train"] == 12
