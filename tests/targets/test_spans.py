"""Answers as spans: from characters to tokens of windows and back, by hand."""

import pytest
import torch

from ftlab.errors import UserError
from ftlab.inputs.texts.offsets import FILLING, OTHER, Offsets
from ftlab.inputs.texts.preprocessing import TextPreprocessing
from ftlab.targets.ragged import Ragged
from ftlab.targets.spans import NOWHERE, Answer, Answers, Spans, of_windows
from tests.backbones.texts import tokenizer

pytest.importorskip("tokenizers")
CONTEXT = "b c d e f g h i j k l m n o p q"  # the word of number n begins at character 2 n


def offsets(question: str, context: str, stride: int | None = 4) -> Offsets:
    own = TextPreprocessing(tokenizer(), 0, 64, 16, stride)
    return own.transform().framed((question, context), (0, 0))[1]


def test_offsets_tell_the_characters_of_the_context_and_what_is_none_of_it():
    found = offsets("a z", "b  cc").places.tolist()
    # <s> a z </s> b cc </s>
    assert found == [[OTHER, OTHER]] * 4 + [[0, 1], [3, 5]] + [[OTHER, OTHER]]


def test_an_answer_is_in_each_window_that_holds_the_whole_of_it():
    frame = offsets("a z", CONTEXT)  # windows of 16 tokens: 11 words of the context each, 4 of which are shared
    assert (frame.places[:, 0] == FILLING).nonzero().flatten().tolist() == [16]
    own = Answer(CONTEXT, 14, ("i j",))  # words 7 and 8, which both windows hold: b to l, and i to q
    found, holds = of_windows(own, frame)
    assert holds.tolist() == [True, True]
    assert found.tolist() == [[4 + 7, 4 + 8], [17 + 4, 17 + 5]]
    assert frame.places[found[0, 0], 0] == own.start
    assert frame.places[found[0, 1], 1] == own.end


def test_a_window_that_holds_a_part_of_the_answer_or_nothing_points_to_its_own_beginning():
    frame = offsets("a z", CONTEXT)
    found, holds = of_windows(Answer(CONTEXT, 12, ("h i j",)), frame)  # the second window begins with i
    assert holds.tolist() == [True, False]
    assert found.tolist() == [[4 + 6, 4 + 8], [17, 17]]
    assert of_windows(Answer(CONTEXT, NOWHERE), frame)[0].tolist() == [[0, 0], [17, 17]]
    assert Spans().sides(Answer(CONTEXT, 12, ("h i j k l m n o",)), frame).tolist() == [0.0]  # longer than any window


def test_a_word_that_an_answer_cuts_is_part_of_its_span():
    found, holds = of_windows(Answer("b ccc d", 4, ("c d",)), offsets("a", "b ccc d"))
    assert holds.tolist() == [True]
    assert found.tolist() == [[4, 5]]


def test_offsets_come_back_from_a_cache_and_of_a_part_of_a_batch():
    several = [offsets("a", "b c"), offsets("a", CONTEXT)]
    batch = Offsets.stacked(several)
    assert batch.contexts == ["b c", CONTEXT]
    again = Offsets.unpacked(batch.packed())
    assert torch.equal(again.places, batch.places)
    assert torch.equal(again.mask[0], torch.arange(batch.places.shape[1]) < len(several[0].places))
    assert batch.select(torch.tensor([1])).contexts == [CONTEXT]
    assert torch.equal(batch.each(lambda part: part.half()).places, batch.places)  # 16 bits cannot hold places


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("a b", 1, ("b",)), "'b', which is not at character 1 of its context"),
        (Answer("a b", 0, ("",)), "'', which is not at character 0"),
        (Answer("a b", NOWHERE, ("b",)), "'b' without a place"),
    ],
)
def test_what_is_no_span_of_its_context_is_a_fault(answer, said):
    target = Spans()
    assert said in target.faults(Answers([Answer("a b", 2, ("b",)), answer]))[1]
    assert target.faults(Answers([Answer("a b", 2, ("b",)), Answer("a b", NOWHERE)])) == {}


def test_train_tells_whether_questions_may_have_no_answer():
    target = Spans().fitted(Answers([Answer("a", 0, ("a",)), Answer("a", NOWHERE)]))
    assert (target.questions, target.without) == (2, 1)
    assert Spans.restored(target.stored()) == target
    with pytest.raises(UserError, match="no question of train has an answer"):
        Spans().fitted(Answers([Answer("a", NOWHERE)]))


def test_windows_of_a_batch_lie_one_after_the_other():
    target, frames = Spans(), [offsets("a z", CONTEXT), offsets("a z", "b c")]
    parts = [target.follow(Answer(CONTEXT, NOWHERE), frames[0]), target.follow(Answer("b c", 0, ("b c",)), frames[1])]
    batch = target.collated(parts)
    assert isinstance(batch, Ragged)
    assert batch.counts.tolist() == [2, 1]
    assert batch.rows["ends"].tolist() == [[0, 0], [17, 17], [4, 5]]
    assert [target.shown(part) for part in parts] == ["in no window", "position 4 to 5"]
