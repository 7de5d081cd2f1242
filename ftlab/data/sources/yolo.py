"""Images with boxes in text files beside them, and a data.yaml that names splits and classes, as YOLO has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftlab.data.base import Source, Splits
from ftlab.data.groups import GroupPattern
from ftlab.data.sources.annotated import Box, Mark, Outside, Picture, Reading, Sharing, measured, picture, splits_of
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder, image_files, not_there
from ftlab.files.image_suffixes import image_suffixes
from ftlab.files.paths import printable, short
from ftlab.frames import Size
from ftlab.problems import Fault, problem
from ftlab.yaml_text import loaded

SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
IMAGES, LABELS = "images", "labels"
ACCEPTED = "accepted: class, x and y of the middle, width, height; or class and x, y of three points or more"


class Yolo(Source):
    """The label file of DIR/images/A/1.jpg is DIR/labels/A/1.txt, or 1.txt beside it: a line an object, in shares of
    the image's width and height. Of an outline the box around it is taken.

    Raises (survey): UserError naming the file, for what is wrong as a whole.
    """

    def __init__(
        self, root: str, file: str, split: Sequence[float], group_pattern: str | None, outside: Outside
    ) -> None:
        self.root, self.file, self.split, self.outside = root, file, split, outside
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        listing = _Listing(root / self.file)
        paths = listing.images(self.learned)
        read = Reading(listing.classes)
        for split, images in paths.items():
            read.pictures += [_picture(path, split, listing.classes) for path in images]
        unlabelled = [one.path for one in read.pictures if one.fault is None and not labels_of(one.path).is_file()]
        if read.pictures and len(unlabelled) == len(read.pictures):
            raise UserError(f"{printable(labels_of(unlabelled[0]))} is not there, nor is any other label file")
        empty = "taken as images without an object; an empty label file says so"
        read.problems += problem("images have no label file", "warning", map(printable, unlabelled), empty)
        lost = (printable(path) for path in _lost([path for several in paths.values() for path in several]))
        read.problems += problem("label files are of no image", "warning", lost, "they are not read")
        return splits_of(read, Sharing(root, self.split, self.outside, self.groups, self.learned), seed)


class _Listing:
    """A data.yaml."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(not_there(path))
        try:
            node = loaded(path.read_text(encoding="utf8"))
        except ValueError as error:
            raise self.error(f"no YAML: {error}") from None
        if not isinstance(node, dict):
            raise self.error("accepted is a mapping with train, val and names")
        self.node: dict[str, Any] = node
        self.classes = self._classes()

    def error(self, said: str) -> UserError:
        return UserError(f"{printable(self.path)}: {said}")

    def _classes(self) -> tuple[str, ...]:
        names, count = self.node.get("names"), self.node.get("nc")
        if isinstance(names, Mapping):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                raise self.error(f"the numbers of its names are {', '.join(map(str, names))}; accepted: 0, 1, 2, ...")
            names = [names[place] for place in range(len(names))]
        if not isinstance(names, list) or not names:
            raise self.error("its 'names' are no list of classes")
        if count is not None and count != len(names):
            raise self.error(f"nc is {count}, and there are {len(names)} names")
        texts = tuple(map(str, names))
        twice = next((name for name in texts if texts.count(name) > 1), None)
        if twice is not None:
            raise self.error(f"the class name {twice} is there twice; give each its own")
        return texts

    def images(self, learned: bool) -> dict[str, list[Path]]:
        """The image files of each split that it names."""
        found: dict[str, list[Path]] = {}
        for split, keys in SPLIT_KEYS.items():
            for given in (self.node[key] for key in keys if self.node.get(key)):
                parts = given if isinstance(given, list) else [given]
                found[split] = [path for part in parts for path in self._of(str(part), split)]
        if not found or (learned and "train" not in found):
            raise self.error("names no 'train'")
        return found

    def _of(self, given: str, split: str) -> list[Path]:
        place = self._place(given, split)
        if place.is_dir():
            images, _ = image_files(place)
        elif place.suffix.lower() in image_suffixes():
            images = [place]
        else:
            lines = (line.strip() for line in place.read_text(encoding="utf8", errors="replace").splitlines())
            images = [place.parent / line for line in lines if line]
        if not images:
            raise self.error(f"{split}: {printable(place)} holds no image")
        return images

    def _place(self, given: str, split: str) -> Path:
        """Relative to `path` of the file, or to the file; ../ at the front, as one service writes it, may be wrong."""
        above = self.path.parent
        bases = [above / str(self.node.get("path") or ""), above]
        tried = [base / name for name in (given, given.removeprefix("../")) for base in bases]
        there = next((place for place in tried if place.exists()), None)
        if there is None:
            raise self.error(f"{split}: {not_there(tried[0])}")
        return there


def labels_of(image: Path) -> Path:
    """Where the objects of an image stand: in labels/ for the last images/ of its path, else beside it."""
    parts, names = image.parent.parts, image.parent.parts[::-1]
    place = len(parts) - 1 - names.index(IMAGES) if IMAGES in names else None
    folder = image.parent if place is None else Path(*parts[:place], LABELS, *parts[place + 1 :])
    return (folder / image.name).with_suffix(".txt")


def _lost(images: Sequence[Path]) -> list[Path]:
    """Label files in the folders of those of the images that are none of theirs."""
    own = {labels_of(path) for path in images}
    apart = sorted({path.parent for path in own if LABELS in path.parent.parts and path.parent.is_dir()})
    return [path for folder in apart for path in sorted(folder.glob("*.txt")) if path not in own]


def _picture(path: Path, split: str, classes: Sequence[str]) -> Picture:
    file = labels_of(path)
    try:
        text = file.read_text(encoding="utf8") if file.is_file() else ""
    except ValueError:
        name = printable(file)
        return Picture(path, split, fault=Fault(name, "label files are no text", f"{name}: no text of UTF-8"))
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    places = [(f"{printable(file)}, line {number}", cells) for number, cells in lines]
    size = measured(path)
    if isinstance(size, Fault):
        return Picture(path, split, fault=size)
    return picture(path, split, size, [_mark(place, cells, size, classes) for place, cells in places])


def _mark(place: str, cells: Sequence[str], size: Size, classes: Sequence[str]) -> Mark | Fault:
    def fault(kind: str, said: str) -> Fault:
        return Fault(place, kind, f"{place}: {said}")

    if len(cells) != 5 and (len(cells) < 7 or len(cells) % 2 == 0):
        return fault("lines have a wrong number of columns", f"{len(cells)} columns; {ACCEPTED}")
    try:
        label, *numbers = map(float, cells)
    except ValueError:
        return fault("lines hold what is no number", f"'{short(' '.join(cells))}' holds what is no number; {ACCEPTED}")
    if label not in range(len(classes)):
        accepted = f"accepted: 0 to {len(classes) - 1}"
        return fault("lines have a class that is unknown", f"class {cells[0]} is not among the names; {accepted}")
    return Mark(_box(numbers, size), int(label), place)


def _box(numbers: Sequence[float], size: Size) -> Box:
    height, width = size
    if len(numbers) == 4:
        x, y, w, h = numbers
        return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
    xs, ys = numbers[0::2], numbers[1::2]
    return min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height
