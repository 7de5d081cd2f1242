"""Images with boxes in XML files of the form of Pascal VOC, one an image."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ftlab.data.base import Source, Splits
from ftlab.data.groups import GroupPattern
from ftlab.data.sources.annotated import Mark, Outside, Picture, Reading, Sharing, measured, picture, splits_of
from ftlab.data.sources.split_names import SPLITS
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder, image_files, visible
from ftlab.files.paths import printable
from ftlab.frames import Size
from ftlab.problems import Fault, problem
from ftlab.targets.counted import in_order

XML, IMAGES = ("Annotations", "annotations", "."), ("JPEGImages", "images", ".")
SETS = "ImageSets/Main"
SIDES = ("xmin", "ymin", "xmax", "ymax")


class PascalVoc(Source):
    """root/Annotations/A.xml (or annotations/, or root) with root/JPEGImages/A.jpg (or images/, or root); root's
    ImageSets/Main/train.txt, val.txt and test.txt say the splits where they are there. Objects that are marked as
    difficult count neither as right nor as wrong.

    `first`: the number of the first pixel, 1 as in VOC, whose box of a whole image of w pixels is 1 to w; or 0.
    Raises (survey): UserError naming the file, for what is wrong as a whole.
    """

    def __init__(
        self, root: str, first: int, split: Sequence[float], group_pattern: str | None, outside: Outside
    ) -> None:
        self.root, self.first, self.split, self.outside = root, first, split, outside
        self.groups = None if group_pattern is None else GroupPattern(group_pattern)

    def survey(self, seed: int) -> Splits:
        root = existing_folder(self.root)
        folder = next((root / name for name in XML if _xml(root / name)), None)
        if folder is None:
            raise UserError(f"data.root={printable(root)} holds no .xml file, nor do {' and '.join(XML[:2])} in it")
        images = _images(root)
        sheets = [sheet_of(path, self.first) for path in _xml(folder)]
        split_of = _sets(root, {sheet.path.stem for sheet in sheets})
        classes = sorted({name for sheet in sheets for name, _ in sheet.named}, key=in_order)
        read = Reading(tuple(classes))
        labels = {name: place for place, name in enumerate(classes)}
        told = [(sheet, split_of.get(sheet.path.stem, "train" if not split_of else "")) for sheet in sheets]
        read.pictures = [_picture(sheet, split, images, labels) for sheet, split in told if split]
        unlisted = (printable(sheet.path) for sheet, split in told if not split)
        used = {one.path for one in read.pictures}
        without = [path for path in images.values() if path not in used and not (folder / f"{path.stem}.xml").is_file()]
        read.problems = [
            *problem("annotation files are in no list of a split", "warning", unlisted, "they are left out"),
            *problem("images have no annotation file", "warning", map(printable, without), "they are left out"),
        ]
        hard = [mark.place for one in read.pictures for mark in one.marks if mark.crowd]
        read.problems += problem("objects are marked as difficult", "note", hard, "neither right nor wrong")
        return splits_of(read, Sharing(root, self.split, self.outside, self.groups, self.learned), seed)


def _xml(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.suffix.lower() == ".xml"] if folder.is_dir() else []


def _images(root: Path) -> dict[str, Path]:
    """Image files by name."""
    folder = next((root / name for name in IMAGES if (root / name).is_dir()), root)
    return {path.name: path for path in image_files(folder)[0]}


def _sets(root: Path, stems: Set[str]) -> dict[str, str]:
    """The split of each name that a list has; {} without lists. Raises: UserError for a name without annotations."""
    found: dict[str, str] = {}
    for split in SPLITS:
        file = root / SETS / f"{split}.txt"
        for line in file.read_text(encoding="utf8").splitlines() if file.is_file() else ():
            name = line.split()[0] if line.split() else ""
            if name and name not in stems:
                raise UserError(f"{printable(file)}: {name} has no annotation file; remove the line or add the file")
            if found.setdefault(name, split) != split:
                raise UserError(f"{printable(file)}: {name} is in {found[name]} too; keep it in one split")
    return {name: split for name, split in found.items() if name}


@dataclass(frozen=True)
class Sheet:
    """One XML file."""

    path: Path
    image: str = ""  # the file's name
    size: Size | None = None  # as it says
    named: tuple[tuple[str, Mark], ...] = ()  # marks with the names of their classes
    fault: Fault | None = None


def sheet_of(path: Path, first: int) -> Sheet:
    """A broken file is one with a fault: the others can be used."""
    name = printable(path)
    try:
        whole = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        return Sheet(path, fault=Fault(name, "annotation files are no XML", f"{name}: no XML: {error}"))
    try:
        named = [_named(node, f"{name}, object {place}", first) for place, node in enumerate(whole.iter("object"), 1)]
        return Sheet(path, (whole.findtext("filename") or "").strip(), _size(whole, name), tuple(named))
    except ValueError as error:
        place = str(error).partition(": ")[0]
        return Sheet(path, fault=Fault(place, "annotations lack a name or a number", str(error)))


def _size(whole: Element, name: str) -> Size | None:
    node = whole.find("size")
    if node is None:
        return None
    sides = [_number(node, side, f"{name}, size") for side in ("height", "width")]
    if not all(map(isfinite, sides)):
        raise ValueError(f"{name}, size: {sides[1]:g} x {sides[0]:g} is not finite")
    height, width = map(int, sides)
    return (height, width) if height and width else None  # 0 x 0, as some programs write it, says nothing


def _named(node: Element, place: str, first: int) -> tuple[str, Mark]:
    """Raises: ValueError that begins with the place."""
    name, box = (node.findtext("name") or "").strip(), node.find("bndbox")
    if not name or box is None:
        raise ValueError(f"{place}: no {'bndbox' if name else 'name'}")
    left, top, right, bottom = (_number(box, side, place) for side in SIDES)
    hard = (node.findtext("difficult") or "0").strip() == "1"
    return name, Mark((left - first, top - first, right, bottom), 0, place, hard)


def _number(node: Element, key: str, place: str) -> float:
    text = (node.findtext(key) or "").strip()
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{place}: {key} is '{text}', no number") from None


def _picture(sheet: Sheet, split: str, images: dict[str, Path], labels: dict[str, int]) -> Picture:
    """The image has the name that the file says, or the file's own."""
    own = (path for name, path in images.items() if Path(name).stem == sheet.path.stem)
    path = images.get(sheet.image) or next(own, sheet.path.with_name(sheet.image or f"{sheet.path.stem}.jpg"))
    if sheet.fault:
        return Picture(path, split, fault=sheet.fault)
    marks = [Mark(mark.box, labels[name], mark.place, mark.crowd) for name, mark in sheet.named]
    return picture(path, split, measured(path, sheet.size), marks)
