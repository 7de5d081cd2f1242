"""Public sets of images: some hundred to some thousand, each as a folder or a CSV file as people have them."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tests.benchmarks.board.base import Set

FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
ICONS = Path("/usr/share/icons/oxygen/base/48x48")  # Debian's package oxygen-icon-theme
TEST = 2000  # images of Fashion-MNIST's own test part


def idx(file: str) -> np.ndarray:
    raw = gzip.decompress((FASHION / file).read_bytes())
    sides = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(sides)


def fashion(count: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for part, files, number in (("train", "train", count), ("test", "t10k", TEST)):
            images, labels = idx(f"{files}-images-idx3-ubyte.gz"), idx(f"{files}-labels-idx1-ubyte.gz")
            taken = np.random.default_rng(0).permutation(len(labels))
            if count <= 300 and part == "train":  # as people take few: some of each
                taken = np.concatenate([taken[labels[taken] == k][: count // 10] for k in range(10)])
            for place in taken[:number]:
                save(folder / "photos" / part / f"class{labels[place]}" / f"{place}.png", images[place])

    return write


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def nothing(folder: Path) -> None:
    """The files come with a package."""


def digit(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((pixels * (255 / 16)).round().astype(np.uint8))


def rotated(folder: Path) -> None:
    """Digits of other than 0, 6, 8 and 9 turned by up to 60 degrees; the target is the angle."""
    data, draw, lines = load_digits(), np.random.default_rng(0), ["path,angle"]
    places = [i for i, label in enumerate(data.target) if label in (1, 2, 3, 4, 5, 7)][:900]
    for i in places:
        angle = float(draw.uniform(-60, 60))
        large = digit(data.images[i]).resize((32, 32), Image.Resampling.BICUBIC)
        save(folder / "photos" / f"{i}.png", np.asarray(large.rotate(angle, Image.Resampling.BICUBIC)))
        lines.append(f"{i}.png,{angle:.3f}")
    (folder / "angles.csv").write_text("\n".join(lines) + "\n")


def counted(folder: Path) -> None:
    """Zero to nine digits without overlap on a field of 48 pixels; the target is how many."""
    data, draw, lines = load_digits(), np.random.default_rng(0), ["path,number"]
    for i in range(900):
        field, number = np.zeros((48, 48), np.uint8), int(draw.integers(0, 10))
        for cell in draw.permutation(16)[:number]:
            row, column = divmod(int(cell), 4)
            top, left = 12 * row + draw.integers(0, 5), 12 * column + draw.integers(0, 5)
            field[top : top + 8, left : left + 8] = np.asarray(digit(data.images[draw.integers(len(data.images))]))
        save(folder / "photos" / f"{i}.png", field)
        lines.append(f"{i}.png,{number}")
    (folder / "numbers.csv").write_text("\n".join(lines) + "\n")


def icons(folder: Path) -> None:
    """A class for each category of the theme; a name that several categories share is left out."""
    files = [path for path in sorted(ICONS.glob("*/*.png")) if not path.is_symlink()]
    categories = ("actions", "apps", "categories", "devices", "mimetypes", "places", "status")
    seen: dict[str, int] = {}
    for path in files:
        seen[path.name] = seen.get(path.name, 0) + 1
    for path in files:
        if path.parent.name in categories and seen[path.name] == 1:
            picture = Image.open(path).convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            target = folder / "photos" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.alpha_composite(white, picture).convert("RGB").save(target)


def aerial() -> Path | None:
    """The folder of deepforest's pictures, where that package is installed."""
    from importlib.util import find_spec

    spec = find_spec("deepforest")
    return Path(spec.origin).parent / "data" if spec and spec.origin else None


def trees(folder: Path) -> None:
    """Crops of 64 pixels of deepforest's aerial pictures: about a tree that someone has drawn, or with none in them."""
    source = aerial()
    assert source is not None, "pip install --no-deps deepforest"
    draw = np.random.default_rng(0)
    for file in sorted(source.glob("*.xml")):
        said = file.read_text()
        name = re.search(r"<filename>(.*?)</filename>", said)
        picture = source / (name[1] if name else "")
        if not picture.is_file():
            picture = file.with_suffix(".tif") if file.with_suffix(".tif").is_file() else file.with_suffix(".png")
        if not picture.is_file():
            continue
        image = np.asarray(Image.open(picture).convert("RGB"))
        corners = re.findall(r"<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>", said)
        boxes = np.array(corners, int)
        crops(folder / "photos", file.stem, image, boxes, draw)


def crops(folder: Path, name: str, image: np.ndarray, boxes: np.ndarray, draw: np.random.Generator) -> None:
    side = 64
    height, width = image.shape[:2]
    centres = [((top + bottom) // 2, (left + right) // 2) for left, top, right, bottom in boxes]
    for number, (y, x) in enumerate(centres[:250]):
        top, left = np.clip(y - side // 2, 0, height - side), np.clip(x - side // 2, 0, width - side)
        save(folder / "tree" / f"{name}-{number}.png", image[top : top + side, left : left + side])
    found = 0
    for _ in range(20000):
        top, left = int(draw.integers(0, height - side)), int(draw.integers(0, width - side))
        inside = [top < y < top + side and left < x < left + side for y, x in centres]
        if not any(inside) and found < min(250, len(centres)):
            save(folder / "none" / f"{name}-{found}.png", image[top : top + side, left : left + side])
            found += 1


FOLDER = ("data=image_folder", "data.root=photos", "data.image_size=48")
NUMBERS = ("task=regression", "data=image_csv", "data.root=photos", "data.image_size=48")
FEW = ("default", "ours: closed_form", "probe")
SETS = (
    Set("digits", "image", ("data=digits",), nothing),
    Set("fashion 50", "image", FOLDER, fashion(50)),
    Set("fashion 300", "image", FOLDER, fashion(300)),
    Set("fashion 2000", "image", FOLDER, fashion(2000)),
    Set("fashion 10000", "image", FOLDER, fashion(10000), seeds=1, rows=FEW),
    Set("icons", "image", FOLDER, icons),
    Set("trees", "image", FOLDER, trees),
    Set("rotated", "image", (*NUMBERS, "data.file=angles.csv", "data.target_columns=[angle]"), rotated, "r2"),
    Set("counted", "image", (*NUMBERS, "data.file=numbers.csv", "data.target_columns=[number]"), counted, "r2"),
)
