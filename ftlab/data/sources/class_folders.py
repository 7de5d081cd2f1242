"""Files in folders that bear the names of their classes, with or without folders for train, val and test."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.groups import GroupPattern, grouped
from ftlab.data.sources.split_names import SPLIT_NAMES
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.folders import existing_folder, files_below, hidden, subfolders, unreadable, visible
from ftlab.files.image_suffixes import by_suffix
from ftlab.files.paths import printable
from ftlab.inputs.base import Inputs
from ftlab.problems import Fault, Problem, problem
from ftlab.targets.cells.classes import ODD
from ftlab.targets.classes import Classes
from ftlab.targets.counted import in_order


@dataclass(frozen=True)
class Sought:
    """The files that are samples."""

    noun: str  # "image"
    suffixes: frozenset[str]  # in small letters, with their dots
    accepted: str  # what is said of them where there are none


class ClassFolders(Source):
    """root/train/CLASS/..., root/val/CLASS/... (also valid, validation), root/test/CLASS/...; or root/CLASS/....

    Files may lie deeper below a class's folder. Hidden files and folders are left out. `group_pattern`: see
    GroupPattern, of paths below the root, with / between folders.
    Raises: UserError for a wrong pattern; (survey) naming the folder.
    """

    kind: str  # Splits.kind

    def __init__(self, root: str, split: Sequence[float], group_pattern: str | None = None) -> None:
        self.root = root
        self.split = split
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    @abstractmethod
    def sought(self) -> Sought:
        """The files to look for."""

    @abstractmethod
    def opened(self, files: Sequence[Path]) -> tuple[Inputs, dict[int, Fault]]:
        """The inputs of those that can be used, in order, and by place what is wrong with the others."""

    def survey(self, seed: int) -> Splits:
        root, sought = existing_folder(self.root), self.sought()
        folders, warnings = _split_folders(root, self.learned)
        found = {split: _Folders(folder, sought) for split, folder in folders.items()}
        classes = found["train"].classes if self.learned else _all_classes(found)
        if self.learned and len(classes) < 2:
            raise UserError(f"{printable(folders['train'])} holds one class ({classes[0]}); at least 2 are needed.")
        problems = [told for part in found.values() for told in part.problems]
        problems += problem("hidden files and folders are left out", "note", map(printable, hidden(root)))
        for split in found.keys() - {"train"}:
            _compare(folders[split], found[split].classes, classes)
        target, faults = Classes(classes), []
        samples: dict[str, Samples] = {}
        for split, part in found.items():
            samples[split], bad = self._samples(part.files(classes))
            faults += bad
        if faults and not any(samples.values()):
            raise UserError(faults[0].reason)
        if self.groups:
            samples, odd = grouped(samples, self.groups, root)
            problems += odd
        train = samples.get("train") or self._samples([])[0]
        train, val, test, said = complete(target, train, samples.get("val"), samples.get("test"), self.split, seed)
        whole = Splits(train, val, test, target, (*warnings, *said), tuple(problems), tuple(faults))
        return replace(whole, kind=self.kind)

    def _samples(self, files: Sequence[tuple[Path, int]]) -> tuple[Samples, list[Fault]]:
        """files: with the number of each one's class."""
        inputs, bad = self.opened([path for path, _ in files])
        kept = [one for place, one in enumerate(files) if place not in bad]
        targets = torch.tensor([target for _, target in kept], dtype=torch.int64)
        return Samples(inputs, targets, [printable(path) for path, _ in kept]), list(bad.values())


def _split_folders(root: Path, learned: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Folder of each split, and warnings; the whole root is "train" if it holds the classes themselves.

    learned: whether there must be one of train, if there is one of a split.
    """
    inside = subfolders(root)
    named = [folder for folder in inside if folder.name.lower() in SPLIT_NAMES]
    folders: dict[str, Path] = {}
    # A class may be called "train"; the split of that name holds folders.
    if not any((folder.name.lower() == "train" or not learned) and subfolders(folder) for folder in named):
        if named and len(named) == len(inside):
            raise UserError(f"data.root={printable(root)} has {named[0].name} and no train folder with class folders.")
        return {"train": root}, ()
    for folder in named:
        split = SPLIT_NAMES[folder.name.lower()]
        if split in folders:
            raise UserError(f"data.root={printable(root)} has both {folders[split].name} and {folder.name}: keep one.")
        folders[split] = folder
    others = [printable(entry.name) for entry in visible(root) if entry not in named]
    said = f"beside the split folders {len(others)} entries of {printable(root)} are left out: {', '.join(others[:5])}"
    return folders, (said,) if others else ()


class _Folders:
    """The files of one split by class, and what was left out."""

    def __init__(self, folder: Path, sought: Sought) -> None:
        self.folder = folder
        self.found: dict[str, list[Path]] = {}
        others = [entry for entry in visible(folder) if not entry.is_dir()]
        for class_folder in sorted(subfolders(folder), key=lambda one: in_order(one.name)):
            own, rest = files_below(class_folder, sought.suffixes)
            if rest and not own:
                raise _without(sought, class_folder, rest)
            self.found[printable(class_folder.name)] = own
            others += rest
        empty = [name for name, own in self.found.items() if not own]
        self.classes = tuple(name for name, own in self.found.items() if own)
        place = f"in {printable(folder)}"
        odd = [printable(folder / name) for name in self.classes if name.lower() in ODD]
        folders = [printable(folder / name) for name in empty]
        self.problems = [
            *_left_out(sought, others, place),
            *problem(f"class folders hold no {sought.noun}", "warning", folders, f"they are no classes {place}"),
            *problem(
                "class folders are called like a missing value", "warning", odd, f"remove them if they are none {place}"
            ),
        ]
        if not self.classes:
            raise UserError(
                f"{printable(folder)} holds no {sought.noun}s in class folders; accepted: "
                f"{printable(folder)}/CLASS/{sought.noun.upper()}."
            )

    def files(self, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
        """With the number of each one's class."""
        return [(path, classes.index(name)) for name in self.classes for path in self.found[name]]


def _without(sought: Sought, folder: Path, files: list[Path]) -> UserError:
    advice = f"{sought.accepted}, or move the folder away from {printable(folder.parent)}."
    said = unreadable(files, sought.noun)
    return UserError(f"{printable(folder)}, a class by its place, holds no {sought.noun}: {said}. {advice}")


def _left_out(sought: Sought, files: list[Path], place: str) -> list[Problem]:
    kind = f"files are no {sought.noun}s that can be read ({by_suffix(files)})"
    return problem(kind, "warning", map(printable, files), f"left out {place}")


def _all_classes(found: Mapping[str, _Folders]) -> tuple[str, ...]:
    return tuple(sorted({name for part in found.values() for name in part.classes}))


def _compare(folder: Path, classes: tuple[str, ...], train: tuple[str, ...]) -> None:
    for name in classes:
        if name not in train:
            raise UserError(f"{printable(folder)} has the class '{name}', train has not; {choices(name, train)}")
