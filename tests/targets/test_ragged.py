"""Rows of unequal number: what is taken out is what was put in, wherever it travels."""

import pytest
import torch

from ftlab.targets.ragged import Ragged, joined

COUNTS = [2, 0, 3, 1]
EACH = [{"at": torch.arange(count * 2.0).reshape(count, 2) + 10 * i} for i, count in enumerate(COUNTS)]
BLANK = {"at": torch.zeros(0, 2)}


def equal(found, wanted) -> bool:
    pairs = list(zip(found, wanted, strict=True))
    return all(torch.equal(one["at"], other["at"]) for one, other in pairs)


def test_each_sample_comes_back_by_place_and_all_at_once():
    ragged = Ragged.of(EACH, BLANK)
    assert len(ragged) == 4
    assert equal([ragged[place] for place in range(4)], EACH)
    assert equal(ragged.samples(), EACH)
    assert equal([ragged[-1]], EACH[-1:])
    with pytest.raises(IndexError):
        ragged[4]


@pytest.mark.parametrize("places", [[3, 0], [2, 2, 1], [1], []])
def test_samples_are_selected_in_any_order_and_more_than_once(places):
    chosen = Ragged.of(EACH, BLANK).select(torch.tensor(places, dtype=torch.int64))
    assert chosen.counts.tolist() == [COUNTS[place] for place in places]
    assert equal(chosen.samples(), [EACH[place] for place in places])


def test_samples_without_rows_and_no_samples_at_all_keep_their_form():
    assert Ragged.of([], BLANK).rows["at"].shape == (0, 2)
    assert Ragged.of([BLANK, BLANK], BLANK)[1]["at"].shape == (0, 2)


def test_several_are_joined_and_each_row_knows_its_sample():
    ragged = joined([Ragged.of(EACH[:2], BLANK), Ragged.of(EACH[2:], BLANK)])
    assert equal(ragged.samples(), EACH)
    assert ragged.of_sample.tolist() == [0, 0, 2, 2, 2, 3]


def test_places_are_not_rounded_where_a_run_goes_on_in_16_bits():
    ragged = Ragged({"at": torch.tensor([[1000.25]]), "label": torch.tensor([3])}, torch.tensor([1]))
    low = ragged.each(lambda tensor: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor)
    assert low.rows["at"].item() == 1000.25
    assert low.rows["label"].dtype == torch.int64
    assert {rows.device.type for rows in ragged.each(lambda t: t.to("meta")).rows.values()} == {"meta"}
