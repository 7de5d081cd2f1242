"""Images with boxes in files of the form of COCO: JSON with images, annotations and categories."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ftlab.data.base import Source, Splits
from ftlab.data.groups import GroupPattern
from ftlab.data.sources.annotated import Box, Mark, Outside, Picture, Reading, Sharing, measured, picture, splits_of
from ftlab.data.sources.run_lengths import around, mask_of
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder, not_there
from ftlab.files.paths import printable
from ftlab.frames import Size
from ftlab.problems import Fault, problem
from ftlab.targets.masks import Masks

WORDS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
USUAL = ("{0}/_annotations.coco.json", "annotations/instances_{0}*.json", "annotations/{0}.json", "{0}.json")
OF_ALL = ("annotations.json", "_annotations.coco.json")
LOOKED = 20  # images of a file by which its folder is found
Node = dict[str, Any]


class Coco(Source):
    """`train`, `val` and `test` are files below `root`; None for all: found under the names that are usual.

    Ids may be any, in any order; an image without annotation has no box. An annotation without a box has that around
    its segmentation. Crowd regions are kept as such. For a task that takes masks these are drawn of the
    segmentations, upon the class `background`. Raises (survey): UserError naming the file, for what is wrong as a
    whole.
    """

    def __init__(
        self,
        root: str,
        train: str | None,
        val: str | None,
        test: str | None,
        images: str | None,
        split: Sequence[float],
        group_pattern: str | None,
        outside: Outside,
    ) -> None:
        self.root, self.images, self.split, self.outside = root, images, split, outside
        self.files = {"train": train, "val": val, "test": test}
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        files = {split: _File(path) for split, path in _files(root, self.files, self.learned).items()}
        if self.learned and "train" not in files:
            raise UserError(f"data.train: no file of train beside {', '.join(files)}; give data.train=FILE")
        classes = next(iter(files.values())).classes
        read, masked = Reading(tuple(classes.values())), self.target_kind == Masks.kind
        for split, file in files.items():
            if file.classes != classes:
                raise file.error("its categories are not those of the first file; give all the same ids and names")
            read.pictures += file.pictures(split, _folder(root, self.images, file), masked, list(classes))
            read.problems += problem(
                "annotations are of images that are not listed", "warning", file.lost, "they are left out"
            )
        return splits_of(read, Sharing(root, self.split, self.outside, self.groups, self.learned, masked), seed)


def _files(root: Path, typed: Mapping[str, str | None], learned: bool) -> dict[str, Path]:
    """The file of each split, those that are not typed found beside the others; where nothing is learned, of what is
    typed nothing is missing. Raises: UserError where there is none, or several that may be it."""
    given = {split: root / name for split, name in typed.items() if name}
    if given and not learned:
        return given
    found: dict[str, Path] = {}
    for split, words in WORDS.items():
        if split in given:
            found[split] = given[split]
            continue
        usual = (path for word in words for form in USUAL for path in sorted(root.glob(form.format(word))))
        there = [path for path in usual if path not in given.values()]
        if not there and split == "train":
            there = [root / name for name in OF_ALL if (root / name).is_file() and root / name not in given.values()]
        if len(there) > 1:
            raise UserError(f"data.{split}: {printable(there[0])} or {printable(there[1])}? Set data.{split}=FILE")
        found |= {split: there[0]} if there else {}
    if not found:
        raise UserError(f"data.root={printable(root)} holds no {' or '.join(OF_ALL)}; give data.train=FILE")
    return found


def _folder(root: Path, typed: str | None, file: "_File") -> Path:
    """Where the images of a file are. Raises: UserError if none of them is in any folder that is usual."""
    if typed is not None:
        return existing_folder(root / typed, "data.images")
    own = file.path.stem.rpartition("_")[2]  # instances_train2017
    near, above = file.path.parent, root
    tried = [near, near / "images", above, above / "images", above / own, above / "images" / own]
    names = [one["file_name"] for one in file.images.values() if isinstance(one.get("file_name"), str)][:LOOKED]
    for folder in dict.fromkeys(tried):
        if any((folder / name).is_file() for name in names):
            return folder
    if not names:
        return near
    raise file.error(f"none of its images, such as {names[0]}, is in {printable(near)} or images/; set data.images")


@dataclass(frozen=True)
class _Entry:
    """An annotation and its place."""

    node: Node
    place: str


class _File:
    """One file. Raises: UserError for what cannot be read, and for ids or names that are there twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = self._whole()
        self.classes = self._classes(whole)
        listed = self._nodes(whole, "images")
        self.images = {self._id(node, f"image {place}"): node for place, node in enumerate(listed)}
        self._once([node["id"] for node in listed], "image id")
        self.entries: dict[Any, list[_Entry]] = defaultdict(list)
        self.lost: list[str] = []
        for place, node in enumerate(self._nodes(whole, "annotations") if "annotations" in whole else []):
            entry = _Entry(node, f"{printable(path)}, annotation {node.get('id', f'in place {place}')}")
            image = node.get("image_id")
            if isinstance(image, int | str) and image in self.images:
                self.entries[image].append(entry)
            else:
                self.lost.append(f"{entry.place} (image_id {image})")

    def error(self, said: str) -> UserError:
        return UserError(f"{printable(self.path)}: {said}")

    def _whole(self) -> Node:
        if not self.path.is_file():
            raise UserError(not_there(self.path))
        try:
            whole = json.loads(self.path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise self.error(f"no JSON: {error}") from None
        if not isinstance(whole, dict):
            raise self.error("accepted is an object with images, annotations and categories")
        return whole

    def _nodes(self, whole: Node, key: str) -> list[Node]:
        found = whole.get(key)
        if not isinstance(found, list) or not all(isinstance(node, dict) for node in found):
            raise self.error(f"its '{key}' are no list of objects")
        return found

    def _id(self, node: Node, place: str) -> Any:
        if not isinstance(node.get("id"), int | str):
            raise self.error(f"{place} has the id {node.get('id')}; accepted is a whole number")
        return node["id"]

    def _once(self, several: Sequence[Any], what: str) -> None:
        twice = [one for one, count in Counter(several).items() if count > 1]
        if twice:
            raise self.error(f"the {what} {twice[0]} is there twice; give each its own")

    def _classes(self, whole: Node) -> dict[Any, str]:
        nodes = self._nodes(whole, "categories")
        found = {self._id(node, f"category {place}"): str(node.get("name")) for place, node in enumerate(nodes)}
        self._once([node["id"] for node in nodes], "category id")
        self._once([node.get("name") for node in nodes], "category name")
        if not found:
            raise self.error("its 'categories' are empty")
        return found

    def pictures(self, split: str, folder: Path, masked: bool, ids: Sequence[Any]) -> Iterator[Picture]:
        """ids: of the categories, in the order of the classes, which another file may have in another one."""
        labels = {key: place for place, key in enumerate(ids)}
        for key, node in self.images.items():
            name, told = node.get("file_name"), (node.get("height"), node.get("width"))
            if not isinstance(name, str) or not name:
                place = f"{printable(self.path)}, image {key}"
                fault = Fault(place, "images have no file name", f"{place}: its file_name is {name}")
                yield Picture(folder / f"image {key}", split, fault=fault)
                continue
            known: Size | None = told if all(isinstance(side, int) for side in told) else None  # type: ignore[assignment]
            size = measured(folder / name, known)
            marks = [_mark(one, labels, size if masked else None) for one in self.entries[key]]
            yield picture(folder / name, split, size, marks)


def _mark(entry: _Entry, labels: Mapping[Any, int], size: Size | Fault | None) -> Mark | Fault:
    """size: of the image where a mask is drawn of the segmentation; else None."""
    node, place, masked = entry.node, entry.place, size is not None
    category = node.get("category_id")
    if not isinstance(category, int | str) or category not in labels:
        known = ", ".join(str(key) for key in list(labels)[:20])
        return Fault(place, "annotations have an unknown category", f"{place}: category_id {category}; known: {known}")
    try:
        box = _box(node)
    except ValueError as error:
        return Fault(place, "annotations have no box", f"{place}: {error}")
    outline = node.get("segmentation") if masked else None
    if masked and not outline:
        kind, said = "annotations have no segmentation", "no segmentation, of which a mask is drawn"
        return Fault(place, kind, f"{place}: {said}")
    try:
        if masked:
            _drawable(outline, size)
    except ValueError as error:
        return Fault(place, "annotations have a broken segmentation", f"{place}: {error}")
    return Mark(box, labels[category], place, bool(node.get("iscrowd")), outline)


def _box(node: Node) -> Box:
    """Of left, top, width and height; without them around the segmentation. Raises: ValueError for neither."""
    if not node.get("bbox"):
        return _around(node.get("segmentation"))
    left, top, width, height = _numbers(node["bbox"], "bbox", 4)
    return left, top, left + width, top + height


def _drawable(outline: Any, size: Size | Fault | None) -> None:
    """Raises: ValueError for an outline of which no mask of an image of `size` can be drawn."""
    if not all(map(isfinite, _around(outline))):
        raise ValueError("its segmentation holds a number that is not finite")
    if isinstance(outline, Mapping) and isinstance(size, tuple) and tuple(map(int, outline["size"])) != size:
        height, width = outline["size"]
        raise ValueError(f"its mask has {width} x {height} pixels, the image {size[1]} x {size[0]}")


def _around(outline: Any) -> Box:
    """Raises: ValueError for what is no outline."""
    if isinstance(outline, Mapping):
        return around(mask_of(outline))
    if not isinstance(outline, list) or not outline:
        raise ValueError("neither bbox nor segmentation")
    parts = [_numbers(part, "segmentation") for part in outline]
    xs, ys = ([value for part in parts for value in part[first::2]] for first in (0, 1))
    if len(xs) != len(ys) or len(xs) < 3:
        raise ValueError("its segmentation is no list of x and y in turn, of three points or more")
    return min(xs), min(ys), max(xs), max(ys)


def _numbers(values: Any, what: str, count: int | None = None) -> list[float]:
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    if not numbers or (count is not None and len(values) != count):
        raise ValueError(f"{what} {values}; accepted: {count or 'a list of'} numbers")
    return [float(value) for value in values]
