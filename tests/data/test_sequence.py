"""Sequences out of files: whole ones, windows, arrays; which split they are in, and what cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ftlab.data.base import Splits
from ftlab.data.sources.sequence import Sequences
from ftlab.errors import UserError

DEFAULTS: dict[str, Any] = {
    "series_column": None, "time_column": None, "token_column": None, "columns": None, "target_columns": None,
    "label_column": None, "window": None, "stride": 1, "horizon": 1, "max_length": None, "rare": 1, "missing": "error",
    "split_column": None, "order": "random", "split": [0.6, 0.2, 0.2],
}  # fmt: skip
# Three machines, their rows mixed up; the second has a gap in `heat`.
MACHINES = """machine,day,heat,part,wear,state
a,2,1.0,x,5,good
a,1,0.5,y,5,good
b,1,2.0,x,7,bad
c,3,4.0,z,9,good
b,2,,y,7,bad
c,1,3.0,z,9,good
c,2,3.5,x,9,good
"""


def source(folder: Path, text: str, **settings: Any) -> Sequences:
    (folder / "log.csv").write_text(text)
    return Sequences(**{**DEFAULTS, "root": str(folder), "file": "log.csv", **settings})


def machines(folder: Path, text: str = MACHINES, **settings: Any) -> Splits:
    named = {"series_column": "machine", "time_column": "day", "token_column": "part", "columns": ["heat"]}
    target = {} if "label_column" in settings else {"target_columns": ["wear"]}
    return source(folder, text, **{**named, **target, "split": [1, 0, 0], **settings}).read(0)


def walk(steps: int, *, series: int = 1) -> str:
    """Rows of series 0, 1, ...: at time t the level of series s is 100 s + t."""
    rows = [f"{s},{t},{100 * s + t}" for s in range(series) for t in range(steps)]
    return "\n".join(["series,time,level", *rows, ""])


def windows(folder: Path, text: str, **settings: Any) -> Splits:
    named = {"series_column": "series", "time_column": "time", "target_columns": ["level"], "window": 3}
    return source(folder, text, **{**named, **settings}).read(0)


def levels(splits: Splits, split: str) -> list[tuple[list[float], float]]:
    """(the window, its target) of each sample."""
    part = splits.parts()[split]
    return [(part.inputs[i].series[:, 0].tolist(), float(part.targets[i, 0])) for i in range(len(part))]


def test_rows_become_sequences_in_the_order_of_time(tmp_path: Path) -> None:
    train = machines(tmp_path).train
    assert [train.inputs[i].tokens for i in range(3)] == [("y", "x"), ("x", "y"), ("z", "x", "z")]
    assert train.inputs[0].series.tolist() == [[0.5], [1.0]]
    assert train.inputs[2].series.tolist() == [[3.0], [3.5], [4.0]]
    assert np.isnan(train.inputs[1].series[1, 0])
    assert train.targets.tolist() == [[5.0], [7.0], [9.0]]
    assert train.names[0] == "log.csv, row 3 (a)"  # its first step


def test_labels_are_classes(tmp_path: Path) -> None:
    splits = machines(tmp_path, label_column="state")
    assert splits.target.classes == ("bad", "good")
    assert splits.train.targets.tolist() == [1, 0, 1]


def test_all_columns_that_no_other_key_names_are_seen(tmp_path: Path) -> None:
    text = MACHINES.replace(",state\n", "\n").replace(",good", "").replace(",bad", "")
    assert machines(tmp_path, text, columns=None).train.inputs[0].channels == ("heat",)


def test_windows_have_the_target_of_a_row_behind_their_end(tmp_path: Path) -> None:
    found = levels(windows(tmp_path, walk(12), order="time", split=[1, 0, 0], stride=2, horizon=2), "train")
    # The last window leaves room for its target, which is row 11; windows begin 2 rows apart.
    assert found == [([t, t + 1, t + 2], t + 4) for t in (1, 3, 5, 7)]


@pytest.mark.parametrize("series", [1, 2])
def test_a_split_by_time_lets_no_split_know_the_future(tmp_path: Path, series: int) -> None:
    splits = windows(tmp_path, walk(20, series=series), order="time", split=[0.5, 0.25, 0.25])
    borders = {"train": (0, 10), "val": (10, 15), "test": (15, 20)}
    for split, (first, end) in borders.items():
        expected = [
            ([100 * s + t + i for i in range(3)], 100 * s + t + 3) for s in range(series) for t in range(first, end - 3)
        ]
        assert levels(splits, split) == expected, split
    # 17 windows of each series, less 7 of train, 2 of val and 2 of test.
    assert splits.warnings == (f"{6 * series} of {17 * series} windows lie across the border of two splits; left out",)


def test_windows_are_split_at_random_by_whole_series(tmp_path: Path) -> None:
    splits = windows(tmp_path, walk(8, series=10))
    of_split = {s: {int(level // 100) for _, level in levels(splits, s)} for s in ("train", "val", "test")}
    assert [len(of_split[s]) for s in ("train", "val", "test")] == [6, 2, 2]
    assert set.union(*of_split.values()) == set(range(10))
    assert sum(len(levels(splits, s)) for s in of_split) == 10 * 5


def test_a_column_may_say_the_split_of_each_row(tmp_path: Path) -> None:
    rows = [f"{t},{t},{'train' if t < 6 else 'valid' if t < 11 else 'test'}" for t in range(15)]
    text = "\n".join(["time,level,part", *rows, ""])
    splits = source(tmp_path, text, time_column="time", target_columns=["level"], window=3, split_column="part").read(0)
    assert [target for _, target in levels(splits, "train")] == [3, 4, 5]
    assert [target for _, target in levels(splits, "val")] == [9, 10]
    assert [target for _, target in levels(splits, "test")] == [14]
    assert "6 of 12 windows lie across the border" in splits.warnings[0]


def test_dates_put_steps_in_order(tmp_path: Path) -> None:
    text = "at,level\n2024-02-01,2\n2023-12-31T23:00:00,0\n2024-01-01,1\n2024-02-02,3\n2024-02-03,4\n"
    splits = source(
        tmp_path, text, time_column="at", target_columns=["level"], window=2, order="time", split=[1, 0, 0]
    ).read(0)
    assert levels(splits, "train") == [([0, 1], 2), ([1, 2], 3), ([2, 3], 4)]


def test_a_column_of_dates_where_nothing_says_the_time_is_told_how_to_say_it(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02} 00:00:00,{day}" for day in range(1, 30)]
    text = "\n".join(["when,level", *rows, ""])
    named: dict[str, Any] = {"target_columns": ["level"], "window": 3, "order": "time"}
    told = r"row 2, column when: '2024-01-01 00:00:00' is no number.*data.time_column=when"
    with pytest.raises(UserError, match=told):
        source(tmp_path, text, **named).read(0)
    source(tmp_path, text, **named, time_column="when").read(0)
    with pytest.raises(UserError, match=r"'soon' is no number.*data.columns="):
        source(tmp_path, text.replace("2024-01-01 00:00:00", "soon"), **named).read(0)


def test_series_that_are_too_short_for_a_window_are_counted(tmp_path: Path) -> None:
    splits = windows(tmp_path, walk(8, series=4) + "9,0,1\n9,1,2\n")
    (found,) = splits.problems
    assert found.text == ("1 sequence has fewer than 4 rows, too few for a window: log.csv, row 34; left out")
    assert sum(len(levels(splits, split)) for split in splits.parts()) == 4 * 5


def test_a_missing_target_is_an_error_or_is_left_out_and_counted(tmp_path: Path) -> None:
    text = MACHINES.replace(",7,", ",,")
    with pytest.raises(UserError, match=r"log.csv, row 4, column wear: the target is missing"):
        machines(tmp_path, text)
    splits = machines(tmp_path, text, missing="drop")
    assert splits.train.targets.tolist() == [[5.0], [9.0]]
    assert splits.warnings == ("1 of 3 sequences are left out, since a target is missing: wear in 1",)
    # A target that only some rows of a sequence say is there.
    assert machines(tmp_path, MACHINES.replace("b,2,,y,7,", "b,2,,y,,")).train.targets[1].tolist() == [7.0]


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (("a,1,0.5", "a,1,warm"), {}, r"log.csv, row 3, column heat: 'warm' is no number"),
        (("a,1,0.5", "a,1,inf"), {}, r"log.csv, row 3, column heat: 'inf' is infinite"),
        (("y,5,good", "y,6,good"), {}, r"row 2, column wear: the target is 5.0, and 6.0 in a row before of 'a'"),
        (("y,5,good", "y,5,bad"), {"label_column": "state"}, r"row 2, column state: the target is good, and bad in"),
        (("y,7", "y,seven"), {}, r"log.csv, row 6, column wear: 'seven' is no number"),
        (("a,1,", "a,2,"), {}, r"row 3, column day: the time is that of row 2 too, of series 'a'"),
        (("b,1,2.0", "b,soon,2.0"), {}, r"log.csv, row 4, column day: 'soon' is no time. .* a finite number"),
        (("b,1,2.0,x", "b,1,2.0,"), {}, r"log.csv, row 4, column part: the token is missing"),
        (("b,1,2.0", ",1,2.0"), {}, r"log.csv, row 4, column machine: the series is missing"),
        (("c,2,3.5,x,9,good", "c,2,3.5"), {}, r"log.csv, row 8: the row has 3 cells, and there are 6 columns"),
        (
            ("c,2,3.5,x,9,good", "c,2,3.5,x,9,good,1"),
            {},
            r"row 8: the row has 7 cells, and there are 6 columns",
        ),
        (("7,bad", "5,bad"), {"missing": "drop"}, None),
        (("day,", "time,"), {}, r"log.csv, column day: the column is missing \(data.time_column\)"),
        (("", ""), {"target_columns": ["waer"]}, r"data.target_columns=waer is no column. did you mean 'wear'"),
        (("", ""), {"columns": ["heta"]}, r"data.columns=heta is no column. did you mean 'heat'"),
        (("", ""), {"columns": ["wear"]}, r"data.columns: wear is a target"),
        (("", ""), {"window": 3, "horizon": 1}, r"a window of 3 steps and a target 1 steps on is empty: .* has 3 rows"),
        (("", ""), {"split_column": "state"}, r"log.csv, row 3, column state: split 'good' is unknown"),
        (("", ""), {"label_column": None, "target_columns": None}, r"say what to predict by data.target_columns"),
        (("", ""), {"order": "time", "split": [0.6, 0.2, 0.2]}, r"column day: none of 3 sequences lies wholly in val"),
    ],
)
def test_bad_input_names_file_row_and_column(
    tmp_path: Path, change: tuple[str, str], settings: dict[str, Any], message: str | None
) -> None:
    text = MACHINES.replace(*change) if change[0] else MACHINES
    if message is None:  # what the table of cases changes is not wrong in itself
        assert len(machines(tmp_path, text, **settings).train) == 3
        return
    with pytest.raises(UserError, match=message):
        machines(tmp_path, text, **settings)


def test_a_target_that_never_changes_is_an_error(tmp_path: Path) -> None:
    text = MACHINES.replace(",7,", ",5,").replace(",9,", ",5,")
    with pytest.raises(UserError, match=r"log.csv, row 3, column wear: the target is 5 in all 3 rows"):
        machines(tmp_path, text)


def test_one_long_series_is_not_split_at_random(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"use data.order=time"):
        windows(tmp_path, walk(20))


def test_the_faults_of_a_survey_are_one_a_sequence_and_the_others_are_there(tmp_path: Path) -> None:
    text = MACHINES.replace("a,1,0.5", "a,1,warm").replace("a,2,1.0", "a,2,hot")
    named = {"series_column": "machine", "time_column": "day", "target_columns": ["wear"], "columns": ["heat"]}
    splits = source(tmp_path, text, **named, split=[1, 0, 0]).survey(0)
    assert [fault.name for fault in splits.faults] == ["log.csv, row 2"]
    assert splits.train.targets.tolist() == [[7.0], [9.0]]


# --- arrays


def arrays(folder: Path, settings: dict[str, Any] | None = None, **held: Any) -> Splits:
    np.savez(folder / "x.npz", **held)
    return Sequences(**{**DEFAULTS, "root": str(folder), "file": "x.npz", "split": [1, 0, 0], **(settings or {})}).read(
        0
    )


def test_arrays_are_sequences_without_what_the_mask_leaves_out(tmp_path: Path) -> None:
    tokens = np.array([[3, 1, 0], [2, 0, 0]])
    mask = np.array([[True, True, False], [True, False, False]])
    series = np.arange(12.0).reshape(2, 3, 2)
    splits = arrays(tmp_path, tokens=tokens, mask=mask, series=series, targets=np.array([1.5, 2.5]))
    assert [splits.train.inputs[i].tokens for i in range(2)] == [("3", "1"), ("2",)]
    assert splits.train.inputs[0].series.tolist() == [[0, 1], [2, 3]]
    assert splits.target.names == ("target",)
    assert splits.train.targets.tolist() == [[1.5], [2.5]]


def test_arrays_of_several_targets_labels_and_splits(tmp_path: Path) -> None:
    tokens = np.array([["on", "off"]] * 6)
    numbers = np.arange(12.0).reshape(6, 2)
    split = np.array(["train", "train", "train", "val", "val", "test"])
    splits = arrays(tmp_path, {"target_columns": ["x", "y"]}, tokens=tokens, targets=numbers, split=split)
    assert splits.target.names == ("x", "y")
    assert [len(part) for part in splits.parts().values()] == [3, 2, 1]
    splits = arrays(tmp_path, tokens=tokens, labels=np.array([10, 2, 10, 2, 2, 10]), split=split)
    assert splits.target.classes == ("2", "10")
    assert splits.train.targets.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"tokens": np.ones((3, 4)), "targets": np.arange(3)}, r"x.npz, column tokens: the array holds float64"),
        ({"tokens": np.ones((3, 4), int)}, r"either 'targets' .* or 'labels'"),
        ({"targets": np.arange(3)}, r"there is no array 'tokens'"),
        ({"tokens": np.ones((3, 4), int), "targets": np.arange(4)}, r"targets: the shape is \(4,\) beside \(3, 4\)"),
        ({"series": np.ones((3, 4)), "targets": np.arange(3)}, r"column series: the shape is \(3, 4\)"),
        ({"tokens": np.ones((3, 0), int), "targets": np.arange(3)}, r"the arrays are empty"),
        ({"token": np.ones((3, 4), int), "targets": np.arange(3)}, r"column token: .* unknown. did you mean 'tokens'"),
        (
            {"series": np.array([[[0.0]], [[np.inf]]]), "targets": np.arange(2)},
            r"x.npz, row 2, column series: step 1 holds an infinite number",
        ),
        ({"tokens": np.ones((3, 4), int), "targets": np.array([1, np.inf, 2])}, r"x.npz, row 2, column targets: inf"),
        ({"tokens": np.ones((3, 4), int), "targets": np.array([1, np.nan, 2])}, r"row 2, column target: .* missing"),
        (
            {"tokens": np.ones((2, 1), int), "mask": np.array([[True], [False]]), "targets": np.arange(2)},
            r"x.npz, row 2, column mask: the mask leaves no step",
        ),
        ({"tokens": np.array([["a"], [{}]], dtype=object), "targets": np.arange(2)}, r"no[t] an .npz file of plain"),
    ],
)  # fmt: skip
def test_bad_arrays_name_file_row_and_array(tmp_path: Path, held: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        arrays(tmp_path, **held)


def test_keys_of_a_table_are_refused_with_arrays(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.window=3: is for a CSV file"):
        arrays(tmp_path, {"window": 3}, tokens=np.ones((2, 4), int), targets=np.arange(2))
    with pytest.raises(UserError, match=r"data.order=time: x.npz says nothing of time"):
        arrays(tmp_path, {"order": "time"}, tokens=np.ones((2, 4), int), targets=np.arange(2))


def test_what_is_no_npz_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"x.npz: not an .npz file of plain arrays"):
        Sequences(**{**DEFAULTS, "root": str(tmp_path), "file": "x.npz"}).read(0)
    with pytest.raises(UserError, match=r"data.file=y.npz is not a file .* did you mean 'x.npz'"):
        Sequences(**{**DEFAULTS, "root": str(tmp_path), "file": "y.npz"}).read(0)


def test_the_fit_sees_training_sequences_only(tmp_path: Path) -> None:
    splits = windows(tmp_path, walk(20), order="time", split=[0.5, 0.25, 0.25])
    assert splits.fit is not None
    (level,) = splits.fit(splits.train.inputs).channels  # type: ignore[attr-defined]
    inside = np.concatenate([splits.train.inputs[i].series[:, 0] for i in range(len(splits.train))])
    assert inside.max() < 10
    assert (level.mean, level.std) == (pytest.approx(inside.mean()), pytest.approx(inside.std()))
    assert torch.equal(splits.train.targets[:, 0], torch.arange(3.0, 10.0))


def test_patterns_of_columns_are_seen_or_dropped(tmp_path: Path) -> None:
    def channels(**settings: Any) -> tuple[str, ...]:
        steps: Any = machines(tmp_path, label_column="state", **settings).train.inputs[0]
        return steps.channels

    assert channels(columns=["[hw]ea*"]) == ("heat", "wear")
    assert channels(columns=None, drop=["h*"]) == ("wear",)
    with pytest.raises(UserError, match=r"log.csv: data.drop=x\* is no column"):
        channels(columns=None, drop=["x*"])
