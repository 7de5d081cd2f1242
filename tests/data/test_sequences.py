"""A sequence on its way into a batch: ids, scales, padding; what a bundle may say of it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.kinds import restored
from ftlab.inputs.sequences.preprocessing import OWN_IDS, UNKNOWN, Channel, SequencePreprocessing, fit
from ftlab.inputs.sequences.steps import Layout, Steps
from ftlab.targets.classes import Classes

WORDS = SequencePreprocessing("word", ("a", "b"), (), 4, Layout("text", None, None))
BOTH = SequencePreprocessing(
    "word", ("a", "b"), (Channel("x", 1.0, 2.0), Channel("y", 0.0, 1.0)), 4, Layout("s", "t", 3)
)
NUMBERS = replace(BOTH, token=None, vocabulary=())


def test_tokens_get_the_ids_of_train_and_unknown_ones_share_one() -> None:
    fields = WORDS.transform()(Steps(("b", "what", "a")))
    assert fields["tokens"].tolist() == [OWN_IDS + 1, UNKNOWN, OWN_IDS]
    assert fields["mask"].tolist() == [True] * 3
    assert fields["series"].shape == (3, 0)


def test_numbers_are_standardised_and_a_missing_one_is_the_mean() -> None:
    steps = Steps(None, np.array([[3.0, 5.0], [np.nan, -1.0]]), ("x", "y"))
    assert NUMBERS.transform()(steps)["series"].tolist() == [[1.0, 5.0], [0.0, -1.0]]
    turned = Steps(None, steps.series[:, ::-1], ("y", "x"))  # found by their names  # type: ignore[index]
    assert NUMBERS.transform()(turned)["series"].tolist() == [[1.0, 5.0], [0.0, -1.0]]


def test_the_fit_takes_frequent_tokens_and_scales_of_all_steps() -> None:
    inputs = [
        Steps(("10", "2", "2"), np.array([[1.0, 3.0], [2.0, 3.0], [np.nan, 3.0]]), ("x", "flat")),
        Steps(("2", "10"), np.array([[6.0, 3.0], [7.0, 3.0]]), ("x", "flat")),
        Steps(("rare",), np.array([[4.0, 3.0]]), ("x", "flat")),
    ]
    found = fit(inputs, "word", None, 2, Layout(None, None, None))
    assert found.vocabulary == ("2", "10")
    values = np.array([1.0, 2.0, 6.0, 7.0, 4.0])
    assert found.channels[0] == Channel("x", pytest.approx(values.mean()), pytest.approx(values.std()))
    assert found.channels[1] == Channel("flat", 3.0, 1.0)
    assert found.max_length == 3
    assert found.builds() == {"tokens": OWN_IDS + 2, "channels": 2, "max_length": 3}
    targets = torch.zeros(3, 1)
    said = found.remarks(Splits(Samples(inputs, targets), Samples(inputs[2:], targets[:1]), None, Classes(())).inputs())
    assert said == (
        "column flat is 3 in all training steps; it says nothing",
        "column word: 1 steps of train hold tokens that are too rare to be learned ('rare')",
        "1 number is missing in steps of train; the mean stands in",
        "column word: 1 steps of val hold tokens that are rare or absent in train ('rare')",
    )


def test_what_is_longer_than_the_longest_is_cut_and_counted() -> None:
    long = Steps(("a",) * 6)
    assert WORDS.transform()(long)["tokens"].shape == (4,)
    said = WORDS.remarks(Splits(Samples([long, Steps(("a",))], torch.zeros(2, 1)), None, None, Classes(())).inputs())
    assert said == ("1 of 2 sequences of train are longer than 4 steps; the rest is cut off",)


def test_a_batch_is_filled_up_to_its_longest_sequence() -> None:
    transform = BOTH.transform()
    short, long = Steps(("a",), np.ones((1, 2))), Steps(("b", "a", "b"), np.ones((3, 2)))
    batch = BOTH.stack([transform(short), transform(long)])
    assert batch["mask"].tolist() == [[True, False, False], [True, True, True]]
    assert batch["tokens"].tolist() == [[2, 0, 0], [3, 2, 3]]
    assert batch["series"].shape == (2, 3, 2)
    assert batch["series"][0, 1:].abs().sum() == 0


@pytest.mark.parametrize(
    ("own", "given", "lengths"),
    [
        (WORDS, ["a", "b", "c"], [3]),
        (WORDS, [["a", "b", "c"], ["a"]], [3, 1]),
        (WORDS, np.array([1, 2]), [2]),
        (WORDS, torch.ones(3, 2, dtype=torch.long), [2, 2, 2]),
        (NUMBERS, np.ones((5, 2)), [5]),
        (NUMBERS, torch.ones(3, 5, 2), [5, 5, 5]),
        (NUMBERS, [np.ones((5, 2)), [[1, 2]]], [5, 1]),
        (replace(NUMBERS, channels=NUMBERS.channels[:1]), [1.0, 2.0], [2]),
        (BOTH, {"tokens": "ab", "series": np.ones((2, 2))}, [2]),
        (BOTH, [{"tokens": ["a"], "series": [[1, 2]]}], [1]),
        (WORDS, [], []),
    ],
)
def test_python_gives_one_sequence_or_many(own: SequencePreprocessing, given: Any, lengths: list[int]) -> None:
    assert [len(steps) for steps in own.each(given)] == lengths


@pytest.mark.parametrize(
    ("own", "given", "message"),
    [
        (WORDS, [[]], "the sequence has no steps"),
        (NUMBERS, [["a", "b"]], "what is no number"),
        (NUMBERS, np.ones((3, 5)), r"has 5 numbers a step; accepted: 2 \(x, y\)"),
        (NUMBERS, np.ones((3, 2, 2, 2)), r"the shape \(2, 2, 2\); accepted: \(steps, 2\)"),
        (NUMBERS, [[np.inf, 1.0]], "1 numbers a step"),
        (NUMBERS, np.array([[0.0, 1.0], [0.0, np.inf]]), "an infinite number in step 2"),
        (BOTH, np.ones((3, 2)), "given as {'tokens': ..., 'series': ...}"),
        (BOTH, {"tokens": "abc", "series": np.ones((2, 2))}, "3 tokens and 2 steps of numbers"),
        (NUMBERS, Steps(None, np.ones((2, 2)), ("x", "z")), "lacks the column 'y'"),
        (WORDS, Steps(None, np.ones((2, 2)), ("x", "z")), "has no tokens"),
    ],
)
def test_a_sequence_that_does_not_fit_is_refused(own: SequencePreprocessing, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        [own.transform()(steps) for steps in own.each(given)]


def test_augmentations_of_images_are_refused() -> None:
    none = {"rotation": 0.0, "shift": 0.0, "shear": 0.0, "zoom": 0.0, "horizontal_flip": 0.0, "randaugment": 0,
            "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}  # fmt: skip
    assert WORDS.transform(Augment(**none))
    with pytest.raises(UserError, match="use augment=none"):
        WORDS.transform(Augment(**{**none, "rotation": 5.0}))


def test_the_report_shows_the_beginning_of_a_sequence() -> None:
    cells = BOTH.shown(Steps(("a",) * 20, np.ones((20, 2)), ("x", "y")))["cells"]
    assert cells == {"steps": "20", "tokens": "a " * 12 + "...", "x": "1 " * 12 + "...", "y": "1 " * 12 + "..."}


def test_what_is_stored_comes_back() -> None:
    for own in (WORDS, BOTH, NUMBERS):
        assert restored(json.loads(json.dumps(own.stored()))) == own


def test_what_was_stored_before_gaps_were_known_keeps_windows_across_them() -> None:
    stored = json.loads(json.dumps(NUMBERS.stored()))
    del stored["layout"]["gap"], stored["layout"]["dates"]
    assert restored(stored) == NUMBERS
    assert NUMBERS.layout.gap is None
    known = replace(NUMBERS, layout=replace(NUMBERS.layout, gap=1.9, dates=True))
    assert restored(json.loads(json.dumps(known.stored()))) == known


def test_scales_of_an_earlier_run_are_kept_and_columns_are_those_of_the_new_data() -> None:
    fresh = replace(BOTH, vocabulary=("z",), max_length=9, layout=Layout("id", "at", None))
    assert BOTH.suited(fresh) == replace(BOTH, layout=fresh.layout)


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 0}, {"max_length": 10**9}, {"max_length": 2.5}, {"vocabulary": ["a", "a"]}, {"vocabulary": [1]},
        {"token": 3}, {"token": None, "vocabulary": []}, {"channels": [{"name": "x", "mean": 0.0, "std": 0.0}]},
        {"channels": [{"name": "x", "mean": float("nan"), "std": 1.0}]}, {"channels": [{"name": "x"}]},
        {"layout": {"series": None, "time": None, "window": 0, "stride": 1}}, {"layout": {"series": 1}},
        {"layout": {"series": None, "time": None, "window": 3, "gap": 0}},
        {"layout": {"series": None, "time": None, "window": 3, "gap": float("inf")}},
        {"layout": {"series": None, "time": None, "window": 3, "gap": "1"}},
        {"layout": {"series": None, "time": None, "window": 3, "gap": 1.0, "dates": 1}},
    ],
)  # fmt: skip
def test_a_spoiled_description_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        restored({**json.loads(json.dumps(WORDS.stored())), **change})
