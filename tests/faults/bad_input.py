"""Bad input of many kinds, each given to the command line in process: what happens, with which code and message.

Run it to see the table: `python -m tests.faults.bad_input`.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ftlab.cli import main
from tests.faults.spoiled import (
    bomb,
    config,
    copy,
    emptied,
    encoded,
    idx,
    many_cats,
    noise,
    nothing,
    photos,
    picture,
    put,
    recompressed,
    rows,
    see_through,
    spoil,
    turned,
)

TINY = ("backbone.name=resnet10t", "backbone.pretrained=false", "data.image_size=32", "strategy=head_only")
QUICK = (*TINY, "trainer.max_epochs=1")


@dataclass(frozen=True)
class Case:
    """One kind of bad input. `{root}` and `{bundle}` in the words are filled in."""

    name: str
    make: Callable[[Path], None]  # spoils a folder of good images
    mode: str
    words: tuple[str, ...]
    code: int
    says: str  # what must be said, with the name of the thing
    severity: str | None = None  # of the problem that `ftlab check` lists

    @property
    def happens(self) -> str:
        if self.severity:
            return f"listed as {self.severity}"
        return {0: "done, and told", 2: "refused"}[self.code]


@dataclass(frozen=True)
class Outcome:
    """What a case came to."""

    code: int
    out: str
    err: str
    problems: list[dict]  # of `ftlab check`
    changed: list[str]  # files of the input that are other than before
    report: dict | None  # report.json of a run

    @property
    def said(self) -> str:
        listed = [f"{p['count']} {p['kind']}: {'; '.join(p['examples'])} | {p['advice']}" for p in self.problems]
        return "\n".join([*listed, self.err, self.out])


# --- the cases

FOLDER = ("data=image_folder", "data.root={root}")
CSV = ("data=image_csv", "data.root={root}", "data.split_column=part")
IDX = ("data=idx", "data.root={root}")
TRAIN = (*FOLDER, *QUICK)


def listed(name: str, make: Callable, severity: str, says: str, words: tuple[str, ...] = FOLDER) -> Case:
    """Data that `ftlab check` takes and lists."""
    return Case(name, make, "check", words, 2 if severity == "error" else 0, says, severity)


FINE = picture("train/cat/x.png", noise(9))
CASES = [
    # images that cannot be used
    listed("truncated JPEG", put("train/cat/cut.jpg", encoded("JPEG")[:700]), "error", "cut.jpg"),
    listed("truncated PNG", put("train/cat/cut.png", encoded("PNG")[:3000]), "error", "cut.png"),
    listed("zero-byte image", put("train/cat/none.png", b""), "error", "none.png"),
    listed("text called .png", put("train/dog/text.png", b"a dog\n"), "error", "text.png"),
    listed("decompression bomb", put("train/dog/bomb.png", bomb()), "error", "bomb.png"),
    listed(
        "32-bit float pixels",
        picture("train/dog/float.tif", Image.fromarray(np.full((9, 9), 0.5, np.float32))),
        "error",
        "float.tif",
    ),
    listed("a link to nowhere", spoil(lambda r: (r / "train/cat/lost.png").symlink_to("gone")), "error", "lost.png"),
    listed("a pipe called .png", spoil(lambda r: os.mkfifo(r / "train/cat/pipe.png")), "error", "pipe.png"),
    # images that are handled, and told
    listed("PNG called .jpg", put("train/cat/lie.jpg", encoded("PNG")), "warning", "lie.jpg"),
    listed(
        "16-bit grey",
        picture("train/cat/deep.png", Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)),
        "note",
        "deep.png",
    ),
    listed("palette", picture("train/cat/few.png", noise(5).quantize(8)), "note", "few.png"),
    listed("transparent", picture("train/cat/glass.png", see_through()), "note", "glass.png"),
    listed("CMYK", picture("train/cat/print.jpg", noise(6).convert("CMYK")), "note", "print.jpg"),
    listed("EXIF-rotated", picture("train/cat/turn.jpg", noise(7), exif=turned()), "note", "turn.jpg"),
    listed(
        "animated GIF",
        picture("train/cat/move.gif", noise(1), save_all=True, append_images=[noise(2), noise(3)]),
        "note",
        "move.gif",
    ),
    # names and folders
    listed(
        "name that is not UTF-8",
        spoil(lambda r: os.rename(r / "train/cat/1.png", os.fsencode(r / "train/cat") + b"/caf\xe9.png")),
        "note",
        "caf\\xe9.png",
    ),
    listed("hidden folder", picture("train/.ipynb_checkpoints/x.png", noise(3)), "note", ".ipynb_checkpoints"),
    listed("file that is no image", put("train/cat/notes.txt", b"cats"), "warning", "notes.txt"),
    listed("empty class folder", spoil(lambda r: (r / "train/fox").mkdir()), "warning", "train/fox"),
    listed("class missing in val", emptied("val/dog"), "warning", "no sample in val: dog"),
    listed("class only in val", picture("val/dogs/x.png", noise(4)), "error", "class 'dogs'"),
    listed("one class", emptied("train/dog", "val/dog", "test/dog"), "error", "one class (cat)"),
    listed("no image at all", nothing, "error", "holds no images"),
    listed("root mistyped", FINE, "error", "is not there", ("data=image_folder", "data.root={root}s")),
    listed("root is a file", FINE, "error", "is a file", ("data=image_folder", "data.root={root}/train/cat/0.png")),
    # what makes figures lie
    listed("test image in train", copy("train/cat/0.png", "test/cat/9.png"), "warning", "test/cat/9.png = "),
    listed("image twice in train", copy("train/cat/0.png", "train/cat/9.png"), "warning", "train/cat/9.png = "),
    listed("one image, two labels", copy("train/cat/0.png", "train/dog/9.png"), "warning", "9.png (dog)"),
    listed("recompressed test image in train", spoil(recompressed), "warning", "again.jpg"),
    listed("heavy imbalance", spoil(many_cats), "warning", "dog (6)"),
    listed("fewer samples than a batch", FINE, "warning", "training samples in all"),
    # CSV files
    listed("CSV: missing file", rows("train/cat/99.png,0,train"), "error", "99.png is not there", CSV),
    listed("CSV: blank label", rows("val/cat/1.png, ,train"), "error", "label is missing", CSV),
    listed("CSV: label NaN", rows("val/cat/1.png,NaN,train"), "error", "'NaN'", CSV),
    listed("CSV: label -100", rows("val/cat/1.png,-100,train"), "warning", "-100", CSV),
    listed("CSV: text among numbers", rows("val/cat/1.png,cat,train"), "error", "'cat'", CSV),
    listed("CSV: label that train has not", rows("val/cat/1.png,7,val"), "error", "label '7'", CSV),
    listed("CSV: unknown split", rows("val/cat/1.png,0,vall"), "error", "split 'vall'", CSV),
    listed("CSV: one image in two splits", rows("train/cat/0.png,0,val"), "warning", "train/cat/0.png = ", CSV),
    listed("CSV: not UTF-8", rows("val/cat/1.png,é,train", encoding="latin-1"), "error", "'é'", CSV),
    listed("CSV: no such column", rows(header="file,label,part"), "error", "path_column=path", CSV),
    # IDX files
    listed("IDX: cut", idx(lambda data: data[:-10]), "error", "train-images-idx3-ubyte", IDX),
    listed("IDX: not its format", idx(lambda data: b"x" * 99), "error", "train-images-idx3-ubyte", IDX),
    listed("IDX: fewer labels", idx(bytes, labels=19), "error", "20 train images and 19 labels", IDX),
    listed(
        "IDX: cut gzip",
        idx(lambda data: gzip.compress(data)[:-20], name="train-images-idx3-ubyte.gz"),
        "error",
        "ubyte.gz",
        IDX,
    ),
    # configs
    Case("batch size 0", FINE, "train", (*TRAIN, "data.batch_size=0"), 2, "data.batch_size=0"),
    Case("check mistyped", FINE, "train", (*TRAIN, "data.check=ful"), 2, "did you mean 'full'"),
    Case("skip without a check", FINE, "train", (*TRAIN, "data.check=off", "data.on_error=skip"), 2, "data.check="),
    Case("check of nothing", FINE, "check", (*FOLDER, "data.check=off"), 2, "data.check=off"),
    Case(
        "hostile _target_",
        config("head/evil.yaml", "_target_: os.system\ncommand: touch /tmp/x\n"),
        "train",
        ("--config-dir", "{root}/conf", "head=evil", *TRAIN),
        2,
        "os.system",
    ),
    Case(
        "broken YAML",
        config("head/torn.yaml", "_target_: [\n"),
        "train",
        ("--config-dir", "{root}/conf", "head=torn", *TRAIN),
        2,
        "torn",
    ),
    # runs
    Case("train: zero-byte image", put("train/cat/none.png", b""), "train", TRAIN, 2, "none.png"),
    Case("train: truncated image", put("train/cat/cut.jpg", encoded("JPEG")[:700]), "train", TRAIN, 2, "cut.jpg"),
    Case(
        "train: truncated image, skip",
        put("train/cat/cut.jpg", encoded("JPEG")[:700]),
        "train",
        (*TRAIN, "data.on_error=skip"),
        0,
        "cut.jpg",
    ),
    Case(
        "train: bad rows, skip",
        rows("val/cat/1.png,NaN,train", "train/cat/99.png,0,train"),
        "train",
        (*CSV, *QUICK, "data.on_error=skip"),
        0,
        "99.png",
    ),
    Case(
        "predict: broken image",
        put("train/cat/cut.jpg", encoded("JPEG")[:700]),
        "predict",
        ("bundle={bundle}", "input={root}/train/cat"),
        2,
        "cut.jpg",
    ),
    Case("predict: no image", FINE, "predict", ("bundle={bundle}", "input={root}/*.jpg"), 2, "names no image"),
    Case("predict: no bundle", FINE, "predict", ("bundle={root}", "input={root}/train"), 2, "bundle.json"),
]


# --- running them


def run(case: Case, folder: Path, bundle: Path) -> Outcome:
    """A case in a folder of its own."""
    root = folder / "input"
    case.make(root)
    before = contents(root)
    words = [word.format(root=root, bundle=bundle) for word in case.words]
    listing, run_dir = folder / "found.json", folder / "run"
    words += {"check": [f"output={listing}"], "train": [f"hydra.run.dir={run_dir}"]}.get(case.mode, [])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([case.mode, *words])
    after = contents(root)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    problems = json.loads(listing.read_text())["problems"] if listing.is_file() else []
    report = run_dir / "report.json"
    return Outcome(
        code,
        out.getvalue(),
        err.getvalue(),
        problems,
        changed,
        json.loads(report.read_text()) if report.is_file() else None,
    )


def contents(root: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time and bytes of everything below `root`."""
    found = {}
    for parent, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(parent, name)
            seen = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            found[repr(str(path))] = (seen.st_mode, seen.st_mtime_ns, hashlib.sha256(data).hexdigest())
    return found


def first_line(case: Case, outcome: Outcome) -> str:
    """The line that a person reads of the case's problem."""
    lines = [line for line in outcome.said.splitlines() if case.says in line]
    return " ".join(lines[0].split()) if lines else ""


def trained(folder: Path) -> Path:
    """The bundle of a run on good images."""
    photos(folder / "good")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        words = [word.format(root=folder / "good") for word in TRAIN]
        assert main(["train", *words, f"hydra.run.dir={folder / 'good_run'}"]) == 0
    return folder / "good_run" / "bundle"


def table(outcomes: Iterator[tuple[Case, Outcome]] | list[tuple[Case, Outcome]], folder: Path) -> str:
    lines = [f"{'input':<34}{'what happens':<19}{'code':<6}message"]
    for case, outcome in outcomes:
        said = first_line(case, outcome).replace(str(folder), "")
        lines.append(f"{case.name:<34}{case.happens:<19}{outcome.code:<6}{said[:110]}")
    return "\n".join(lines)


def everything(folder: Path) -> list[tuple[Case, Outcome]]:
    bundle = trained(folder)
    return [(case, run(case, folder / str(place), bundle)) for place, case in enumerate(CASES)]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        os.environ["FTLAB_CACHE"] = place
        print(table(everything(Path(place)), Path(place)))
