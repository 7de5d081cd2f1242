"""Good files of data, and ways to spoil them: each function makes or changes a folder."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def noise(seed: int, size: tuple[int, int] = (24, 24)) -> Image.Image:
    """A picture with coarse and fine structure, other for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def save(file: Path, image: Image.Image, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, **options)


def photos(root: Path, count: int = 6, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    """root/SPLIT/{cat,dog}/0.png ...; four fewer in val and test."""
    for part, split in enumerate(splits):
        for label, name in enumerate(("cat", "dog")):
            for index in range(count if split == "train" else 2):
                save(root / split / name / f"{index}.png", noise(1000 * part + 100 * label + index))


def put(name: str, data: bytes) -> Callable[[Path], None]:
    """A file beside the good ones."""

    def make(root: Path) -> None:
        photos(root)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return make


def picture(name: str, image: Image.Image, **options: object) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        photos(root)
        save(root / name, image, **options)

    return make


def spoil(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        photos(root)
        change(root)

    return make


def encoded(kind: str, seed: int = 77, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    stream = io.BytesIO()
    noise(seed, size).save(stream, kind, **options)
    return stream.getvalue()


def copy(source: str, target: str) -> Callable[[Path], None]:
    return spoil(lambda root: (root / target).write_bytes((root / source).read_bytes()))


def recompressed(root: Path) -> None:
    save(root / "test/cat/again.jpg", Image.open(root / "train/cat/0.png").resize((48, 48)), quality=60)


def emptied(*folders: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for folder in folders:
            for file in (root / folder).iterdir():
                file.unlink()
            (root / folder).rmdir()

    return spoil(change)


def many_cats(root: Path) -> None:
    for index in range(100, 170):
        save(root / f"train/cat/{index}.png", noise(index + 5000))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def see_through() -> Image.Image:
    image = noise(8).convert("RGBA")
    image.putalpha(100)
    return image


def bomb() -> bytes:
    """A black picture of 13,000 x 13,000 pixels in 21 kB."""
    stream = io.BytesIO()
    Image.new("1", (13000, 13000)).save(stream, "PNG")
    return stream.getvalue()


def rows(*lines: str, header: str = "path,label,part", encoding: str = "utf-8") -> Callable[[Path], None]:
    """labels.csv with twelve good rows of labels 0 and 1, then `lines`."""

    def make(root: Path) -> None:
        photos(root)
        good = [f"train/{n}/{i}.png,{k},train" for k, n in enumerate(("cat", "dog")) for i in range(6)]
        good += ["val/cat/0.png,0,val", "val/dog/0.png,1,val"]
        (root / "labels.csv").write_text("\n".join([header, *good, *lines]) + "\n", encoding=encoding)

    return make


def idx(change: Callable[[bytes], bytes], labels: int = 20, name: str = "train-images-idx3-ubyte") -> Callable:
    def make(root: Path) -> None:
        root.mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
        head = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
        (root / name).write_bytes(change(head + pixels.tobytes()))
        targets = bytes(place % 2 for place in range(labels))
        (root / "train-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1)) + labels.to_bytes(4, "big") + targets)

    return make


def nothing(root: Path) -> None:
    root.mkdir(parents=True)


def config(name: str, text: str) -> Callable[[Path], None]:
    return put(f"conf/{name}", text.encode())
