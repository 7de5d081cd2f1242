"""Data that differ from an earlier run's are dealt to its splits: known samples stay, new ones join by a hash."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from ftlab.data.base import Samples, Splits
from ftlab.data.membership import digests, record
from ftlab.data.membership.dealing import dealt, joined, membership
from ftlab.data.membership.holding import Hold, held
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.targets.classes import Classes

Row = tuple[float, str]  # a cell and a label
SHARES = (0.6, 0.2, 0.2)


def rows(count: int, seed: int = 0) -> list[Row]:
    draw = random.Random(seed)
    return [(round(draw.gauss(0, 1), 6), draw.choice("ab")) for _ in range(count)]


def drawn(found: Sequence[Row], seed: int = 3, shares: Sequence[float] = SHARES, classes: str = "ab") -> Splits:
    """As a source gives them."""
    targets = torch.tensor([classes.index(label) for _, label in found])
    whole = Samples([{"x": cell} for cell, _ in found], targets, [f"row {place}" for place in range(len(found))])
    target = Classes(tuple(classes))
    train, val, test, said = complete(target, whole, None, None, shares, seed)
    return Splits(train, val, test, target, said, kind="table")


def held_rows(splits: Splits) -> dict[str, list[Row]]:
    """What is in each split, in order."""
    return {
        split: [
            (samples.inputs[place]["x"], splits.target.classes[int(samples.targets[place])])
            for place in range(len(samples))
        ]
        for split, samples in splits.parts().items()
    }


def kept(splits: Splits) -> record.Membership:
    return membership(splits)[0]


def test_unchanged_data_give_the_splits_that_they_were_given() -> None:
    found = drawn(rows(40))
    same = held(found, Hold("a run", kept(drawn(rows(40))), strict=True, records=True), None, "size")
    for split, samples in found.parts().items():
        other = same.splits.parts()[split]
        assert other.inputs is samples.inputs
        assert other.targets is samples.targets
        assert other.names is samples.names
    assert same.said == ()
    assert same.membership is not None
    assert same.membership.same(kept(found))


def test_without_an_earlier_run_nothing_is_dealt_and_nothing_said() -> None:
    found = drawn(rows(40))
    assert held_rows(held(found, Hold(), None, "size").splits) == held_rows(found)
    assert held(found, Hold(), None, "size").membership is None


def test_known_rows_stay_where_they_were_though_a_seed_would_draw_all_anew() -> None:
    before = rows(60)
    old, new = held_rows(drawn(before)), (9.5, "a")
    for place in (0, 17, 60):
        after = drawn([*before[:place], new, *before[place:]])
        assert held_rows(after)["test"] != old["test"]  # which is what a fresh draw does
        found = dealt(after, kept(after), kept(drawn(before)))
        now = held_rows(found.splits)
        home = next(split for split in now if new in now[split])
        assert now == {**old, home: [*old[home], new]}
        assert (found.changes.new, found.changes.gone, found.changes.relabelled) == (1, 0, 0)


def test_rows_in_another_order_are_dealt_in_the_old_one() -> None:
    before = rows(50)
    after = drawn(random.Random(1).sample(before, 50))
    found = held(after, Hold("the run", kept(drawn(before)), strict=True, records=True), None, "size")
    assert held_rows(found.splits) == held_rows(drawn(before))
    assert found.said == ("the split is that of the run, which a seed would draw otherwise",)
    assert found.membership is not None
    assert found.membership.same(kept(drawn(before)))


def test_what_went_is_counted_and_the_rest_stays() -> None:
    before = rows(50)
    gone = {3, 4, 40}
    after = drawn([row for place, row in enumerate(before) if place not in gone])
    found = dealt(after, kept(after), kept(drawn(before)))
    lost = {before[place] for place in gone}
    old = held_rows(drawn(before))
    assert held_rows(found.splits) == {split: [row for row in old[split] if row not in lost] for split in old}
    assert (found.changes.new, found.changes.gone, found.changes.relabelled) == (0, 3, 0)


def test_rows_labelled_anew_stay_and_are_counted_also_where_a_class_more_moves_the_numbers() -> None:
    before = [(cell, "bc"["ab".index(label)]) for cell, label in rows(50)]
    after = [(cell, "a" if place in (7, 31) else label) for place, (cell, label) in enumerate(before)]
    old, new = drawn(before, classes="bc"), drawn(after, classes="abc")
    found = dealt(new, kept(new), kept(old))
    assert (found.changes.new, found.changes.gone, found.changes.relabelled) == (0, 0, 2)
    cells = {split: [cell for cell, _ in there] for split, there in held_rows(old).items()}
    assert {split: [cell for cell, _ in there] for split, there in held_rows(found.splits).items()} == cells


def test_equal_rows_are_known_by_their_occurrence_and_by_their_label_first() -> None:
    before = [*rows(20), *[(5.0, "a")] * 6, *[(5.0, "b")] * 4]
    old = drawn(before)
    where = {split: Counter(row for row in there if row[0] == 5) for split, there in held_rows(old).items()}
    fewer = drawn(before[:-1])
    found = dealt(fewer, kept(fewer), kept(old))
    assert (found.changes.new, found.changes.gone, found.changes.relabelled) == (0, 1, 0)
    left = sum((Counter(held_rows(found.splits)[split]) for split in where), Counter())
    assert left[5.0, "a"] == 6
    assert left[5.0, "b"] == 3
    for split, there in where.items():
        assert held_rows(found.splits)[split].count((5.0, "a")) == there[5.0, "a"]
    other = drawn([*before[:-1], (5.0, "a")])
    assert dealt(other, kept(other), kept(old)).changes.relabelled == 1


def test_a_new_copy_of_a_known_row_joins_the_split_of_that() -> None:
    before = rows(40)
    for split, there in held_rows(drawn(before)).items():
        after = drawn([*before, there[0]])
        found = held_rows(dealt(after, kept(after), kept(drawn(before))).splits)
        assert found[split].count(there[0]) == 2


def test_new_rows_join_in_the_shares_and_what_joins_later_changes_nothing() -> None:
    before, more = rows(30), rows(3000, seed=5)
    some, all_of_them = drawn([*before, *more[:1500]]), drawn([*before, *more])
    first = dealt(some, kept(some), kept(drawn(before)))
    second = dealt(all_of_them, kept(all_of_them), kept(drawn(before)))
    sizes = [count / 3000 for count in second.changes.joined]
    assert sizes == pytest.approx(SHARES, abs=4 * (0.25 / 3000) ** 0.5)
    for split, there in held_rows(first.splits).items():
        assert set(there) <= set(held_rows(second.splits)[split])


def test_windows_of_one_sequence_join_together() -> None:
    samples, groups = digests.by_index(range(200), ""), np.repeat(np.arange(20), 10)
    before = np.full(200, -1)
    before[5] = 2  # one window of the first sequence is known
    found = joined(samples, groups, before, SHARES)
    assert (found[:10] == 2).all()
    assert all(len(set(found[groups == group].tolist())) == 1 for group in range(20))
    assert set(found.tolist()) == {0, 1, 2}
    assert not (joined(samples, groups, np.full(200, -1), (0.5, 0.5, 0.0)) == 2).any()


@pytest.mark.parametrize("shares", [SHARES, (1.0, 0.0, 0.0)])
def test_a_new_row_of_a_known_group_joins_the_split_of_that(shares: Sequence[float]) -> None:
    def grouped(found: Sequence[Row], of: Sequence[int], shares: Sequence[float]) -> Splits:
        splits = drawn(found, shares=(1.0, 0.0, 0.0))
        whole = replace(splits.train, drawn=None, groups=torch.tensor(of))
        train, val, test, said = complete(splits.target, whole, None, None, shares, 3)
        return Splits(train, val, test, splits.target, said, kind="table")

    of = [place // 4 for place in range(60)]
    before, more = grouped(rows(60), of, SHARES), rows(15, seed=9)
    after = grouped([*rows(60), *more], [*of, *range(15)], shares)
    found = dealt(after, kept(after), kept(before))
    homes = {group: split for split, there in before.parts().items() for group in set(there.groups.tolist())}
    for split, there in found.splits.parts().items():
        assert {homes[group] for group in there.groups.tolist()} == {split}
    assert found.changes.new == 15


def test_a_split_that_the_data_itself_gives_stays_and_what_moved_is_counted() -> None:
    whole = drawn(rows(20), shares=(1.0, 0.0, 0.0)).train
    given = replace(whole, drawn=None)

    def cut(border: int) -> Splits:
        parts = (Samples(given.inputs[:border], given.targets[:border]), None)  # type: ignore[index]
        test = Samples(given.inputs[border:], given.targets[border:])  # type: ignore[index]
        return Splits(*parts, test, Classes(("a", "b")), kind="table")

    after = cut(12)
    found = dealt(after, kept(after), kept(cut(15)))
    assert held_rows(found.splits) == held_rows(after)
    assert (found.changes.moved, found.changes.new, found.changes.gone) == (3, 0, 0)


def test_with_a_test_split_of_its_own_only_train_and_val_are_dealt() -> None:
    def source(found: list[Row]) -> Splits:
        splits = drawn(found, shares=(1.0, 0.0, 0.0))
        test = Samples([{"x": 100.0}, {"x": 101.0}], torch.tensor([0, 1]))
        train, val, test_, said = complete(splits.target, replace(splits.train, drawn=None), None, test, SHARES, 3)
        return Splits(train, val, test_, splits.target, said, kind="table")

    before, after = source(rows(40)), source([*rows(40), *rows(40, seed=9)])
    found = dealt(after, kept(after), kept(before))
    assert held_rows(found.splits)["test"] == [(100.0, "a"), (101.0, "b")]
    assert held_rows(found.splits)["val"][: len(held_rows(before)["val"])] == held_rows(before)["val"]
    assert found.changes.joined[2] == 0
    assert found.changes.new == 40


def test_nothing_left_to_train_on_is_an_error() -> None:
    before = drawn(rows(40))
    left = drawn(held_rows(before)["test"])
    with pytest.raises(UserError, match="train split none is left"):
        dealt(left, kept(left), kept(before))


def test_data_that_differ_are_refused_where_that_is_asked_with_their_counts() -> None:
    before = rows(40)
    after = drawn([*before[1:], (7.0, "b"), (8.0, "b")])
    hold = Hold("resume=here", kept(drawn(before)), strict=True)
    with pytest.raises(UserError, match=r"resume=here: .*2 new .*1 gone; 41 samples.*resume_allow"):
        held(after, hold, None, "size")
    said = held(after, replace(hold, strict=False), None, "size").said
    assert len(said) == 1
    assert "2 new" in said[0]
    assert "1 gone" in said[0]


def test_a_run_on_quite_other_data_is_no_split_to_take() -> None:
    found = drawn(rows(40))
    with pytest.raises(UserError, match="none of the 40 samples is one of the 30"):
        held(found, Hold("data.split_from=x", kept(drawn(rows(30, seed=8))), known=True), None, "size")


def test_what_is_kept_is_read_back_and_two_readings_are_equal(tmp_path) -> None:
    first, second = kept(drawn(rows(40))), kept(drawn(rows(40)))
    assert first.same(second)
    record.write(tmp_path, first)
    again = record.read(tmp_path)
    assert again is not None
    assert again.same(first)
    assert again.content == "size"
    assert record.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize("spoil", ["cut", "empty", "code", "version", "name", "length"])
def test_a_spoiled_record_is_an_error_that_names_the_file(tmp_path, spoil: str) -> None:
    good = kept(drawn(rows(40)))
    record.write(tmp_path, good)
    file = tmp_path / record.FILE
    columns = {name: getattr(good, name) for name in record.TYPES}
    told = {"version": record.VERSION, "content": "size"}
    match spoil:
        case "cut":
            file.write_bytes(file.read_bytes()[:-9])
        case "empty":
            file.write_bytes(b"")
        case "code":
            file.write_bytes(save({**columns, "splits": np.full(40, 3, np.uint8)}, told))
        case "version":
            file.write_bytes(save(columns, {**told, "version": "2"}))
        case "name":
            file.write_bytes(save({**columns, "more": columns["samples"]}, told))
        case "length":
            file.write_bytes(save({**columns, "targets": columns["targets"][1:]}, told))
    with pytest.raises(UserError, match=rf"{record.FILE}"):
        record.read(tmp_path)
