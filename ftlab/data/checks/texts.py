"""What is odd about texts: empty, huge or broken ones, another script or language, repetitions, words that give the
class away."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ftlab.data.base import Splits
from ftlab.data.checks import pairs
from ftlab.data.checks.duplicates import groups
from ftlab.data.checks.files import Facts
from ftlab.data.checks.near_texts import ALIKE, common, near, shingles, words_of
from ftlab.data.checks.pairs import Place
from ftlab.problems import Fault, Problem, problem

LARGE = 1_000_000  # characters of a text, from which it is more likely a file that lost its line breaks
FAST = 20_000_000  # characters of all texts, up to which a fast check compares them: about ten seconds
BROKEN = "\ufffd"  # what stands for bytes that are no letter
# UTF-8 that was read as cp1252: an accented letter or a curly quote has become two or three signs.
MOJIBAKE = re.compile("[\u00c3\u00c2][\u0080-\u00bf]|\u00e2\u20ac|\u00c3\u0192")
MARKUP = re.compile(r"</?(?:html|body|div|table|td|font|span|p|br)\b[^>]*>", re.IGNORECASE)
TAGS = 5  # of markup, from which a text is a page
SEEN = 400  # characters by which a script is told
SCRIPT = 0.9  # share of texts that must have one script for the others to be odd
LETTERS = re.compile(r"[^\W\d_]+")
USUAL = 100  # words that are in most texts: of a language those of its grammar
OFTEN = 0.05  # share of texts that a usual word is in at least
SPOKEN, FOREIGN = (
    0.25,
    0.05,
)  # share of a text's words that are usual: of the middle one at least, of an odd one at most
LONG = 20  # words, below which a text tells no language
TELLS, ELSEWHERE = 0.95, 0.01  # share of a class's texts with a word, and of the others', from which it gives it away
ENOUGH = 20  # texts of a class, below which a word may be there by chance


@dataclass(frozen=True)
class _Read:
    """All texts of splits, one split after the other."""

    texts: list[str]  # a pair is one
    seconds: list[str]  # of pairs; empty where texts are single
    places: list[Place]
    names: list[str]


def look(splits: Splits, level: Literal["fast", "full"]) -> tuple[dict[str, dict[int, Fault]], list[Problem]]:
    """Faults by split and place, and problems of texts that can be used; full: however much there is to compare."""
    read = _read(splits)
    faults: dict[str, dict[int, Fault]] = defaultdict(dict)
    for (split, index), name, text in zip(read.places, read.names, read.texts, strict=True):
        if not text.strip():
            faults[split][index] = Fault(name, "texts are empty", f"{name}: the text is empty.", split)
    found = [*_signs(read), *_scripts(read)]
    if level == "fast" and sum(map(len, read.texts)) > FAST:
        advice = "there is too much to read for a fast check; data.check=full compares them"
        return faults, [*found, Problem("texts were not compared with each other", "note", len(read.texts), (), advice)]
    words = [words_of(text[:LARGE]) for text in read.texts]
    found += [*_languages(read, words), *_repetitions(splits, read, words), *_given_away(splits, read, words)]
    return faults, found


def _read(splits: Splits) -> _Read:
    found = _Read([], [], [], [])
    for split, samples in splits.parts().items():
        for index in range(len(samples)):
            raw = samples.inputs[index]
            found.texts.append(raw if isinstance(raw, str) else "\n".join(raw))
            found.seconds.extend(() if isinstance(raw, str) else raw[1:])
            found.places.append((split, index))
            found.names.append(samples.name(index))
    return found


def _where(read: _Read, odd: Sequence[bool]) -> Iterator[str]:
    return (name for name, one in zip(read.names, odd, strict=True) if one)


def _signs(read: _Read) -> Iterator[Problem]:
    """What single signs tell."""
    large = [len(text) > LARGE for text in read.texts]
    broken = [BROKEN in text for text in read.texts]
    twice = [bool(MOJIBAKE.search(text[:LARGE])) for text in read.texts]
    zeros = [
        any(unicodedata.category(sign) == "Cc" and sign not in "\t\n\r\f\v" for sign in set(text))
        for text in read.texts
    ]
    pages = [len(MARKUP.findall(text[:LARGE])) >= TAGS for text in read.texts]
    wordless = [bool(text.strip()) and not LETTERS.search(text) for text in read.texts]
    yield from problem(f"texts have more than {LARGE:,} characters", "warning", _where(read, large),
                       "a quote that is not closed makes one of many")  # fmt: skip
    yield from problem(
        "texts hold bytes that are no letters", "warning", _where(read, broken), "data.encoding=... reads them"
    )
    yield from problem("texts look like UTF-8 that was read in another encoding", "warning", _where(read, twice),
                       "save them anew from where they come, or set data.encoding")  # fmt: skip
    yield from problem("texts hold control characters", "warning", _where(read, zeros), "a tokenizer drops them")
    yield from problem(
        "texts are pages of HTML", "warning", _where(read, pages), "tags take the tokens of words; strip them"
    )
    yield from problem("texts hold no word", "warning", _where(read, wordless))


def _scripts(read: _Read) -> list[Problem]:
    """Texts in another script than nearly all others."""
    found = [script(text) for text in read.texts]
    counts = Counter(one for one in found if one)
    if not counts:
        return []
    usual, times = counts.most_common(1)[0]
    if times < SCRIPT * sum(counts.values()):
        return []
    names = (f"{name} ({one})" for name, one in zip(read.names, found, strict=True) if one not in (None, usual))
    return problem(f"texts have another script than the rest ({usual})", "warning", names, "does the network know it?")


def script(text: str) -> str | None:
    """What most letters of a text's beginning belong to, such as LATIN; None without letters."""
    counts = Counter(_of_letter(sign) for sign in text[:SEEN] if sign.isalpha())
    return counts.most_common(1)[0][0] if counts else None


@lru_cache(maxsize=2**16)
def _of_letter(sign: str) -> str:
    return unicodedata.name(sign, "UNKNOWN").split()[0]


def _languages(read: _Read, words: Sequence[Sequence[str]]) -> list[Problem]:
    """Texts that have next to none of the words that are usual in the others: those of grammar, in most languages.

    Where the usual words are few in the middle text, it says nothing: texts of many languages, or of no sentences.
    """
    there = Counter(word for own in words for word in set(own))
    usual = {word for word, times in there.most_common(USUAL) if times >= OFTEN * len(words)}
    long = {place: own for place, own in enumerate(words) if len(own) >= LONG}
    shares = {place: sum(word in usual for word in own) / len(own) for place, own in long.items()}
    if not shares or sorted(shares.values())[len(shares) // 2] < SPOKEN:
        return []
    names = (read.names[place] for place, share in shares.items() if share <= FOREIGN)
    return problem("texts have hardly a word that is usual in the others", "warning", names,
                   "another language, or no sentences")  # fmt: skip


def _repetitions(splits: Splits, read: _Read, words: Sequence[Sequence[str]]) -> list[Problem]:
    """Texts that are there again, whatever their case and signs between words, or nearly."""
    equal = groups([tuple(own) or None for own in words])
    alike = near(words)
    if read.seconds:  # a context with another question is another pair, however long what both share
        whole = [len(own) - len(words_of(second)) for own, second in zip(words, read.seconds, strict=True)]
        firsts = [shingles(own[:count], fewest=1) for own, count in zip(words, whole, strict=True)]
        alike = [(a, b) for a, b in alike if common(firsts[a], firsts[b]) >= ALIKE]
    facts = Facts(equal=equal, near=alike)
    units = [[place] for place in read.places]
    return [*pairs.equal(splits, facts, units, "texts"), *pairs.near(splits, facts, units, "texts")]


def _given_away(splits: Splits, read: _Read, words: Sequence[Sequence[str]]) -> list[Problem]:
    """Words that nearly all texts of a class of train have and hardly any other has, such as a header of a filter."""
    if not splits.target.described().get("classes"):
        return []
    train = [place for place, (split, _) in enumerate(read.places) if split == "train"]
    shown = [splits.target.shown(splits.train.targets[read.places[place][1]]) for place in train]
    sizes = Counter(shown)
    classes = [name for name, count in sizes.items() if count >= ENOUGH and len(train) - count >= ENOUGH]
    if not classes:
        return []
    by_class: dict[str, Counter[str]] = defaultdict(Counter)
    for place, name in zip(train, shown, strict=True):
        by_class[name].update(set(words[place]))
    whole = sum(by_class.values(), Counter())
    told = []
    for name in classes:
        others = len(train) - sizes[name]
        for word, times in by_class[name].most_common():
            elsewhere = whole[word] - times
            if times < TELLS * sizes[name]:
                break
            if elsewhere <= ELSEWHERE * others:
                own = f"'{word}' is in {times:,} of {sizes[name]:,} texts of {name}"
                told.append(f"{own}, and in {elsewhere:,} of {others:,} others")
    return problem("words give a class away", "warning", told, "will they be there in texts to come?")
