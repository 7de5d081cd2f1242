"""Each kind of broken annotation is an error that names file and place, or a counted warning; nothing is silent."""

from pathlib import Path

import pytest

import ftlab
from ftlab.data.base import Splits
from ftlab.errors import UserError
from ftlab.survey import surveyed
from tests.data.boxes.broken import ERRORS, FAULTS, GOOD, WARNINGS, entry, lines
from tests.data.boxes.made import image, yolo_lines


@pytest.mark.parametrize(("make", "said"), FAULTS.values(), ids=FAULTS)
def test_an_image_that_cannot_be_used_is_told_with_its_place_and_the_others_can(tmp_path: Path, make, said):
    splits = make(tmp_path).survey(seed=0)
    assert (len(splits.train), len(splits.faults)) == (1, 1)
    with pytest.raises(UserError, match=said):
        make(tmp_path).read(seed=0)
    with pytest.raises(UserError, match=str(tmp_path)):
        make(tmp_path).read(seed=0)


@pytest.mark.parametrize(("make", "said"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_as_a_whole_is_an_error_that_names_the_file(tmp_path: Path, make, said):
    with pytest.raises(UserError, match=said):
        make(tmp_path).survey(seed=0)


def problems(splits: Splits) -> list[str]:
    found = [*splits.problems, *splits.target.problems(splits.targets())]
    return [one.text for one in found if one.severity == "warning"]


@pytest.mark.parametrize(("make", "said", "left"), WARNINGS.values(), ids=WARNINGS)
def test_what_can_be_used_in_part_is_a_counted_warning(tmp_path: Path, make, said, left):
    splits = make(tmp_path).survey(seed=0)
    assert splits.faults == ()
    with pytest.raises(UserError, match=said):
        raise UserError("\n".join(problems(splits)))
    assert len(splits.train.targets.rows["labels"]) == left


@pytest.mark.parametrize(("outside", "left"), [("cut", 3), ("drop", 2)])
def test_boxes_outside_are_what_the_setting_says(tmp_path: Path, outside, left):
    partly = entry(bbox=[-3, 5, 13, 8])
    splits = partly(tmp_path, outside=outside).survey(seed=0)
    assert len(splits.train.targets.rows["labels"]) == left
    assert f"data.outside={outside}" in problems(splits)[0]
    if outside == "cut":
        assert [0.0, 5.0, 10.0, 13.0] in splits.train.targets.rows["boxes"].tolist()


def test_boxes_outside_may_be_errors_and_what_was_rounded_is_none(tmp_path: Path):
    rounded = entry(bbox=[-0.4, 5, 13, 8])(tmp_path, outside="error").survey(seed=0)
    assert (rounded.problems, rounded.faults) == ((), ())
    with pytest.raises(UserError, match=r"annotation 100: .* lies outside of the image of 20 x 50 pixels; mend it"):
        entry(bbox=[-3, 5, 13, 8])(tmp_path, outside="error").read(seed=0)


def test_what_cannot_be_used_is_left_out_where_that_is_asked_for(tmp_path: Path):
    lines(GOOD, "0 nan 0.5 0.2 0.2")(tmp_path)
    for number in range(3):
        image(tmp_path / "images" / f"c{number}.png", (40, 30), number)
        (tmp_path / "labels" / f"c{number}.txt").write_text("\n".join(yolo_lines("a")))
    words = ["data=yolo", f"data.root={tmp_path}", "data.split=[1,0,0]"]
    with pytest.raises(UserError, match=r"labels/a.txt, line 2: .*To go on without it: data.on_error=skip"):
        surveyed(ftlab.compose(words)["data"], seed=0)
    found = surveyed(ftlab.compose([*words, "data.on_error=skip"])["data"], seed=0)
    assert len(found.splits.train) == 4
    assert "1 box holds no finite number" in found.splits.problems[0].text
