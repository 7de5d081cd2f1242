"""Tiny networks that write texts: of transformers' families, and a language whose translation is known."""

import json
from pathlib import Path
from typing import Any

import torch

from ftlab.data.base import Samples, Splits
from ftlab.targets.texts import Texts, Written
from tests.backbones.texts import BERT

WORDS = [f"w{number}" for number in range(40)]
OWN: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "forced_eos_token_id": None}
BART: dict[str, Any] = {
    "vocab_size": 44, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "decoder_attention_heads": 2,
    "encoder_attention_heads": 2, "decoder_ffn_dim": 32, "encoder_ffn_dim": 32, "max_position_embeddings": 40, **OWN,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "t5": {"vocab_size": 44, "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 32, "num_layers": 2,
           "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
    "bart": BART | {"decoder_start_token_id": 1},
    "marian": BART | {"decoder_start_token_id": 0},
}  # fmt: skip


def tokenizer() -> str:
    """Of WORDS, with an end behind each text; the whole of a tokenizer.json."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "<s>", *WORDS]
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["<pad>", "</s>", "<unk>", "<s>"])
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return str(made.to_str())


def saved(place: Path, family: str) -> Any:
    """A network of random weights in a folder, as transformers saves it; the network itself."""
    import transformers

    torch.manual_seed(0)
    known = FAMILIES | {"bert": BERT}
    config = transformers.AutoConfig.for_model(family, **known[family])
    auto = transformers.AutoModel if family == "bert" else transformers.AutoModelForSeq2SeqLM
    network = auto.from_config(config).eval()
    network.save_pretrained(place)
    (place / "tokenizer.json").write_text(tokenizer())
    return network


def pairs(count: int, seed: int, longest: int = 6) -> list[tuple[str, str]]:
    """Of 1 to `longest` words of the first ten; the translation has the word ten further, in the same order."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        length = int(torch.randint(1, longest + 1, (1,), generator=draw))
        numbers = torch.randint(0, 10, (length,), generator=draw).tolist()
        found.append((" ".join(WORDS[n] for n in numbers), " ".join(WORDS[n + 10] for n in numbers)))
    return found


def samples(several: list[tuple[str, str]]) -> Samples:
    return Samples([source for source, _ in several], Written([(target,) for _, target in several]))


def splits(train: int, val: int) -> Splits:
    return Splits(samples(pairs(train, 1)), samples(pairs(val, 2)), None, Texts(), kind="text")


def written(path: Path, several: list[tuple[str, str]], split: str = "") -> None:
    rows = [{"source": source, "target": target} | ({"split": split} if split else {}) for source, target in several]
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
