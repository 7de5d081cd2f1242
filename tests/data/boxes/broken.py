"""What may be wrong with annotations: what makes it, and what is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.data.boxes.made import coco, coco_node, image, voc, voc_text, yolo


def node(change: Callable[[Any], Any]) -> Callable[[Path], Any]:
    """COCO's JSON with one thing changed."""

    def make(root: Path, **keys: Any) -> Any:
        whole = coco_node()
        change(whole)
        return coco(root, whole, **keys)

    return make


def entry(**keys: Any) -> Callable[..., Any]:
    """With keys of the first annotation changed, which is 100, of b.png."""
    return node(lambda whole: whole["annotations"][0].update(keys))


def lines(*several: str, file: str = "a", **files: Any) -> Callable[..., Any]:
    """YOLO's labels of a.png."""

    def make(root: Path, **keys: Any) -> Any:
        source = yolo(root, **keys)
        (root / "labels" / f"{file}.txt").write_text("\n".join(several))
        return source

    return make


def sheet(old: str, new: str) -> Callable[..., Any]:
    """The XML of a.png with a text changed."""

    def make(root: Path, **keys: Any) -> Any:
        source = voc(root, **keys)
        assert old in voc_text("a")
        (root / "Annotations" / "a.xml").write_text(voc_text("a").replace(old, new, 1))
        return source

    return make


def listing(text: str) -> Callable[..., Any]:
    return lambda root, **keys: yolo(root, text, **keys)


def after(make: Callable[..., Any], change: Callable[[Path], Any]) -> Callable[..., Any]:
    """With files changed once they are written."""

    def made(root: Path, **keys: Any) -> Any:
        source = make(root, **keys)
        change(root)
        return source

    return made


def turned(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "images" / "a.png") as picture:
        picture.copy().save(root / "images" / "a.png", exif=exif)


GOOD = "0 0.5 0.5 0.2 0.2"
# What makes it, and what is said: of an image that cannot be used.
FAULTS = {
    "negative width": (entry(bbox=[4, 5, -3, 8]), r"annotation 100: the box 4, 5, 1, 13 .* has no area"),
    "no height": (entry(bbox=[4, 5, 3, 0]), r"annotation 100: .* has no area"),
    "NaN": (entry(bbox=[4, float("nan"), 3, 8]), r"annotation 100: .* is not finite"),
    "three numbers": (entry(bbox=[4, 5, 3]), r"annotation 100: bbox \[4, 5, 3\]; accepted: 4 numbers"),
    "a text": (entry(bbox=[4, 5, "3", 4]), r"annotation 100: bbox .*accepted: 4 numbers"),
    "neither box nor outline": (entry(bbox=None), r"annotation 100: neither bbox nor segmentation"),
    "half an outline": (
        entry(bbox=None, segmentation=[[1, 2, 3]]),
        r"annotation 100: its segmentation is no list of x",
    ),
    "odd runs": (entry(bbox=None, segmentation={"size": [50, 20], "counts": [3]}), r"its runs are of 3 pixels"),
    "unknown category": (entry(category_id=4), r"annotation 100: category_id 4; known: 70, 3"),
    "image that is not there": (
        node(lambda w: w["images"][0].update(file_name="x.png")),
        r"x.png: .*x.png is not there",
    ),
    "image without a name": (node(lambda w: w["images"][0].pop("file_name")), r"image 9: its file_name is None"),
    "another size": (node(lambda w: w["images"][0].update(width=41)), r"a.png: its annotations are of 41 x 30 pixels"),
    "turned image": (after(coco, turned), r"the image has 30 x 40; it is turned by its EXIF orientation"),
    "broken image": (
        after(coco, lambda root: (root / "images" / "a.png").write_text("x")),
        r"a.png: not a readable image",
    ),
    "four columns": (lines("0 0.5 0.5 0.2"), r"labels/a.txt, line 1: 4 columns; accepted"),
    "six columns": (lines(GOOD, "0 0.5 0.5 0.2 0.2 0.9"), r"labels/a.txt, line 2: 6 columns"),
    "no number": (lines("", GOOD, "cat 0.5 0.5 0.2 0.2"), r"labels/a.txt, line 3: 'cat 0.5 .* holds what is no number"),
    "class out of range": (
        lines("2 0.5 0.5 0.2 0.2"),
        r"labels/a.txt, line 1: class 2 is not among the names; .* 0 to 1",
    ),
    "half a class": (lines("0.5 0.5 0.5 0.2 0.2"), r"class 0.5 is not among the names"),
    "nan in a line": (lines("0 nan 0.5 0.2 0.2"), r"labels/a.txt, line 1: .* is not finite"),
    "no width": (lines("0 0.5 0.5 0 0.2"), r"labels/a.txt, line 1: .* has no area"),
    "no text": (
        after(yolo, lambda root: (root / "labels" / "a.txt").write_bytes(b"\xff\xfe0")),
        r"a.txt: no text of UTF-8",
    ),
    "broken XML": (sheet("</annotation>", ""), r"Annotations/a.xml: no XML: no element found"),
    "number that is none": (
        sheet("<xmin>5</xmin>", "<xmin>five</xmin>"),
        r"a.xml, object 1: xmin is 'five', no number",
    ),
    "side that is missing": (sheet("<xmin>5</xmin>", ""), r"a.xml, object 1: xmin is '', no number"),
    "size without end": (
        sheet("<width>40</width>", "<width>inf</width>"),
        r"a.xml, size: inf x 30 is not finite",
    ),
    "no name": (sheet("<name>cat</name>", "<name> </name>"), r"a.xml, object 1: no name"),
    "no box": (
        sheet("<bndbox><xmin>5</xmin><ymin>4</ymin><xmax>14</xmax><ymax>18</ymax></bndbox>", ""),
        r"a.xml, object 1: no bndbox",
    ),
    "sides in the wrong order": (
        sheet("<xmax>14</xmax>", "<xmax>2</xmax>"),
        r"a.xml, object 1: the box 4, 3, 2, 18 .* has no area",
    ),
}
# What makes it, and what is said of the data as a whole.
ERRORS = {
    "no JSON": (lambda root: coco(root, "{'images': []}"), r"annotations.json: no JSON: Expecting property name"),
    "a list": (lambda root: coco(root, "[]"), r"annotations.json: accepted is an object with images"),
    "images that are no list": (node(lambda w: w.update(images={})), r"its 'images' are no list of objects"),
    "no categories": (node(lambda w: w.update(categories=[])), r"its 'categories' are empty"),
    "image id twice": (node(lambda w: w["images"][1].update(id=9)), r"annotations.json: the image id 9 is there twice"),
    "category id twice": (node(lambda w: w["categories"][1].update(id=70)), r"the category id 70 is there twice"),
    "category name twice": (node(lambda w: w["categories"][1].update(name="cat")), r"the category name cat is there"),
    "no id": (node(lambda w: w["images"][1].pop("id")), r"image 1 has the id None; accepted is a whole number"),
    "no image anywhere": (
        node(lambda w: [one.update(file_name=f"x{one['file_name']}") for one in w["images"]]),
        r"annotations.json: none of its images, such as xa.png, is in .* set data.images",
    ),
    "other categories in val": (
        lambda root: after(
            lambda root: coco(root, train="annotations.json", val="v.json"),
            lambda root: (root / "v.json").write_text(
                json.dumps({**coco_node(), "categories": [{"id": 1, "name": "x"}]})
            ),
        )(root),
        r"v.json: its categories are not those of the first file",
    ),
    "image listed twice": (
        node(lambda w: w["images"][1].update(file_name="a.png", width=40, height=30)),
        r"a.png: annotated 2 times",
    ),
    "no YAML": (listing("train: [\n"), r"data.yaml: no YAML: line 2"),
    "names twice": (listing("train: images\nnames: [cat, cat]"), r"data.yaml: the class name cat is there twice"),
    "another count": (listing("train: images\nnc: 3\nnames: [cat, dog]"), r"data.yaml: nc is 3, and there are 2 names"),
    "numbers with a gap": (listing("train: images\nnames: {0: cat, 2: dog}"), r"the numbers of its names are 0, 2"),
    "no names": (listing("train: images"), r"data.yaml: its 'names' are no list"),
    "no train": (listing("names: [cat, dog]"), r"data.yaml: names no 'train'"),
    "folder that is not there": (listing("train: imags\nnames: [cat, dog]"), r"train: .*imags is not there.*'images'"),
    "no label at all": (
        after(yolo, lambda root: [path.unlink() for path in (root / "labels").glob("*")]),
        r"labels/a.txt is not there, nor is any other label file",
    ),
    "no XML at all": (
        after(voc, lambda root: [path.unlink() for path in (root / "Annotations").glob("*")]),
        r"holds no .xml file",
    ),
    "name without annotations": (
        after(
            voc,
            lambda root: (
                (root / "ImageSets/Main").mkdir(parents=True),
                (root / "ImageSets/Main/train.txt").write_text("c\n"),
            ),
        ),
        r"train.txt: c has no annotation file",
    ),
}


def beside(root: Path) -> None:
    image(root / "JPEGImages" / "c.png", (9, 9))


# What makes it, what is warned of, and how many boxes are left.
WARNINGS = {
    "partly outside": (
        entry(bbox=[-3, 5, 13, 8]),
        r"1 box lies partly outside of the image: .*annotation 100; they are cut",
        3,
    ),
    "wholly outside": (
        entry(bbox=[20, 5, 13, 8]),
        r"1 box lies outside of the image: .*annotation 100; they are left out",
        2,
    ),
    "partly outside, in shares": (
        lines("0 0.95 0.5 0.2 0.2"),
        r"partly outside .*: .*labels/a.txt, line 1; they are cut",
        2,
    ),
    "partly outside, in XML": (
        sheet("<xmin>5</xmin>", "<xmin>0</xmin>"),
        r"partly outside .*: .*a.xml, object 1; they",
        3,
    ),
    "the same box twice": (
        node(lambda w: w["annotations"].append(w["annotations"][0])),
        r"1 box is there twice: .*annotation 100",
        3,
    ),
    "the same line twice": (
        lines(GOOD, GOOD),
        r"1 box is there twice: .*labels/a.txt, line 2; one of each is left out",
        2,
    ),
    "image that is not listed": (
        entry(image_id=77),
        r"1 annotation is of .*listed: .*annotation 100 \(image_id 77\)",
        2,
    ),
    "image without a label file": (
        after(yolo, lambda root: (root / "labels" / "a.txt").unlink()),
        r"1 image has no label file: .*images/a.png; taken as images without an object",
        1,
    ),
    "labels without an image": (
        lines(GOOD, file="zz"),
        r"1 label file is of no image: .*labels/zz.txt; they are not read",
        3,
    ),
    "image without XML": (after(voc, beside), r"1 image has no annotation file: .*c.png; they are left out", 3),
    "class without a sample": (
        node(lambda w: w["categories"].append({"id": 1, "name": "bird"})),
        r"1 class has no sample in train: bird",
        3,
    ),
}
