"""Numbers out of a CSV file: what is read, what is left out and counted, and what is refused with its place."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.data.checks.check import Checked, settled
from ftlab.data.checks.check import check as check_data
from ftlab.data.module import check, describe, read
from ftlab.data.sources.image_csv import ImageCsv
from ftlab.errors import UserError
from ftlab.files.numbers import number
from ftlab.targets.classes import Classes
from ftlab.targets.numbers import Numbers
from tests.data.pictures import write_image

HEADER = "path,angle,width,part\n"


def source(root: Path, rows: str, header: str = HEADER, **changes: Any) -> ImageCsv:
    (root / "labels.csv").write_text(header + rows, encoding="utf-8")
    settings = {
        "file": "labels.csv",
        "path_column": "path",
        "label_column": "label",
        "split_column": "part",
        "label_separator": ";",
        "multilabel": False,
        "split": (0.5, 0.25, 0.25),
        "target_columns": ["angle", "width"],
        "missing": "error",
    }
    return ImageCsv(root=str(root), **(settings | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(8):
        write_image(tmp_path / f"{index}.png", (index, 0, 0))
    return tmp_path


GOOD = "0.png,1.5,10,train\n1.png,-2,20,train\n2.png,1e1, 30 ,train\n"


def test_columns_of_numbers_become_targets_with_names_and_the_scale_of_train(root: Path) -> None:
    splits, spec = read(source(root, GOOD + "3.png,7,40,val\n4.png,8,50,test\n"), seed=0)
    assert splits.train.targets.tolist() == [[1.5, 10], [-2, 20], [10, 30]]
    assert splits.train.targets.dtype == torch.float32
    assert splits.val is not None
    assert splits.val.targets.tolist() == [[7, 40]]
    assert (spec.target.names, spec.target.classes, spec.target.counts, spec.warnings) == (
        ("angle", "width"),
        (),
        (),
        (),
    )
    values = torch.tensor([[1.5, 10], [-2, 20], [10, 30]], dtype=torch.float64)
    assert spec.target.means == pytest.approx(values.mean(0).tolist())
    assert spec.target.stds == pytest.approx(((values - values.mean(0)) ** 2).mean(0).sqrt().tolist())


def test_splits_are_random_by_seed_and_the_scale_is_of_train_alone(root: Path) -> None:
    rows = "".join(f"{i}.png,{i},{100 - i},\n" for i in range(8))
    found = [read(source(root, rows, split_column=None, target_columns=["angle"]), seed=s) for s in (0, 0, 1)]
    trains = [splits.train.targets.flatten().tolist() for splits, _ in found]
    assert trains[0] == trains[1] != trains[2]
    assert found[0][1].sizes == {"train": 4, "val": 2, "test": 2}
    assert found[0][1].target.means == pytest.approx([sum(trains[0]) / 4])
    assert found[0][1].warnings == ()  # nothing else than random splits is meant with numbers
    for splits, _ in found:  # each image keeps its number
        for part in (splits.train, splits.val, splits.test):
            assert part is not None
            assert [part.inputs[i].getpixel((0, 0))[0] for i in range(len(part))] == part.targets[:, 0].tolist()


def test_a_subset_of_numbers_is_drawn_and_has_its_own_scale(root: Path) -> None:
    rows = "".join(f"{i}.png,{i * i},1,train\n" for i in range(8))
    splits, spec = read(source(root, rows, target_columns=["angle"]), seed=0, subset=3)
    assert len(splits.train) == 3
    assert spec.target.means == pytest.approx([float(splits.train.targets.mean())])
    assert spec.warnings == ()
    with pytest.raises(UserError, match=r"subset=2/class needs one class a sample"):
        read(source(root, rows, target_columns=["angle"]), seed=0, subset="2/class")


@pytest.mark.parametrize("cell", ["", "  ", "NA", "n/a", "NaN", "null", "None"])
def test_a_missing_target_is_an_error_or_a_row_that_is_left_out_and_counted(root: Path, cell: str) -> None:
    rows = GOOD + f"3.png,{cell},5,train\nnowhere.png,{cell},{cell},train\n4.png,3,{cell},val\n5.png,4,1,val\n"
    with pytest.raises(UserError, match=r"labels.csv, row 5, column angle: the target is missing.*data.missing=drop"):
        read(source(root, rows), seed=0)
    splits, spec = read(source(root, rows, missing="drop"), seed=0)
    assert spec.sizes == {"train": 3, "val": 1}
    assert splits.val is not None
    assert splits.val.targets.tolist() == [[4, 1]]
    assert spec.warnings == ("3 of 7 rows are left out, since a target is missing: angle in 2, width in 2",)


def test_a_row_that_ends_early_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match=r"labels.csv, row 2: the row has 1 cells, and there are 4 columns"):
        read(source(root, "0.png\n" + GOOD), seed=0)


def test_a_file_of_which_no_row_is_left_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match=r"labels.csv, column angle, width: no row has all of its targets"):
        read(source(root, "0.png,,1,train\n1.png,2,,train\n", missing="drop"), seed=0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("wide", "'wide' is no number; accepted: a finite number with a decimal point"),
        ("3,5 m", "'3,5 m' is no number"),
        ("1_000", "'1_000' is no number"),
        ("inf", "'inf' is infinite"),
        ("-Infinity", "'-Infinity' is infinite"),
        ("1e999", "'1e999' is infinite"),
        ("-1e30", "'-1e30' is too large"),
    ],
)
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_what_is_no_number_is_an_error_with_file_row_and_column(
    root: Path, cell: str, message: str, missing: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(source(root, GOOD + f'3.png,1,"{cell}",train\n', missing=missing), seed=0)
    assert f"labels.csv, row 5, column width: {message}" in str(caught.value)


def test_a_constant_target_is_an_error_with_file_rows_and_column(root: Path) -> None:
    rows = "0.png,1,4,val\n1.png,1,5,train\n2.png,2,5.0,train\n3.png,3,5,train\n"
    with pytest.raises(UserError, match=r"labels.csv, row 3, column width: the target is 5 in all 3 rows.*to row 5"):
        read(source(root, rows), seed=0)
    with pytest.raises(UserError, match=r"data=x: the target 'a' is 2 in all 3 training samples"):
        describe("x", Splits(numbers([[2.0]] * 3), None, None, Numbers(("a",))), 0)


def test_numbers_that_32_bits_cannot_tell_apart_are_an_error(root: Path) -> None:
    rows = "".join(f"{i}.png,{1_700_000_000 + i},1,train\n" for i in range(8))
    with pytest.raises(UserError, match=r"labels.csv, column angle: .*32 bits.*Subtract"):
        read(source(root, rows, target_columns=["angle"]), seed=0)


def test_columns_are_checked_by_name(root: Path) -> None:
    with pytest.raises(UserError, match=r"data.target_columns=angel is no column.*did you mean 'angle'"):
        source(root, GOOD, target_columns=["angel"]).read(0)
    with pytest.raises(UserError, match=r"data.target_columns: angle is named twice"):
        source(root, GOOD, target_columns=["angle", "width", "angle"]).read(0)
    with pytest.raises(UserError, match=r"data.multilabel=true and data.target_columns"):
        source(root, GOOD, multilabel=True).read(0)


def test_a_number_keeps_its_value() -> None:
    assert [number(text) for text in ("3", " -2.5e-3 ", "+.5", "0")] == [3.0, -0.0025, 0.5, 0.0]


# The checks of all sources


def numbers(values: list[list[float]]) -> Samples:
    return Samples([None] * len(values), torch.tensor(values), [f"s{i}" for i in range(len(values))])


def test_targets_that_no_loss_can_take_never_reach_one() -> None:
    train = numbers([[1.0, 2.0], [2.0, 3.0]])
    for value in (float("nan"), float("inf")):
        val = numbers([[1.0, 2.0], [1.0, value]])
        with pytest.raises(UserError, match=r"data=x, val: s1 has the target 1 (nan|inf); accepted: finite numbers"):
            check("x", Splits(train, val, None, Numbers(("a", "b"))))
    with pytest.raises(UserError, match=r"data=x, train: targets have the shape \(2, 2\); accepted: \(2, 1\)"):
        check("x", Splits(train, None, None, Numbers(("a",))))


def test_columns_take_the_order_of_a_bundle() -> None:
    splits = Splits(numbers([[1.0, 2.0, 3.0]]), numbers([[4.0, 5.0, 6.0]]), None, Numbers(("a", "b", "c")))
    moved = splits.suited(Numbers(("c", "a")))
    assert moved.train.targets.tolist() == [[3, 1]]
    assert moved.val is not None
    assert moved.val.targets.tolist() == [[6, 4]]
    assert moved.target.names == ("c", "a")
    with pytest.raises(UserError, match=r"lacks the target 'd' of the bundle.*accepted: a, b, c"):
        splits.suited(Numbers(("d",)))
    with pytest.raises(UserError, match=r"its targets are numbers, the bundle predicts classes"):
        splits.suited(Classes(("x", "y")))


VAL = "5.png,7,40,val\n"


def test_rows_whose_target_is_no_number_can_be_left_out_and_are_counted(root: Path) -> None:
    rows = GOOD + VAL + "3.png,wide,1,train\n4.png,,2,train\nnowhere.png,3,3,train\n"
    splits = source(root, rows).survey(seed=0)
    assert len(splits.train) == 3
    assert [fault.name for fault in splits.faults] == [f"labels.csv, row {row}" for row in (6, 7, 8)]
    kept = settled(splits, Checked(), "image_csv", "skip")
    _, spec = describe("image_csv", kept, seed=0)
    assert len(spec.skipped) == 3
    assert [text.split(":")[0] for text in spec.warnings] == [
        "1 row has a target that is no number",
        "1 row lacks a target",
        "1 row names a file that is not there",
    ]


def test_equal_images_with_different_numbers_are_told(root: Path) -> None:
    (root / "7.png").write_bytes((root / "0.png").read_bytes())
    splits = source(root, GOOD + VAL + "7.png,3,10,train\n").read(seed=0)
    found = check_data(splits, "fast")
    assert "1 equal image has different labels" in [problem.text.split(":")[0] for problem in found.problems]
    assert any("(3 10) = " in problem.text for problem in found.problems)


def test_numbers_that_are_not_finite_are_faults_of_their_samples(root: Path) -> None:
    splits = source(root, GOOD + VAL).read(seed=0)
    splits.train.targets[1, 0] = float("nan")
    assert list(check_data(splits, "fast").faults["train"]) == [1]
