"""The check of a data set: from its splits to problems, and to the same splits without what cannot be used."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from ftlab.data.base import Splits
from ftlab.data.checks import pairs, targets, texts
from ftlab.data.checks.files import Facts, Kept, of_files, of_images
from ftlab.data.checks.images import WRONG_SUFFIX
from ftlab.data.checks.pairs import Place
from ftlab.data.splits import select
from ftlab.files.paths import printable
from ftlab.inputs import kinds
from ftlab.inputs.base import Inputs
from ftlab.inputs.images.files import ImageFiles
from ftlab.inputs.views import Selected
from ftlab.problems import Fault, Problem, left_out, problem, refusal

Level = Literal["fast", "full"]


@dataclass(frozen=True)
class Checked:
    """What a check found in the samples of splits."""

    faults: Mapping[str, Mapping[int, Fault]] = field(default_factory=dict)  # split to index to fault
    problems: tuple[Problem, ...] = ()  # warnings and notes
    cache: Path | None = None  # the file that keeps what was found
    was_cached: bool = False


def check(splits: Splits, level: Level, workers: int = 0, console: Console | None = None) -> Checked:
    """fast: targets, names, headers of image files, values of a few, equal files, and near-duplicates where the
    files have few pixels. full: every image is loaded, near-duplicates in any case.

    `workers`: processes that read files; 0 is this one. A bar is shown if `console` is a terminal.
    """
    faults = {split: targets.faults(splits, split) for split in splits.parts()}
    kind = kinds.known().get(splits.kind)
    if kind is not None and kind.words:
        empty, odd = texts.look(splits, level)
        return Checked({split: {**empty.get(split, {}), **own} for split, own in faults.items()}, tuple(odd))
    if kind is None or not kind.pixels:  # what is wrong with rows is found by reading them
        return Checked(faults)
    console = console or Console(stderr=True)
    by_path = _by_path(splits)
    if by_path is not None:
        paths = sorted(by_path)
        places = [by_path[path] for path in paths]
        kept = of_files(paths, level == "full", workers, console)
    elif level == "full":
        paths = []
        places = [[(split, index)] for split, part in splits.parts().items() for index in range(len(part))]
        kept = Kept(of_images(_Together(splits), console), None)
    else:  # pixels in memory can be read; what is left to ask is whether they repeat
        return Checked(faults)
    _add(faults, kept.facts, places, splits)
    found = _problems(splits, kept.facts, places, paths)
    return Checked(faults, tuple(found), kept.file, kept.was_there)


def settled(splits: Splits, checked: Checked, name: str, on_error: str) -> Splits:
    """The splits without the samples that cannot be used, with what was found.

    Raises: UserError about these samples, unless on_error is "skip".
    """
    faults = [*splits.faults, *(fault for found in checked.faults.values() for fault in found.values())]
    if faults and on_error != "skip":
        raise refusal(name, faults)
    kept = {
        split: select(samples, torch.tensor([i for i in range(len(samples)) if i not in checked.faults[split]]).long())
        if checked.faults.get(split)
        else samples
        for split, samples in splits.parts().items()
    }
    problems = (*left_out(faults), *splits.problems, *checked.problems)
    return replace(splits.having(kept), problems=problems, faults=tuple(faults))


def files(inputs: Inputs) -> list[str] | None:
    """The path of each image; None for images that are no files of their own."""
    if isinstance(inputs, ImageFiles):
        return inputs.paths
    if isinstance(inputs, Selected):
        paths = files(inputs.inputs)
        return None if paths is None else [paths[index] for index in inputs.indices]
    return None


def _by_path(splits: Splits) -> dict[str, list[Place]] | None:
    """Where each file is used; None if some images are no files."""
    found: dict[str, list[Place]] = defaultdict(list)
    for split, samples in splits.parts().items():
        paths = files(samples.inputs)
        if paths is None:
            return None
        for index, path in enumerate(paths):
            found[path].append((split, index))
    return found


class _Together:
    """The images of all splits, one split after the other."""

    def __init__(self, splits: Splits) -> None:
        self.places = [(part.inputs, index) for part in splits.parts().values() for index in range(len(part))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        images, place = self.places[index]
        return images[place]


def _add(faults: dict[str, dict[int, Fault]], facts: Facts, places: Sequence[Sequence[Place]], splits: Splits) -> None:
    """The faults of images, for every sample that uses one."""
    for unit, kind, reason in facts.faults:
        for split, index in places[unit]:
            name = splits.parts()[split].name(index)
            faults[split][index] = Fault(name, kind, reason if name in reason else f"{name}: {reason}", split)


def _problems(splits: Splits, facts: Facts, places: Sequence[Sequence[Place]], paths: Sequence[str]) -> list[Problem]:
    names = {split: part.name for split, part in splits.parts().items()}
    found: list[Problem] = []
    for kind, units in facts.notes.items():
        shown = (names[places[unit][0][0]](places[unit][0][1]) for unit in units)
        wrong = kind == WRONG_SUFFIX
        found += problem(kind, "warning" if wrong else "note", shown, "read by their content" if wrong else "")
    found += _narrow(facts, [names[units[0][0]](units[0][1]) for units in places])
    strange = (printable(path) for path in paths if printable(path) != path)
    found += problem("names are not UTF-8", "note", strange, "their bytes are shown as \\xNN")
    found += pairs.equal(splits, facts, places) + pairs.near(splits, facts, places)
    if facts.equal is None:
        advice = "there is too much to read for a fast check; data.check=full compares them"
        found.append(Problem("image files were not compared for duplicates", "note", len(paths), (), advice))
    if facts.near is None:
        advice = "they have too many pixels for a fast check; data.check=full looks at them"
        found.append(Problem("images were not looked at for some that are alike", "note", len(paths), (), advice))
    return found


def _narrow(facts: Facts, names: Sequence[str]) -> list[Problem]:
    """Images that become nearly black."""
    few = "" if facts.loaded else f"of {facts.looked} images that were looked at "
    kind = f"{few or 'images '}use a small part of their depth"
    advice = "the network sees them nearly black: save them scaled to the whole of it"
    if few:
        advice += "; data.check=full looks at all"
    return problem(kind, "warning", (f"{names[unit]} ({values})" for unit, values in facts.narrow), advice)
