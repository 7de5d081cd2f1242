"""Questions whose answer is the letter behind the one that is asked for, and a tiny network for them."""

import json
from pathlib import Path

import torch

from tests.backbones.texts import BERT, tokenizer


def rows(count: int, seed: int, letters: int = 20, without: int = 0) -> list[dict[str, str]]:
    """Of contexts of so many letters; every so many a question asks for one that is not there."""
    draw, found = torch.Generator().manual_seed(seed), []
    for number in range(count):
        order = [chr(97 + int(one)) for one in torch.randperm(25, generator=draw)[:letters]]
        place = int(torch.randint(0, letters - 1, (1,), generator=draw))
        bare = bool(without) and number % without == 0
        question, answer = ("z", "") if bare else (order[place], order[place + 1])
        found.append({"question": question, "context": " ".join(order), "answer": answer})
    return found


def written(path: Path, several: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in several))


def network(place: Path) -> Path:
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("bert", **BERT)
    transformers.AutoModel.from_config(config).save_pretrained(place)
    (place / "tokenizer.json").write_text(tokenizer())
    return place


def words(place: Path, *more: str) -> list[str]:
    own = ["task=question_answering", "data=question_csv", f"data.root={place}", "data.file=questions.jsonl"]
    own += [f"backbone.name={place / 'net'}", "trainer.accelerator=cpu", "data.max_tokens=16", "data.stride=4"]
    return [*own, "backbone.drop_rate=0", "schedule.warmup=0", "data.split_column=split", *more]
