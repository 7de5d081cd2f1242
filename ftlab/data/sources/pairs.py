"""What all files of texts with what is to be written of them have in common: from pairs to splits.

Shapes: n pairs.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ftlab.data.base import Samples, Splits
from ftlab.data.groups import numbered
from ftlab.data.sources.questions import Sharing
from ftlab.data.sources.split_names import SPLITS
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.paths import short
from ftlab.inputs.texts.preprocessing import is_halved
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.texts import References, Texts, Written

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-+#0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?[sdiufgxc]|%\d+\$[sd]|\{\w*\}|\$\{\w+\}")
WORDS = re.compile(r"\w+")
UNLIKE = 4  # times the usual ratio of two lengths, from which two texts hardly say the same
LONG = 20  # characters, below which lengths tell nothing


@dataclass(frozen=True)
class Pair:
    """As a file has it."""

    name: str  # what a person calls it: a row, a line, an entry
    source: str
    targets: References  # each right
    split: str = "train"
    group: str = ""  # never in two splits; "": those of one source text, but for case and signs


def dealt(pairs: Sequence[Pair | Fault], sharing: Sharing, seed: int) -> Splits:
    """Raises: UserError where none of train can be used."""
    judged = [one if isinstance(one, Fault) else fault(one) or one for one in pairs]
    faults = [one for one in judged if isinstance(one, Fault)]
    good = [one for one in judged if isinstance(one, Pair)]
    if sharing.learned and not any(one.split == "train" for one in good):
        raise UserError(faults[0].reason if faults else "no pair of texts is of the train split")
    parts = split_up(good)
    target = Texts()
    val, test = (parts[split] if len(parts[split]) else None for split in ("val", "test"))
    train, val, test, said = complete(target, parts["train"], val, test, sharing.split, seed)
    return Splits(train, val, test, target, said, tuple(odd(good)), tuple(faults), kind="text")


def fault(one: Pair) -> Fault | None:
    """Why a pair cannot be used."""
    if not one.source.strip():
        return Fault(one.name, "texts are empty", f"{one.name}: the text is empty.")
    if len(one.targets) == 0 or not all(text.strip() for text in one.targets):
        said = f"{one.name}: what is to be written of '{short(one.source)}' is empty."
        return Fault(one.name, "texts to write are empty", said)
    if any(map(is_halved, (one.source, *one.targets))):
        said = f"{one.name}: a text holds half of a character, a lone surrogate."
        return Fault(one.name, "texts hold halves of characters", said)
    return None


def split_up(pairs: Sequence[Pair]) -> dict[str, Samples]:
    groups = numbered([one.group or bare(one.source) for one in pairs])
    parts = {}
    for split in SPLITS:
        places = [place for place, one in enumerate(pairs) if one.split == split]
        own = [pairs[place] for place in places]
        inputs, names = [one.source for one in own], [one.name for one in own]
        parts[split] = Samples(inputs, Written([one.targets for one in own]), names, groups[places])
    return parts


def bare(text: str) -> str:
    """By which texts are one that differ in case and signs only; of signs alone the text itself."""
    return " ".join(WORDS.findall(text.lower())) or text


def odd(pairs: Sequence[Pair]) -> Iterator[Problem]:
    """What a person should know of pairs that can be used."""
    same = [one.name for one in pairs if one.source.strip() in one.targets]
    yield from problem("pairs of texts are of two equal ones", "warning", same, "they may not be translated")
    count = Counter((one.source.strip(), one.targets) for one in pairs)
    twice = [one.name for one in pairs if count[one.source.strip(), one.targets] > 1]
    yield from problem("pairs of texts are there more than once", "note", twice, "they stay in one split")
    lost = [f"{one.name} ({' '.join(missing)})" for one in pairs if (missing := lacking(one))]
    yield from problem(
        "pairs of texts are without a placeholder in what is to be written", "warning", lost, "as %s or {name}"
    )
    long = [one for one in pairs if min(len(one.source), len(one.targets[0])) >= LONG]
    if long:
        usual = median(ratio(one) for one in long)
        unlike = [one.name for one in long if not 1 / UNLIKE < ratio(one) / usual < UNLIKE]
        advice = "they may not belong together"
        yield from problem("pairs of texts are of quite unlike lengths", "warning", unlike, advice)


def lacking(one: Pair) -> list[str]:
    """Placeholders of the text that what is to be written has not."""
    there = Counter(PLACEHOLDER.findall(one.targets[0]))
    return [*(Counter(PLACEHOLDER.findall(one.source)) - there)]


def ratio(one: Pair) -> float:
    return len(one.targets[0]) / len(one.source)
