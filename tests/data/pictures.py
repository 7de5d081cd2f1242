"""Tiny image files for the tests of data."""

from pathlib import Path

from PIL import Image

COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30), "fox": (30, 30, 200)}


def write_image(path: Path, colour=(128, 128, 128), size=(12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_classes(folder: Path, **counts: int) -> Path:
    """folder/NAME/0.png, ... as many as its count."""
    for name, count in counts.items():
        for index in range(count):
            write_image(folder / name / f"{index}.png", COLOURS.get(name, (9, 9, 9)))
    return folder
