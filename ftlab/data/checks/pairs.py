"""What equal and nearly equal images or texts mean: leaks between splits, repetitions, contradicting labels."""

from collections.abc import Callable, Iterator, Sequence

from ftlab.data.base import Splits
from ftlab.data.checks.files import Facts
from ftlab.problems import Problem, problem

Place = tuple[str, int]  # split, index in it
Units = Sequence[Sequence[Place]]  # the samples that use each image


def equal(splits: Splits, facts: Facts, places: Units, plural: str = "images") -> list[Problem]:
    """Of images with the same bytes, or listed more than once; of texts that are equal to a reader."""
    bad = {unit for unit, _, _ in facts.faults}
    pairs = [pair for group in _groups(facts, places, bad) for pair in _to_first(group)]
    leaks = [pair for pair in pairs if pair[0][0] != pair[1][0]]
    repeated = [pair for pair in pairs if pair[0][0] == pair[1][0]]
    contradicting = [pair for pair in pairs if not _same_target(splits, pair)]
    named, labelled = _namer(splits), _namer(splits, with_label=True)
    advice = f"figures of that split are too good; keep each of these {plural} in one split"
    return [
        *problem(f"{plural} are in another split too", "warning", map(named, leaks), advice),
        *problem(f"{plural} repeat one of the same split", "warning", map(named, repeated)),
        *problem(f"equal {plural} have different labels", "warning", map(labelled, contradicting), "decide on one"),
    ]


def near(splits: Splits, facts: Facts, places: Units, plural: str = "images") -> list[Problem]:
    """Of images that look alike: scaled, recompressed or of a series; those with the same bytes are told above."""
    bad = {unit for unit, _, _ in facts.faults}
    group_of = {unit: place for place, group in enumerate(facts.equal or []) for unit in group}
    pairs = [
        (places[a][0], places[b][0])
        for a, b in facts.near or []
        if a not in bad and b not in bad and group_of.get(a, -1) != group_of.get(b, -2)
    ]
    across = [pair for pair in pairs if pair[0][0] != pair[1][0]]
    inside = [pair for pair in pairs if pair[0][0] == pair[1][0]]
    named = _namer(splits)
    advice = "look at them: figures may be too good"
    return [
        *problem(f"pairs of {plural} in different splits look alike", "warning", map(named, across), advice),
        *problem(f"pairs of {plural} in one split look alike", "note", map(named, inside)),
    ]


def _groups(facts: Facts, places: Units, bad: set[int]) -> Iterator[list[Place]]:
    """The samples of each image that is there more than once."""
    grouped = {unit for group in facts.equal or [] for unit in group}
    alone = [[unit] for unit in range(len(places)) if unit not in grouped and len(places[unit]) > 1]
    for group in [*(facts.equal or []), *alone]:
        samples = sorted((place for unit in group if unit not in bad for place in places[unit]), key=_order)
        if len(samples) > 1:
            yield samples


def _order(place: Place) -> tuple[int, int]:
    return ("train", "val", "test").index(place[0]), place[1]


def _to_first(group: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Each sample but the first with the one that it repeats, of its own split if there is one."""
    firsts: dict[str, Place] = {}
    for place in group:
        if place[0] in firsts:
            yield place, firsts[place[0]]
        else:
            if firsts:
                yield place, next(iter(firsts.values()))
            firsts[place[0]] = place


def _same_target(splits: Splits, pair: tuple[Place, Place]) -> bool:
    (first, one), (second, other) = pair
    parts = splits.targets()
    return splits.target.same(parts[first][one], parts[second][other])


def _namer(splits: Splits, with_label: bool = False) -> Callable[[tuple[Place, Place]], str]:
    parts = splits.parts()

    def name(place: Place) -> str:
        samples = parts[place[0]]
        return samples.name(place[1]) + (f" ({splits.target.shown(samples.targets[place[1]])})" if with_label else "")

    return lambda pair: f"{name(pair[0])} = {name(pair[1])}"
