"""What a text that was written has in common with its references, as numbers that add up over texts.

By sacrebleu, whose figures of a corpus are functions of such sums, so that they are the same over several processes and
can be resampled. Sources: Papineni et al. 2002, "BLEU"; Popovic 2015, "chrF"; Snover et al. 2006, "A Study of
Translation Edit Rate"; Lin 2004, "ROUGE".

Shapes: b texts, s sums.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from ftlab.errors import UserError

COUNTS = {"bleu": 10, "chrf": 18, "ter": 2}  # sums of each figure of sacrebleu
MEANS = ("rouge_l", "exact_match")  # of texts, each of which has a figure of its own
WIDTH = 1 + sum(COUNTS.values()) + len(MEANS)  # first how many texts there are
BETTER = {"bleu": "max", "chrf": "max", "ter": "min", "rouge_l": "max", "exact_match": "max"}


@cache
def scorers() -> dict[str, Any]:
    """By figure. Raises: UserError where sacrebleu is not installed."""
    if find_spec("sacrebleu") is None:
        raise UserError("task=translation, captioning: need sacrebleu: pip install 'ftlab[text]'")
    from sacrebleu.metrics import BLEU, CHRF, TER

    return {"bleu": BLEU(force=True), "chrf": CHRF(), "ter": TER()}


def sums_of(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Tensor:
    """(b, s) float64. references: of each text, one or several."""
    streams = [list(column) for column in zip_longest(*references)]
    parts = [scorer._extract_corpus_statistics(list(texts), streams) for scorer in scorers().values()]
    pairs = zip(texts, references, strict=True)
    means = [[max(rouge_l(text, one) for one in several), float(text in _stripped(several))] for text, several in pairs]
    rows = [[1.0, *map(float, (*a, *b, *c)), *d] for a, b, c, d in zip(*parts, means, strict=True)]
    return torch.tensor(rows, dtype=torch.float64).view(-1, WIDTH)


def _stripped(references: Sequence[str]) -> list[str]:
    """What is written has no space around it."""
    return [one.strip() for one in references]


def figures(sums: Sequence[float]) -> dict[str, float | None]:
    """Of sums (s,) of all texts; None where there are none. Shares in percent, as sacrebleu has them, but for the means
    of texts, which go to 1."""
    count, *rest = sums
    if not count:
        return dict.fromkeys(BETTER)
    found: dict[str, float | None] = {}
    for name, scorer in scorers().items():
        own, rest = rest[: COUNTS[name]], rest[COUNTS[name] :]
        whole = own if name == "ter" else [round(one) for one in own]
        found[name] = float(scorer._compute_score_from_stats(whole).score)
    return found | {name: value / count for name, value in zip(MEANS, rest, strict=True)}


def signatures() -> dict[str, str]:
    """How each figure was computed, as sacrebleu writes it for others to compare."""
    return {name: str(scorer.get_signature().format()) for name, scorer in scorers().items()}


def nearness(text: str, references: Sequence[str]) -> float:
    """chrF of one text, 0 to 100."""
    return float(scorers()["chrf"].sentence_score(text, list(references)).score)


def rouge_l(text: str, reference: str) -> float:
    """The F1 of the longest words that both have in the same order, 0 to 1; letters of any script are words' parts."""
    mine, true = (words(one) for one in (text, reference))
    shared = longest_shared(mine, true)
    return 2 * shared / (len(mine) + len(true)) if shared else 0.0


def words(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text.lower()).split()


def longest_shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words a longest common subsequence has."""
    before = [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for place, theirs in enumerate(other):
            row.append(before[place] + 1 if word == theirs else max(before[place + 1], row[place]))
        before = row
    return before[-1]


def told(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None)
