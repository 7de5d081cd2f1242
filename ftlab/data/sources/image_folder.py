"""Images in folders that bear the names of their classes, with or without folders for train, val and test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.groups import GroupPattern, grouped
from ftlab.data.sources.split_names import SPLIT_NAMES
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.folders import existing_folder, hidden, image_files, subfolders, unreadable, visible
from ftlab.files.image_suffixes import USUAL, by_suffix
from ftlab.files.paths import printable
from ftlab.inputs.images.files import ImageFiles
from ftlab.problems import Problem, problem
from ftlab.targets.cells.classes import ODD
from ftlab.targets.classes import Classes
from ftlab.targets.counted import in_order


class ImageFolder(Source):
    """root/train/CLASS/..., root/val/CLASS/... (also valid, validation), root/test/CLASS/...; or root/CLASS/....

    Images may lie deeper below a class's folder. Hidden files and folders are left out. `group_pattern`: see
    GroupPattern, of paths below the root, with / between folders.
    Raises: UserError for a wrong pattern; (survey) naming the folder.
    """

    def __init__(self, root: str, split: Sequence[float], group_pattern: str | None = None) -> None:
        self.root = root
        self.split = split
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        folders, warnings = _split_folders(root, self.learned)
        found = {split: _ClassFolders(folder) for split, folder in folders.items()}
        classes = found["train"].classes if self.learned else _all_classes(found)
        if self.learned and len(classes) < 2:
            raise UserError(f"{printable(folders['train'])} holds one class ({classes[0]}); at least 2 are needed.")
        problems = [told for part in found.values() for told in part.problems]
        problems += problem("hidden files and folders are left out", "note", map(printable, hidden(root)))
        for split in found.keys() - {"train"}:
            _compare(folders[split], found[split].classes, classes)
        target = Classes(classes)
        samples = {split: part.samples(classes) for split, part in found.items()}
        if self.groups:
            samples, odd = grouped(samples, self.groups, root)
            problems += odd
        train = samples.get("train") or Samples(ImageFiles([]), torch.zeros(0, dtype=torch.int64))
        train, val, test, said = complete(target, train, samples.get("val"), samples.get("test"), self.split, seed)
        return Splits(train, val, test, target, (*warnings, *said), tuple(problems))


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


class _ClassFolders:
    """The images of one split by class, and what was left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: dict[str, list[Path]] = {}
        others = [entry for entry in visible(folder) if not entry.is_dir()]
        for class_folder in sorted(subfolders(folder), key=lambda one: in_order(one.name)):
            images, rest = image_files(class_folder)
            if rest and not images:
                raise _without_images(class_folder, rest)
            self.images[printable(class_folder.name)] = images
            others += rest
        empty = [name for name, images in self.images.items() if not images]
        self.classes = tuple(name for name, images in self.images.items() if images)
        place = f"in {printable(folder)}"
        odd = [printable(folder / name) for name in self.classes if name.lower() in ODD]
        folders = [printable(folder / name) for name in empty]
        self.problems = [
            *_left_out(others, place),
            *problem("class folders hold no image", "warning", folders, f"they are no classes {place}"),
            *problem(
                "class folders are called like a missing value", "warning", odd, f"remove them if they are none {place}"
            ),
        ]
        if not self.classes:
            raise UserError(
                f"{printable(folder)} holds no images in class folders; accepted: {printable(folder)}/CLASS/IMAGE."
            )

    def samples(self, classes: tuple[str, ...]) -> Samples:
        paths = [(path, classes.index(name)) for name in self.classes for path in self.images[name]]
        return Samples(
            ImageFiles([path for path, _ in paths]),
            torch.tensor([target for _, target in paths]),
            [printable(path) for path, _ in paths],
        )


def _without_images(folder: Path, files: list[Path]) -> UserError:
    advice = f"Accepted are {USUAL} and others; convert them, or move the folder away from {printable(folder.parent)}."
    return UserError(f"{printable(folder)}, a class by its place, holds no image: {unreadable(files)}. {advice}")


def _left_out(files: list[Path], place: str) -> list[Problem]:
    kind = f"files are no images that can be read ({by_suffix(files)})"
    return problem(kind, "warning", map(printable, files), f"left out {place}")


def _all_classes(found: Mapping[str, _ClassFolders]) -> tuple[str, ...]:
    return tuple(sorted({name for part in found.values() for name in part.classes}))


def _compare(folder: Path, classes: tuple[str, ...], train: tuple[str, ...]) -> None:
    for name in classes:
        if name not in train:
            raise UserError(f"{printable(folder)} has the class '{name}', train has not; {choices(name, train)}")
