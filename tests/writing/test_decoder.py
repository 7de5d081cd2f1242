"""A decoder in its parts: losses and texts are those of transformers' own model, tied weights have one owner."""

import pytest
import torch
from torch import nn

from ftlab.backbones.generation import Generation
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.decoder import Decoder, places
from ftlab.inputs.texts.vocabulary import Vocabulary, made_of
from ftlab.model import Model
from tests.writing.networks import FAMILIES, WORDS, saved

pytest.importorskip("transformers")
SOURCES, TARGETS = ["w1 w2 w3 w4", "w5 w6"], ["w3 w4", "w1 w2 w9 w10 w11"]


def own(place, family):
    network = saved(place, family)
    backbone = TextBackbone(str(place))
    return network, Model(backbone, Decoder(backbone, backbone.preprocessing, (), 1)).eval()


def batch_of(model, sources=SOURCES, targets=TARGETS):
    made = model.backbone.preprocessing.transform()
    fields = model.backbone.preprocessing.stack([made(source) for source in sources])
    return Batch(None if targets is None else [(one,) for one in targets], torch.arange(len(sources)), fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_texts_are_those_of_the_librarys_own_model(tmp_path, family):
    network, model = own(tmp_path, family)
    batch = batch_of(model)
    labels = torch.tensor([[7, 8, 1, -100, -100, -100], [5, 6, 13, 14, 15, 1]])  # w0 is 4, the end is 1
    inputs = {"input_ids": batch.inputs["tokens"], "attention_mask": batch.inputs["mask"].long()}
    with torch.no_grad():
        found, wanted = model(batch), network(**inputs, labels=labels).loss
    assert torch.equal(nn.functional.cross_entropy(found.logits, found.truth), wanted)
    assert found.counts.tolist() == [3, 6]
    greedy, beams = Generation(1, None, None, 9), Generation(3, 1.5, 2, 9)
    told = {"num_beams": 3, "length_penalty": 1.5, "no_repeat_ngram_size": 2}
    for how, more in ((greedy, {"num_beams": 1}), (beams, told)):
        memory = model.head.memory(model.features(batch))
        tokens = network.generate(**inputs, **more, max_new_tokens=9, do_sample=False)
        assert model.head.decoder.generate(*memory, how, 20) == tokens.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_of_tokens_is_one_and_belongs_to_the_encoder(tmp_path, family):
    _, model = own(tmp_path, family)
    stages = [stage.name for stage in model.stages]
    assert stages[0] == "backbone/embeddings"
    assert [name for name in stages if name.startswith("head/blocks")] == ["head/blocks.0", "head/blocks.1"]
    assert "head/cross" in stages
    assert "head/vocabulary" not in stages  # it is the table
    assert sum("shared" in name or "lm_head" in name for name in model.tied) == 2
    assert {*model.tied.values()} == {"backbone/embeddings"}
    listed = [name for stage in model.stages for name in stage.parameters]
    assert sorted(listed) == sorted(name for name, _ in model.named_parameters())
    cross = next(stage for stage in model.stages if stage.name == "head/cross")
    other = {name.replace("cross", "") for name in listed if "encoder_attn" in name or "EncDec" in name}
    assert other <= {*cross.parameters}


def small(corpus, vocabulary=300, **settings):
    backbone = TextBackbone("bert", pretrained=False, config={"model_type": "bert", **SMALL}, tokenizer=tokens())
    head = Decoder(backbone, backbone.preprocessing, corpus, 1, vocabulary=vocabulary, width=16, depth=2, heads=2,
                   **settings)  # fmt: skip
    return Model(backbone, head).eval()


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 44,
         "max_position_embeddings": 64}  # fmt: skip


def tokens():
    from tests.writing.networks import tokenizer

    return tokenizer()


def test_a_vocabulary_writes_every_text_as_it_was_and_is_the_same_each_time():
    texts = ["the file %s is lost", "the file {name} is there", "el archivo no está"] * 4
    made = Vocabulary(made_of(texts, 280), end=1)
    assert made_of(texts, 280) == made.tokenizer
    assert len(made) <= 280
    for text in ("the file %(name)d", "never seen: ñandú, 雪, \U0001f40c"):
        numbers = made.numbers([text], 200)[0]
        assert numbers[-1] == 1
        assert made.text(numbers) == text
    assert made.lengths(["the file"]) == [len(made.numbers(["the file"], 50)[0])]
    assert made.numbers(["the file is there"], 3)[0] == [*made.numbers(["the file is there"], 50)[0][:2], 1]
    with pytest.raises(UserError, match=r"vocabulary=100: accepted is 259"):
        made_of(texts, 100)


def test_marks_of_html_within_a_text_are_letters_to_a_small_decoder():
    vocabulary = small(["a <s>b</s> c", "d <pad>"]).head.vocabulary
    numbers = vocabulary.numbers(["a <s>b</s> c"], 200)[0]
    assert numbers.index(1) == len(numbers) - 1
    assert vocabulary.text(numbers) == "a <s>b</s> c"


def test_no_token_of_a_text_sees_what_comes_after_it():
    model = small(WORDS)
    one, other = (model(batch_of(model, SOURCES[:1], [text])).logits for text in ("w1 w2 w3", "w1 w2 w9 w8"))
    numbers = model.head.vocabulary.numbers(["w1 w2 w3", "w1 w2 w9 w8"], 50)
    shared = next(place for place, (a, b) in enumerate(zip(*numbers, strict=False)) if a != b)
    assert shared > 2
    torch.testing.assert_close(one[: shared + 1], other[: shared + 1])
    assert not torch.allclose(one[shared + 1], other[shared + 1], atol=1e-4)


def test_what_only_fills_a_batch_changes_nothing():
    model = small(WORDS)
    both = model(batch_of(model))
    shorter = model(batch_of(model, SOURCES[1:], TARGETS[1:]))
    torch.testing.assert_close(both.logits[-len(shorter.logits) :], shorter.logits, atol=1e-5, rtol=1e-4)


def test_greedy_and_beam_are_as_computed_by_hand():
    """Behind the beginning a has 0.5, b 0.4, c 0.1; behind a nothing is sure, behind b the end has 0.9. So greedy takes
    a each time, where two beams find b and the end, which have 0.4 * 0.9 = 0.36 together."""
    model = small(WORDS)
    decoder = model.head.decoder
    size = len(model.head.vocabulary)
    table = torch.full((size, size), 1e-9)
    begin, end, a, b, c = decoder.begin, decoder.end, 3, 4, 5
    table[begin, [a, b, c]] = torch.tensor([0.5, 0.4, 0.1])
    table[a, [a, b, end, c]] = torch.tensor([0.4, 0.3, 0.2, 0.1])
    table[b, [end, a]] = torch.tensor([0.9, 0.1])
    table[c, end] = 1.0
    seen = {}
    decoder.whole.model.decoder.embed_tokens.register_forward_pre_hook(
        lambda module, given: seen.__setitem__("tokens", given[0])
    )
    decoder.whole.lm_head.register_forward_hook(lambda module, given, found: table.log()[seen["tokens"]])
    decoder.whole.final_logits_bias.zero_()
    memory = torch.zeros(1, 2, 16), torch.ones(1, 2, dtype=torch.bool)
    assert decoder.generate(*memory, Generation(1, max_tokens=3), 9) == [[begin, a, a, a]]
    assert decoder.generate(*memory, Generation(2, 0.0, max_tokens=3), 9) == [[begin, b, end]]
    assert decoder.generate(*memory, Generation(1, no_repeat=1, max_tokens=3), 9) == [[begin, a, b, end]]
    # log 0.36 = -1.02 of 2 tokens against log(0.5 * 0.3 * 0.9) = -2.00 of 3, each divided by its length to the power p:
    # the longer one is ahead from p = log(1.96) / log(1.5) = 1.66 on.
    assert decoder.generate(*memory, Generation(4, 1.0, max_tokens=3), 9) == [[begin, b, end]]
    assert decoder.generate(*memory, Generation(4, 3.0, max_tokens=3), 9) == [[begin, a, b, end]]


def test_places_of_a_map_are_told_apart():
    found = places(torch.zeros(1, 5, 3, 4), 16)
    assert found.shape == (12, 16)
    distance = torch.cdist(found, found) + torch.eye(12) * 9
    assert distance.min() > 0.1


def test_more_tokens_than_a_decoder_writes_are_refused(tmp_path):
    _, model = own(tmp_path, "bart")
    assert model.head.max_tokens == 40
    with pytest.raises(UserError, match=r"generation.max_tokens=41: the decoder writes at most 40"):
        model.answers(batch_of(model, targets=None), Generation(max_tokens=41))
    with pytest.raises(UserError, match=r"head.decoder=own: .* has no decoder of its own"):
        small(WORDS, decoder="own")
