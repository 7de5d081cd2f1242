"""Question answering by hand: the loss of windows, the surest spans, SQuAD's figures, the score that val decides."""

from math import exp, log

import pytest
import torch

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.heads.span import SpanOutputs
from ftlab.inputs.texts.offsets import FILLING, OTHER, Offsets
from ftlab.targets.ragged import Ragged
from ftlab.targets.spans import NOWHERE, Answer, Spans
from ftlab.tasks.answer_section import by_length, passage
from ftlab.tasks.answers import best_score, given, quality, text_of
from ftlab.tasks.question_answering import QuestionAnswering


def task(without: int = 1, **settings) -> QuestionAnswering:
    return QuestionAnswering(DataSpec("own", Spans(4, without), {"train": 4}), **settings)


# Two samples: the first has windows of 4 and of 3 positions, parted by one, the second has one of 3.
MASK = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0, 0]], dtype=torch.bool)
CONTEXT = torch.tensor([[0, 1, 1, 1, 0, 0, 1, 1], [0, 1, 1, 0, 0, 0, 0, 0]], dtype=torch.bool)


def outputs(*ends: tuple[int, int, int, float]) -> SpanOutputs:
    """Logits of 0 but for (sample, position, 0 for begin and 1 for end, logit)."""
    logits = torch.zeros(2, 8, 2)
    for sample, position, side, logit in ends:
        logits[sample, position, side] = logit
    return SpanOutputs(logits.requires_grad_(), MASK, CONTEXT)


def test_each_window_is_asked_for_both_ends_among_its_context_and_its_first_position():
    found = outputs((0, 2, 0, 3.0))
    targets = Ragged({"ends": torch.tensor([[2, 3], [5, 5], [1, 1]])}, torch.tensor([2, 1]))
    total, weight = task().loss(found, Batch(targets, torch.arange(2)))
    # A begin of logit 3 among three of 0; all others among 4, 3, 3, 3 and 3 of 0.
    wanted = (log(3 + exp(3)) - 3 + log(4) + 4 * log(3)) / 2
    assert total.item() == pytest.approx(wanted)
    assert float(weight) == 3
    total.backward()
    assert found.logits.grad[MASK].abs().sum() > 0
    assert found.logits.grad[0, 4].abs().sum() == 0


def test_the_surest_span_of_all_windows_counts_by_its_odds_against_none():
    # Window 1: none 2 + 2, span 2-3 with 3 + 3: odds 2. Window 2: none 0, span 6-7 with 1.5 + 1.5: odds 3.
    ends = ((0, 0, 0, 2.0), (0, 0, 1, 2.0), (0, 2, 0, 3.0), (0, 3, 1, 3.0), (0, 6, 0, 1.5), (0, 7, 1, 1.5))
    first, second = task().predictions(outputs(*ends))
    assert first["ends"][:2].tolist() == [[6, 7], [2, 3]]
    assert first["score"][:2].tolist() == pytest.approx([1 / (1 + exp(-3)), 1 / (1 + exp(-2))])
    assert sorted(second["ends"].tolist()) == [[1, 1], [1, 2], [2, 2]]  # all as sure
    assert all(begin <= end for begin, end in first["ends"].tolist())


def test_an_answer_has_at_most_so_many_tokens_and_none_lies_in_two_windows():
    spans = task(longest=1).predictions(outputs((0, 1, 0, 5.0), (0, 7, 1, 5.0)))[0]
    assert sorted(map(tuple, spans["ends"].tolist())) == [(1, 1), (2, 2), (3, 3), (6, 6), (7, 7)]


def test_predictions_come_back_to_characters_each_span_once():
    places = torch.full((1, 6, 2), FILLING)
    places[0] = torch.tensor([[OTHER] * 2, [0, 3], [4, 9], [FILLING] * 2, [OTHER] * 2, [4, 9]])
    spans = [{"ends": torch.tensor([[2, 2], [5, 5], [1, 2]]), "score": torch.tensor([0.9, 0.8, 0.7]).double()}]
    own = task()
    (found,) = own.in_raw(spans, Offsets(places, ["the whole story"]))
    assert found["ends"].tolist() == [[4, 9], [0, 9]]
    (record,) = own.describe([found], score=0.5, top_k=2)
    assert record["answer"] == "whole"
    assert (record["start"], record["end"], record["score"]) == (4, 9, pytest.approx(0.9))
    assert [one["answer"] for one in record["top"]] == ["whole", "the whole"]
    (none,) = own.describe([found], score=0.95, top_k=1)
    assert (none["answer"], none["start"], none["score"]) == ("", None, pytest.approx(0.9))


@pytest.mark.parametrize(
    ("said", "right", "exact", "f1"),
    [
        ("The Cat!", ("cat",), 1.0, 1.0),  # without case, article and sign
        ("a black cat", ("the cat",), 0.0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("cat", ("dog", "cat"), 1.0, 1.0),  # any of several
        ("black cat", ("black dog", "big black cat"), 0.0, 2 * 1 * (2 / 3) / (1 + 2 / 3)),
        ("dog", ("cat",), 0.0, 0.0),
        ("dog", (), 0.0, 0.0),  # no answer is right
    ],
)
def test_exact_match_and_f1_are_those_of_squad(said, right, exact, f1):
    context = f"{said} and {right[0] if right else 'nothing'}"
    answer = Answer(context, len(said) + 5 if right else NOWHERE, right)
    spans = [{"ends": torch.tensor([[0, len(said)]]), "score": torch.tensor([0.8]).double()}]
    assert text_of(context, spans[0]["ends"][0]) == said
    rows, true = quality(spans, [answer])
    assert rows[0].tolist() == pytest.approx([0.8, exact, f1])
    assert true[0].tolist() == [float(bool(right)), float(len(right[0].split())) if right else 0.0]


def test_what_is_below_the_score_counts_as_no_answer():
    rows = torch.tensor([[0.9, 1, 1], [0.4, 0, 0.5], [0.4, 0, 0], [0.9, 0, 0]], dtype=torch.float64)
    true = torch.tensor([[1, 1], [1, 2], [0, 0], [0, 0]], dtype=torch.float64)
    exact, f1 = given(rows, true, 0.5)
    assert exact.tolist() == [1, 0, 1, 0]
    assert f1.tolist() == [1, 0, 1, 0]
    figures = task(score=0.5).figures({"rows": rows, "true": true})
    apart = ("has_answer_f1", "has_answer_exact_match", "no_answer_exact_match")
    assert figures == dict.fromkeys(("f1", "exact_match", *apart), 0.5)


def test_val_decides_the_score_with_the_best_mean_f1():
    rows = torch.tensor([[0.9, 1, 1], [0.6, 0, 0.2], [0.7, 0, 0], [0.3, 0, 0]], dtype=torch.float64)
    true = torch.tensor([[1, 1], [1, 1], [0, 0], [0, 0]], dtype=torch.float64)
    best = best_score(rows, true)
    assert best == pytest.approx(0.8)
    grid = torch.linspace(0, 1, 101).tolist()
    assert float(given(rows, true, best)[1].mean()) == max(float(given(rows, true, one)[1].mean()) for one in grid)
    own, fixed, always = task(), task(score=0.3), task(without=0)
    for one in (own, fixed, always):
        one.settle({"rows": rows, "true": true})
    assert own.settled() == {"score": best}
    assert fixed.settled() == {"score": 0.3}
    assert always.settled() == {"score": 0.0}  # where each question has an answer, one is always given
    assert "no_answer_exact_match" not in always.better


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"task.score=1.5: accepted is 0 to 1"):
        task(score=1.5)
    with pytest.raises(UserError, match=r"score=2: expected a number from 0 to 1"):
        task().at_predict({"score": 2})


def test_a_passage_marks_what_was_found_what_is_true_and_what_is_both():
    text = "The Rhine rises in the Alps."
    assert passage(text, (19, 27), (23, 27)) == (
        ("The Rhine rises in ", ""), ("the ", "found"), ("Alps", "both"), (".", ""),
    )  # fmt: skip
    assert passage(text, None, (23, 27))[1] == ("Alps", "true")
    assert passage(text, None, None) == ((text, ""),)
    far = passage(f"{'a' * 500}XY{'b' * 500}", (500, 501), (501, 502))
    assert [len(piece) for piece, _ in far] == [124, 1, 1, 124]  # 120 characters around them, and dots
    assert far[0][0].startswith("... a")
    assert far[3][0].endswith("b ...")


def test_figures_are_told_by_the_length_of_the_answer():
    exact, f1 = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([1.0, 0.5, 1.0, 0.0])
    true = torch.tensor([[1, 1], [1, 4], [1, 3], [0, 0]])
    assert by_length(exact, f1, true) == [
        {"words": "no answer", "questions": 1, "exact_match": 0.0, "f1": 0.0},
        {"words": "1", "questions": 1, "exact_match": 1.0, "f1": 1.0},
        {"words": "3 to 4", "questions": 2, "exact_match": 0.5, "f1": 0.75},
    ]
