"""What a run on texts leaves is read by transformers alone, with the same outputs."""

import json
from pathlib import Path

import pytest
import torch

import ftlab
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.heads.own import Own
from ftlab.model import Model, given
from ftlab.targets.classes import Classes
from tests.backbones.texts import BERT, FAMILIES, tokenizer

transformers = pytest.importorskip("transformers")
TEXTS = ["a b c d e f g", "x", "q r s t"]
HEAD = {"own": "sequence_classification"}
WITHOUT = {"t5", "bart", "marian", "m2m_100"}  # only their encoders are read here


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in WITHOUT])
def test_a_familys_own_classifier_gives_the_logits_of_the_librarys_model(family):
    torch.manual_seed(0)
    settings = {"model_type": family, **FAMILIES[family]}
    backbone = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer())
    own = backbone.preprocessing
    model = Model(backbone, Own(num_outputs=3, **given(backbone, HEAD, own, Classes(("a", "b", "c"))))).eval()
    batch = Batch(None, torch.arange(3), own.stack([own.transform()(text) for text in TEXTS]))
    plain = model.head.in_library(backbone.model)
    fields = batch.inputs
    more = {"token_type_ids": fields["segments"]} if getattr(plain.config, "type_vocab_size", 0) > 1 else {}
    with torch.no_grad():
        ours = model(batch)
        theirs = plain(fields["tokens"], attention_mask=fields["mask"].long(), **more).logits
    assert ours.shape == (3, 3)
    assert ours.std() > 1e-4
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert {*backbone.model.state_dict()} == {*backbone.model.state_dict()} - {*model.head.library_names().values()}


@pytest.mark.parametrize("family", sorted(WITHOUT))
def test_a_family_whose_encoder_alone_is_read_has_no_classifier_of_its_own(family):
    settings = {"model_type": family, **FAMILIES[family]}
    backbone = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer())
    with pytest.raises(ftlab.UserError, match=f"backbone.name={family}: transformers has no AutoModelForSequence"):
        Own(num_outputs=3, **given(backbone, HEAD, backbone.preprocessing, Classes(("a", "b", "c"))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("library")
    torch.manual_seed(0)
    transformers.AutoModel.from_config(transformers.AutoConfig.for_model("bert", **BERT)).save_pretrained(place / "net")
    (place / "net" / "tokenizer.json").write_text(tokenizer())
    lines = [
        "text,label",
        *(f"{'a' if n % 2 else 'z'} {chr(98 + n % 24)} q,{'yes' if n % 2 else 'no'}" for n in range(40)),
    ]
    (place / "texts.csv").write_text("\n".join(lines) + "\n")
    return place


def train(folder: Path, run: Path, *more: str) -> Path:
    own = [f"data.root={folder}", "data.file=texts.csv", f"backbone.name={folder / 'net'}", "trainer.accelerator=cpu"]
    ftlab.train(ftlab.compose(["data=text_csv", *own, "trainer.max_epochs=1", *more]), run_dir=run)
    return run / "bundle"


def test_the_bundle_of_a_classifier_loads_as_a_whole(folder, tmp_path):
    bundle = train(folder, tmp_path / "run", "head=own", "strategy=full")
    ours = ftlab.load(bundle, accelerator="cpu")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bundle).eval()
    prepare = transformers.AutoTokenizer.from_pretrained(bundle)
    inputs = prepare(TEXTS, padding=True, truncation=True, return_tensors="pt")
    fields = ours.preprocessing.stack([ours.transform(text) for text in TEXTS])
    assert torch.equal(inputs["input_ids"], fields["tokens"])
    with torch.no_grad():
        logits = ours.model(Batch(None, torch.arange(3), fields))
        torch.testing.assert_close(model(**inputs).logits, logits, atol=1e-6, rtol=1e-6)
        plain = ours.to_transformers()
        torch.testing.assert_close(plain(**inputs).logits, logits, atol=1e-6, rtol=1e-6)
    assert model.config.id2label == plain.config.id2label == {0: "no", 1: "yes"}
    found = transformers.pipeline("text-classification", model=model, tokenizer=prepare)("a b q")
    assert found[0]["label"] == ours.predict("a b q")[0]["class"]
    assert found[0]["score"] == pytest.approx(ours.predict("a b q")[0]["probability"], abs=1e-6)


def test_with_another_head_the_network_loads_alone_and_the_head_is_in_the_same_file(folder, tmp_path):
    from safetensors.torch import load_file

    bundle = train(folder, tmp_path / "run", "strategy=closed_form")
    ours, network = ftlab.load(bundle, accelerator="cpu"), transformers.AutoModel.from_pretrained(bundle).eval()
    inputs = transformers.AutoTokenizer.from_pretrained(bundle)("a b q", return_tensors="pt")
    weights = load_file(bundle / "model.safetensors")
    with torch.no_grad():
        *below, last = (state.mean(1) for state in network(**inputs, output_hidden_states=True).hidden_states)
        pooled = torch.cat([last, *below], 1)  # of a network of three blocks all layers are pooled
        logits = pooled @ weights["ftlab_head.fc.weight"].T + weights["ftlab_head.fc.bias"]
    assert float(logits.softmax(1).max()) == pytest.approx(ours.predict("a b q")[0]["probability"], abs=1e-5)
    assert json.loads((bundle / "config.json").read_text())["architectures"] == ["BertModel"]
    with pytest.raises(ftlab.UserError, match="head=linear: the library of its network has no such model"):
        ours.to_transformers()
