"""The same two pictures with boxes in each form: a is 40 x 30 pixels with a cat and a dog, b is 20 x 50 with a dog.

A test breaks one thing and sees what is said.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ftlab.data.sources.coco import Coco
from ftlab.data.sources.pascal_voc import PascalVoc
from ftlab.data.sources.yolo import Yolo

SIZES = {"a": (40, 30), "b": (20, 50)}  # width, height
BOXES = {"a": [("cat", (4, 3, 14, 18)), ("dog", (20, 10, 40, 30))], "b": [("dog", (0, 5, 10, 45))]}
CLASSES = ("cat", "dog")
ALL = [1.0, 0.0, 0.0]


def image(path: Path, size: tuple[int, int], seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *size]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def coco_node() -> dict[str, Any]:
    ids = {"cat": 70, "dog": 3}
    images = [
        {"id": 9 - n, "file_name": f"{k}.png", "width": SIZES[k][0], "height": SIZES[k][1]} for n, k in enumerate(SIZES)
    ]
    found = []
    for number, name in ((8, "b"), (9, "a")):
        for label, (left, top, right, bottom) in BOXES[name]:
            box = [left, top, right - left, bottom - top]
            found.append({"id": 100 + len(found), "image_id": number, "category_id": ids[label], "bbox": box})
    return {"images": images, "annotations": found, "categories": [{"id": i, "name": n} for n, i in ids.items()]}


def coco(root: Path, node: Any = None, **keys: Any) -> Coco:
    for name, size in SIZES.items():
        image(root / "images" / f"{name}.png", size)
    text = node if isinstance(node, str) else json.dumps(node or coco_node())
    (root / "annotations.json").write_text(text)
    own = {"train": None, "val": None, "test": None, "images": None, "group_pattern": None, "outside": "cut"}
    return Coco(str(root), **{**own, "split": ALL, **keys})


def yolo_lines(name: str) -> list[str]:
    width, height = SIZES[name]
    return [
        f"{CLASSES.index(label)} {(x + r) / 2 / width} {(y + b) / 2 / height} {(r - x) / width} {(b - y) / height}"
        for label, (x, y, r, b) in BOXES[name]
    ]


def yolo(root: Path, listing: str = "train: images\nnames: [cat, dog]\n", **keys: Any) -> Yolo:
    for name, size in SIZES.items():
        image(root / "images" / f"{name}.png", size)
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text("\n".join(yolo_lines(name)) + "\n")
    (root / "data.yaml").write_text(listing)
    return Yolo(str(root), **{"file": "data.yaml", "split": ALL, "group_pattern": None, "outside": "cut", **keys})


def voc_text(name: str) -> str:
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{r}</xmax>"
        f"<ymax>{b}</ymax></bndbox></object>"
        for label, (x, y, r, b) in BOXES[name]
    )
    width, height = SIZES[name]
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation><filename>{name}.png</filename>{size}{objects}</annotation>"


def voc(root: Path, **keys: Any) -> PascalVoc:
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        image(root / "JPEGImages" / f"{name}.png", size)
        (root / "Annotations" / f"{name}.xml").write_text(voc_text(name))
    return PascalVoc(str(root), **{"first": 1, "split": ALL, "group_pattern": None, "outside": "cut", **keys})
