"""Samples that belong together stay together: no group is learned in one split and judged in another."""

from pathlib import Path
from typing import Any

import pytest
import torch

import ftlab
from ftlab.config import instantiate, named, options
from ftlab.data.base import Samples, Splits
from ftlab.data.groups import across, numbered, split_groups
from ftlab.data.module import describe
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.survey import loading_keys
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.targets.numbers import Numbers
from tests.data.pictures import write_image

SHARES = (0.7, 0.15, 0.15)


def drawn(groups: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(groups (n,), classes (n,)) of 1 to 20 samples a group, in mixed order; a third are of class 1."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 21, (groups,), generator=generator)
    of = torch.arange(groups).repeat_interleave(sizes) * 7  # numbers of groups need not follow one another
    of = of[torch.randperm(len(of), generator=generator)]
    return of, (torch.rand(len(of), generator=generator) < 1 / 3).long()


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_and_splits_and_classes_have_their_shares(seed: int) -> None:
    groups, classes = drawn(60, seed)
    parts = split_groups(groups, classes, SHARES, seed)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(groups)))
    held = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, held)) == 60  # so none is in two
    for part, share in zip(parts, SHARES, strict=True):
        assert part.tolist() == sorted(part.tolist())
        for label in (0, 1):
            assert int((classes[part] == label).sum()) / int((classes == label).sum()) == pytest.approx(share, abs=0.02)
    again = split_groups(groups, classes, SHARES, seed)
    assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True))
    assert not torch.equal(parts[1], split_groups(groups, classes, SHARES, seed + 1)[1])


def test_train_gets_a_class_that_few_groups_have_and_a_share_of_nothing_gets_nothing() -> None:
    groups, classes = drawn(20)
    classes[groups == 35] = 2  # all of one group, which alone has it
    for seed in range(5):
        train, val, test = split_groups(groups, classes, (0.5, 0.5, 0.0), seed)
        assert 2 in classes[train]
        assert len(val)
        assert not len(test)


def test_groups_that_cannot_be_shared_out_are_an_error() -> None:
    two = torch.tensor([0, 0, 1, 1])
    train, val, _ = split_groups(two, torch.zeros(4).long(), (0.9, 0.1, 0.0), 0)
    assert len(train) == len(val) == 2
    with pytest.raises(UserError, match=r"none of the 2 groups is left for test, as each stays whole"):
        split_groups(two, torch.zeros(4).long(), SHARES, 0)
    with pytest.raises(UserError, match=r"none of the 3 groups is left for val and test.*every class"):
        split_groups(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), SHARES, 0)


def test_a_split_of_numbers_or_labels_counts_samples() -> None:
    groups, _ = drawn(40)
    samples = Samples(list(range(len(groups))), torch.rand(len(groups), 3), [], groups)
    train, val, _, said = complete(Labels(("a", "b", "c")), samples, None, None, SHARES, 0)
    assert val is not None
    assert set(train.groups.tolist()).isdisjoint(val.groups.tolist())
    assert len(val) / len(groups) == pytest.approx(0.15, abs=0.02)
    assert said == ("multilabel targets are split at random, not stratified",)
    assert complete(Numbers(("a", "b", "c")), samples, None, None, SHARES, 0)[3] == ()


def test_groups_across_the_splits_that_are_given_are_counted_and_travel_with_the_samples() -> None:
    def samples(groups: list[int]) -> Samples:
        names = [f"{groups[0]}/{place}" for place in range(len(groups))]
        return Samples(torch.rand(len(groups), 2), torch.arange(len(groups)) % 2, names, torch.tensor(groups))

    splits = Splits(samples([1, 1, 2, 3]), samples([2, 3, 2, 4]), samples([5, 6]), Classes(("a", "b")))
    (found,) = across(splits)
    assert (found.count, found.examples) == (2, ("2/0 (val)", "2/1 (val)"))
    _, spec = describe("own", splits, 0)
    assert any("groups are in more than one split" in text for text in spec.warnings)
    train, val, test, _ = complete(Classes(("a", "b")), samples([1, 1, 2, 2, 3, 3]), None, None, SHARES, 0)
    assert val is not None
    assert test is not None
    assert sorted(set(one.groups.tolist()).pop() for one in (train, val, test)) == [1, 2, 3]
    with pytest.raises(UserError, match="groups have the shape"):
        describe("own", Splits(Samples(torch.rand(3, 2), torch.tensor([0, 1, 0]), [], torch.zeros(2)), None, None,
                               Classes(("a", "b"))), 0)  # fmt: skip


def test_numbers_of_groups_do_not_depend_on_the_order_of_rows() -> None:
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]


# --- sources


def survey(option: str, root: Path, **settings: Any) -> Splits:
    node = {key: value for key, value in options("data")[option].items() if value != "???"}
    idle = loading_keys(named(node))
    given = {key: value for key, value in {**node, "root": str(root), **settings}.items() if key not in idle}
    return instantiate(given).survey(0)


ROWS = [(f"p{number % 8}", number % 3, "ab"[number % 2], number) for number in range(48)]


def test_a_column_of_a_table_keeps_rows_together_and_is_no_input(tmp_path: Path) -> None:
    lines = ["patient,age,kind,score", *(",".join(map(str, row)) for row in ROWS)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    own = {"file": "t.csv", "columns": None, "group_column": "patient"}
    for told in ({"label_column": "kind"}, {"target_columns": ["score"]}):
        splits = survey("table", tmp_path, **own, **told)
        seen = [set(part.groups.tolist()) for part in splits.parts().values()]
        assert sum(map(len, seen)) == 8
        assert "patient" not in splits.train.inputs[0]
        assert not across(splits)
    with pytest.raises(UserError, match=r"data\.group_column=pateint is no column.*did you mean 'patient'"):
        survey("table", tmp_path, **{**own, "group_column": "pateint"}, label_column="kind")
    with pytest.raises(UserError, match=r"data\.columns: patient is"):
        survey("table", tmp_path, **{**own, "columns": ["patient", "age"]}, label_column="kind")
    (tmp_path / "t.csv").write_text("\n".join([*lines, "NA,1,a,3"]))
    (fault,) = survey("table", tmp_path, **own, label_column="kind").faults
    assert fault.kind == "rows lack a group"
    assert "row 50" in fault.reason


def test_a_column_of_an_image_list_keeps_images_together_also_beside_given_splits(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png")
    split = ["train", "train", "valid"]
    lines = [
        "path,label,patient,part",
        *(f"one.png,{row[2]},{row[0]},{split[place % 3]}" for place, row in enumerate(ROWS)),
    ]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    splits = survey("image_csv", tmp_path, group_column="patient")
    assert sum(len(set(part.groups.tolist())) for part in splits.parts().values()) == 8
    (found,) = across(survey("image_csv", tmp_path, group_column="patient", split_column="part"))
    assert found.count == 8  # each has rows of all three thirds
    with pytest.raises(UserError, match=r"data\.group_column=patients is no column.*did you mean 'patient'"):
        survey("image_csv", tmp_path, group_column="patients")
    assert ftlab.compose(["data=image_csv", "data.root=."]).data.group_column is None


def people(folder: Path, *parts: str) -> None:
    """Drawings of eight people, a cat and a dog each, below `folder` or the folders of its splits."""
    for person in range(8):
        for kind in ("cat", "dog"):
            write_image(folder / parts[person % len(parts)] / kind / f"p{person}_{kind}.png")


def test_a_pattern_of_paths_keeps_images_of_folders_together(tmp_path: Path) -> None:
    people(tmp_path, ".")
    splits = survey("image_folder", tmp_path, group_pattern=r"/(p[0-9]+)_")
    held = [{Path(name).name.partition("_")[0] for name in part.names} for part in splits.parts().values()]
    assert sum(map(len, held)) == 8
    assert [len(part) for part in splits.parts().values()] == [2 * len(some) for some in held]
    assert [part.groups.unique().numel() for part in splits.parts().values()] == [len(some) for some in held]
    assert survey("image_folder", tmp_path).train.groups is None


def test_a_pattern_sees_paths_below_the_root_and_groups_of_given_folders_are_held_against_each_other(
    tmp_path: Path,
) -> None:
    root = tmp_path / "p9_photos"  # would match too
    people(root, "train", "val")
    write_image(root / "val" / "cat" / "p0_again.png")
    splits = survey("image_folder", root, group_pattern="(p[0-9]+)_")
    (found,) = across(splits)
    assert (found.count, found.examples) == (1, (f"{root / 'val' / 'cat' / 'p0_again.png'} (val)",))


def test_files_outside_of_the_pattern_are_counted_and_alone(tmp_path: Path) -> None:
    people(tmp_path, ".")
    for number in range(3):
        write_image(tmp_path / "cat" / f"other{number}.png")
    splits = survey("image_folder", tmp_path, group_pattern="(p[0-9]+)_")
    (told,) = [one for one in splits.problems if "group_pattern" in one.kind]
    assert (told.severity, told.count, told.examples[0]) == ("warning", 3, "cat/other0.png")
    assert sum(part.groups.unique().numel() for part in splits.parts().values()) == 8 + 3


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(q[0-9]+)_", r"data.group_pattern=\(q\[0-9\]\+\)_: none of 16 files matches, such as cat/p0_cat.png"),
        ("p[0-9]+", r"data.group_pattern=p\[0-9\]\+: no part in brackets names the group"),
        ("(p", r"data.group_pattern=\(p: no regular expression: missing \)"),
    ],
)
def test_a_pattern_that_names_no_group_is_an_error(tmp_path: Path, pattern: str, said: str) -> None:
    people(tmp_path, ".")
    with pytest.raises(UserError, match=said):
        survey("image_folder", tmp_path, group_pattern=pattern)


def visits(file: Path, patients: int = 6, steps: int = 8) -> None:
    """Two visits of each patient, a row a step."""
    rows = [
        f"v{visit},{step},p{visit % patients},{step * 0.5 + visit},{visit % 3}"
        for visit in range(2 * patients)
        for step in range(steps)
    ]
    file.write_text("\n".join(["visit,hour,patient,pulse,grade", *rows]))


VISITS = {"file": "v.csv", "series_column": "visit", "time_column": "hour", "group_column": "patient"}


@pytest.mark.parametrize(("window", "each"), [(None, 2), (3, 2 * 5)])
def test_a_column_keeps_sequences_of_one_group_and_their_windows_together(
    tmp_path: Path, window: int | None, each: int
) -> None:
    visits(tmp_path / "v.csv")
    splits = survey("sequence", tmp_path, **VISITS, window=window, target_columns=["grade"])
    held = [part.groups.unique().numel() for part in splits.parts().values()]
    assert sum(held) == 6
    assert [len(part) for part in splits.parts().values()] == [each * count for count in held]
    for part in splits.parts().values():
        own = {int(name.partition("(v")[2].rstrip(")")) % 6 for name in part.names}
        assert len(own) == part.groups.unique().numel()
        assert part.together[1] == "groups"
    assert "patient" not in splits.train.inputs[0].channels
    assert not across(splits)


def test_a_sequence_is_of_one_group_and_order_in_time_knows_none(tmp_path: Path) -> None:
    visits(tmp_path / "v.csv")
    told = {**VISITS, "target_columns": ["grade"]}
    with pytest.raises(UserError, match=r"data\.group_column=patient: keeps groups whole, and data\.order=time"):
        survey("sequence", tmp_path, **told, window=3, order="time")
    with pytest.raises(UserError, match=r"data\.group_column=pateint is no column.*did you mean 'patient'"):
        survey("sequence", tmp_path, **{**told, "group_column": "pateint"})
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("v3,4,p3", "v3,4,p1").replace("v5,2,p5", "v5,2,"))
    odd, lacking = survey("sequence", tmp_path, **told).faults
    assert "the group is p1, and p3 in a row before of 'v3'" in odd.reason
    assert lacking.kind == "rows lack a group"


def test_windows_that_overlap_are_drawn_in_stretches_of_their_sequence(tmp_path: Path) -> None:
    visits(tmp_path / "v.csv", steps=20)
    told = {**VISITS, "group_column": None, "target_columns": ["pulse"], "window": 4, "horizon": 1}
    told["columns"] = ["pulse", "grade"]
    splits = survey("sequence", tmp_path, **told)
    numbers, what = splits.train.together
    assert what == "stretches of overlapping windows"
    starts = {}
    for place, name in enumerate(splits.train.names):  # "v.csv, row 2 to 5 (v0)", the header is row 1
        row, series = int(name.split()[2]) - 2, int(name.partition("(v")[2].rstrip(")"))
        starts.setdefault(int(numbers[place]), set()).add((series, (row - 20 * series) // 5))
    assert all(len(one) == 1 for one in starts.values())  # none is of two stretches of five steps
    assert len(set.union(*starts.values())) == len(starts)
    assert survey("sequence", tmp_path, **{**told, "stride": 5}).train.together == (None, "samples")
