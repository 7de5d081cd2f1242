"""Figures of texts: sums that add up over texts give what sacrebleu says of the whole corpus."""

import pytest
import torch

from ftlab.data.base import DataSpec
from ftlab.heads.decoder import TextOutputs
from ftlab.targets.texts import Texts
from ftlab.tasks import text_scores
from ftlab.tasks.writing import Translation

pytest.importorskip("sacrebleu")
TEXTS = ["the cat sat on the mat today", "a dog runs", "nothing at all like it", ""]
TRUE = [("the cat sat on a mat today", "the cat was on the mat"), ("a dog runs",), ("quite another text",), ("empty",)]


def test_sums_over_texts_give_the_figures_of_the_whole_corpus():
    from sacrebleu.metrics import BLEU, CHRF, TER

    found = text_scores.figures((text_scores.sums_of(TEXTS[:2], TRUE[:2]).sum(0)
                                 + text_scores.sums_of(TEXTS[2:], TRUE[2:]).sum(0)).tolist())  # fmt: skip
    streams = [[one[0] for one in TRUE], [one[1] if len(one) > 1 else None for one in TRUE]]
    for name, scorer in {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}.items():
        assert found[name] == pytest.approx(scorer.corpus_score(TEXTS, streams).score), name
    assert found["exact_match"] == 1 / 4
    # "the cat sat on mat today" is 6 of 7 and 7 words, "a dog runs" all of 3; the others share no word.
    assert found["rouge_l"] == pytest.approx((6 * 2 / 14 + 1) / 4)
    assert "version:" in text_scores.signatures()["bleu"]
    assert text_scores.figures([0.0] * text_scores.WIDTH)["bleu"] is None


def test_words_of_rouge_are_of_any_script():
    assert text_scores.rouge_l("El niño está aquí", "el NIÑO, aquí") == pytest.approx(2 * 3 / 7)
    assert text_scores.rouge_l("", "x") == 0.0


def task(**settings):
    return Translation(DataSpec("x", Texts(2, 2), {"train": 2}), **settings)


def test_loss_is_a_sum_over_tokens_with_smoothing_in_training_alone():
    torch.manual_seed(0)
    logits, truth = torch.randn(5, 7), torch.tensor([1, 2, 3, 4, 6])
    outputs = TextOutputs(logits, torch.tensor([2, 3]), truth, None)
    logs = logits.log_softmax(1)
    plain = -logs[torch.arange(5), truth].sum()
    smooth = 0.8 * plain - 0.2 * logs.mean(1).sum()
    own = task(label_smoothing=0.2)
    for found, total in ((own.loss(outputs, None), plain), (own.training_loss(outputs, None), smooth)):
        torch.testing.assert_close(found, (total, torch.tensor(5.0)))
    rows, none = own.compared(own.predictions(outputs), [("a",), ("b",)])
    assert none.shape == (2, 0)
    figures = own.figures({"sums": rows.sum(0)})
    assert figures["perplexity"] == pytest.approx(float((plain / 5).exp()))
    assert figures["token_accuracy"] == float((logits.argmax(1) == truth).double().mean())
    assert figures["bleu"] is None  # nothing was generated
    assert own.objective == "perplexity"
    assert "bleu" not in own.better
    written = own.compared(own.predictions(outputs._replace(texts=["a", "c"])), [("a",), ("b",)])[0]
    assert own.figures({"sums": written.sum(0)})["exact_match"] == 0.5
    assert text_scores.figures(text_scores.sums_of(["a b"], [(" a b ",)])[0].tolist())["exact_match"] == 1.0


def test_each_epoch_may_be_judged_by_what_is_written():
    own = task(generate="each", generation={"beams": 3, "no_repeat": None})
    assert own.objective == "bleu"
    assert own.better["ter"] == "min"
    assert own.answering({}).beams == 3
    assert own.answering({"generation": {"beams": 1, "max_tokens": None}}).beams == 1
    with pytest.raises(Exception, match=r"generation.beems=3: no such setting; did you mean 'beams'"):
        own.at_predict({"generation": {"beems": 3}})
    with pytest.raises(Exception, match=r"generation.beams=0: expected a whole number from 1 to 64"):
        task(generation={"beams": 0})


def test_the_worst_are_those_that_are_least_like_any_of_their_texts():
    from ftlab.tasks.writing import Said

    own, none = task(), torch.zeros(3)
    said = [Said(text, none) for text in TEXTS[:3]]
    found = own.worst(said, TRUE[:3])
    assert [one["position"] for one in found] == [2, 0]
    assert found[1]["truth"] == "the cat sat on a mat today / the cat was on the mat"
