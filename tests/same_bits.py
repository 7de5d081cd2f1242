"""Whether two checkouts of ftlab compute the same bits: python tests/same_bits.py BEFORE AFTER [--only NAME ...]

For changes that move code and must change no result. Each of twelve short runs is made by both checkouts from the same
data, by the command line or from Python. Then every tensor of the bundle and of the last checkpoint, the lines of
`ftlab predict`, the figures of `ftlab evaluate`, report.json and bundle.json are compared. Left out is what two runs of
one checkout cannot share, times and memory, and beside it versions and each `_target_`, which a moved class changes.

A line a run says that all is equal, or where it first differs, with both values. Ends with 0 if all are equal, else 1.
All twelve take 15 minutes of CPU time; both sides of a run go at once, so two free cores need half of that.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor

SCRIPTS = str(Path(__file__).resolve().with_name("same_bits_scripts.py"))
NOT_COPIED = (".git", ".venv", ".ci-venv", "runs", "multirun", "build", "dist", "*.egg-info", ".*_cache")  # at its top
LEFT_OUT = {"_target_", "versions", "started", "seconds", "step_seconds", "seconds_per_step", "seconds_per_sample"}
LEFT_OUT |= {"peak_memory_bytes", "__id__"}  # the last one: where a part of a learner of scikit-learn lay in memory
ONE_SIDE = ("only in before", "only in after")

DIGITS = "subset=64 data.split=[0.9,0.05,0.05] data.image_size=32"
SMALL = "backbone.name=resnet10t backbone.pretrained=false data.batch_size=16"
PICTURES = "data=image_csv data.root=../../data data.image_size=32"
TEXTS = "data=sequence data.file=../../data/texts.csv data.series_column=text data.token_column=word"
TIDE = "data=sequence data.file=../../data/tide.csv data.time_column=hour data.order=time data.window=8 data.horizon=2"
RUNS = {  # what `ftlab train` is told
    "digits": f"{DIGITS} augment=none trainer.max_epochs=3",
    "light": f"{DIGITS} {SMALL} augment=light strategy=partial trainer.max_epochs=2",
    "strong": f"{DIGITS} {SMALL} augment=strong strategy=full backbone.drop_rate=0.2 trainer.max_epochs=2",
    "multilabel": f"{PICTURES} task=multilabel data.multilabel=true cache=disk trainer.max_epochs=3",
    "regression": f"{PICTURES} task=regression data.target_columns=[angle,width] trainer.max_epochs=3",
    # cache=memory, so that no measured time says whether values of so small a network are kept
    "table": "data=table data.file=../../data/houses.csv data.label_column=sold cache=memory trainer.max_epochs=6",
    "tokens": f"{TEXTS} data.label_column=mood backbone.width=16 trainer.max_epochs=3",
    "windows": f"{TIDE} task=regression data.target_columns=[level] backbone.width=16 trainer.max_epochs=3",
    "sklearn": f"{DIGITS} strategy=closed_form head=sklearn head.estimator=random_forest",
    "own": "strategy=full strategy.batchnorm=train data.image_size=24 trainer.max_epochs=3",
    "processes": f"{DIGITS} {SMALL} strategy.groups=1 trainer.max_epochs=3 trainer.devices=2 trainer.strategy=ddp",
    "killed": f"{DIGITS} data.batch_size=16 checkpoint.every_n_steps=1 trainer.max_epochs=3 resume=auto",
}
INPUTS = {"table": "houses.csv", "tokens": "texts.csv", "windows": "tide.csv"}  # to predict; of the others: few/


class FailedError(Exception):
    """A command that did not end as it must; the text says which, and how."""


# --- data that both sides are given, the same each time


def make_data(folder: Path) -> None:
    draw = random.Random(0)
    for name, count in (("few", 4), ("pictures", 72)):
        (folder / name).mkdir(parents=True)
        rows = [make_picture(folder / name / f"{number:02}.png", draw) for number in range(count)]
    write_rows(folder / "labels.csv", "path,label,angle,width", rows)
    write_rows(folder / "houses.csv", "rooms,city,area,sold", [house(draw) for _ in range(120)])
    write_rows(folder / "texts.csv", "text,word,mood", [step for text in range(60) for step in words_of(text, draw)])
    wind = [draw.gauss(0, 1) for _ in range(160)]
    levels = [hour % 12 / 6 + wind[hour - 1] for hour in range(160)]
    write_rows(folder / "tide.csv", "hour,wind,level", list(zip(range(160), wind, levels, strict=True)))


def write_rows(path: Path, head: str, rows: Sequence[Sequence[Any]]) -> None:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows), ""]), encoding="utf8")


def make_picture(path: Path, draw: random.Random) -> tuple[str, str, float, int]:
    """A turned bar; its row: the file, two labels, two numbers."""
    angle, width, red = draw.uniform(0, 60), draw.randint(3, 9), draw.randrange(256)
    image = Image.new("RGB", (24, 24), (40, draw.randrange(256), 90))
    ImageDraw.Draw(image).rectangle((12 - width, 6, 12 + width, 18), (red, 200, draw.randrange(256)))
    image.rotate(angle).save(path)
    label = f"{'wide' if width > 5 else 'narrow'};{'warm' if red > 127 else 'cold'}"
    return f"pictures/{path.name}", label, angle, width


def house(draw: random.Random) -> tuple[Any, ...]:
    """Here and there a number is missing; the class depends on numbers and on a category."""
    rooms, city, area = draw.randint(1, 8), draw.choice(("Bern", "Oslo", "Rome")), draw.gauss(80, 20)
    sold = 10 * rooms + 20 * (city == "Rome") > area - 20
    return "" if draw.random() < 0.1 else rooms, city, area, "yes" if sold else "no"


def words_of(text: int, draw: random.Random) -> list[tuple[int, str, str]]:
    words = draw.choices(("fine", "good", "bad", "poor", "so", "very"), k=draw.randint(4, 9))
    mood = "up" if sum(word in ("fine", "good") for word in words) > 2 else "down"
    return [(text, word, mood) for word in words]


# --- a checkout in an environment of its own


@dataclass(frozen=True)
class Side:
    name: str
    folder: Path

    def call(self, program: str, *words: str, where: Path, code: int = 0) -> str:
        """Standard output of a program of this side. Raises: FailedError for another exit code than `code`."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        environment |= {"OMP_NUM_THREADS": "1", "FTLAB_CACHE": str(where / "cache")}
        command = [str(self.folder / "venv" / "bin" / program), *words]
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
        if done.returncode != code:
            said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            raise FailedError(f"{self.name}: {program} {' '.join(words[:2])} ended with {done.returncode}: {said}")
        return done.stdout

    def install(self, checkout: Path) -> None:
        """A copy of the checkout, so that nothing is left in it, in an environment that sees the packages of this one.

        They are seen by a line of a .pth file, which reads no .pth file beside them: an ftlab that is installed there
        in editable form stays out of sight.
        """
        skip, code = shutil.ignore_patterns(*NOT_COPIED), self.folder / "code"
        shutil.copytree(checkout, code, True, lambda at, names: skip(at, names) if Path(at) == checkout else ())
        venv.create(self.folder / "venv", symlinks=True)
        packages = self.call("python", "-c", "import site; print(site.getsitepackages()[0])", where=self.folder)
        Path(packages.strip(), "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        flags = "--no-index --no-deps --no-build-isolation --ignore-installed --disable-pip-version-check -q"
        self.call("python", "-m", "pip", "install", *flags.split(), "-e", "code", where=self.folder)
        found = self.call("python", "-c", "import ftlab; print(ftlab.__file__)", where=self.folder).strip()
        if not Path(found).is_relative_to(code):
            raise FailedError(f"{checkout} was installed, but ftlab comes from {found}")

    def carry_out(self, name: str) -> dict[str, Any]:
        """What a run has made that is compared. Raises: FailedError."""
        where = self.folder / name
        where.mkdir()
        words = [*shlex.split(RUNS[name]), "trainer.accelerator=cpu"]
        if name == "own":
            self.call("python", SCRIPTS, "own", *words, where=where)
            return made(where, str(self.folder))
        words.append("hydra.run.dir=run")
        if name == "killed":
            self.call("python", SCRIPTS, "killed", *words, where=where, code=-signal.SIGKILL)
        self.call("ftlab", "train", *words, where=where)
        inputs = f"input=../../data/{INPUTS.get(name, 'few')}"
        self.call("ftlab", "predict", "bundle=run/bundle", inputs, "output=lines.jsonl", where=where)
        self.call("ftlab", "evaluate", "bundle=run/bundle", "output=figures.json", where=where)
        return made(where, str(self.folder))


# --- what a run has made, and how two of them differ


def made(where: Path, folder: str) -> dict[str, Any]:
    """All that is compared; texts are read as if both sides had one folder."""
    files = ("lines.jsonl", "figures.json", "run/report.json", "run/bundle/bundle.json")
    lines, *texts = ((where / file).read_text(encoding="utf8").replace(folder, "") for file in files)
    last = torch.load(where / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "weights": with_learners(load_file(where / "run" / "bundle" / "model.safetensors")),
        "checkpoint": {"weights": with_learners(last["state_dict"]), "optimizer": last["optimizer_states"]},
        "lines": lines.splitlines(),
        **dict(zip(("figures", "report", "bundle"), map(json.loads, texts), strict=True)),
    }


def with_learners(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: learner(tensor) if name.endswith("_extra_state") else tensor for name, tensor in weights.items()}


def learner(stored: Tensor) -> Any:
    """A learner of scikit-learn as skops keeps it, with its files in place of their names.

    The names are addresses in memory, and the archive holds the time of day: its own bytes are never the same twice.
    """
    with ZipFile(BytesIO(stored.numpy().tobytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files["schema.json"], object_hook=lambda node: node | {"file": files.get(str(node.get("file")))})


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Where two values differ, and how: an entry of ONE_SIDE for what the other one lacks."""
    one, other = parts(before), parts(after)
    if one is None or other is None:
        if how := unlike(before, after):
            yield place, how
        return
    for key in dict.fromkeys([*one, *other]):
        here = f"{place}.{key}".lstrip(".")
        if key in LEFT_OUT:
            continue
        if key in one and key in other:
            yield from differences(one[key], other[key], here)
        else:
            yield here, ONE_SIDE[key in other]


def parts(value: Any) -> dict[Any, Any] | None:
    return value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list | tuple) else None


def unlike(before: Any, after: Any) -> str:
    """How the bits differ, by which 0.0 is not -0.0 and a nan is itself; empty if they do not."""
    tensors = [value for value in (before, after) if isinstance(value, Tensor)]
    if len(tensors) < 2 or (before.dtype, before.shape) != (after.dtype, after.shape):
        alike = not tensors and type(before) is type(after) and repr(before) == repr(after)
        return "" if alike else f"{short(before)} before, {short(after)} after"
    bits = [t.flatten().view(torch.uint8).reshape(t.numel(), t.element_size()) for t in tensors]
    apart = (bits[0] != bits[1]).any(dim=1).nonzero().flatten().tolist()
    if not apart:
        return ""
    one, other = (t.flatten()[apart[0]].item() for t in tensors)
    return f"{len(apart)} of {before.numel()} values, the first at {apart[0]}: {one!r} before, {other!r} after"


def short(value: Any) -> str:
    text = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."


# --- the command


def told(before: Any, after: Any, allowed: Sequence[str]) -> str:
    """`equal`, or in one line: what one side lacks, the first place that differs otherwise, how many do and in what."""
    fine = tuple(f".{key}" for key in allowed)
    found = [(at, how) for at, how in differences(before, after) if how not in ONE_SIDE or not f".{at}".endswith(fine)]
    if not found:
        return "equal"
    lacks = [f"{how}: {place}" for place, how in found if how in ONE_SIDE]
    others = [f"{place}: {how}" for place, how in found if how not in ONE_SIDE]
    kinds = dict.fromkeys(place.partition(".")[0] for place, _ in found)
    return "; ".join([*lacks[:5], *others[:1], f"places that differ: {len(found)}, in {', '.join(kinds)}"])


def compare(name: str, sides: Sequence[Side], allowed: Sequence[str]) -> bool:
    """Make a run on both sides at once and print how they compare; whether they are equal."""
    start = time.perf_counter()
    try:
        with ThreadPoolExecutor(len(sides)) as pool:
            before, after = pool.map(lambda side: side.carry_out(name), sides)
        said = told(before, after, allowed)
    except FailedError as error:
        said = f"failed: {error}"
    print(f"{name:<11}{said}  ({time.perf_counter() - start:.0f} s)", flush=True)
    return said == "equal"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="folder of a checkout")
    parser.add_argument("after", type=Path, help="folder of the other one")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="new folder in which all that is made stays")
    parser.add_argument("--allow", action="append", default=[], metavar="KEY", help="a key that one side may lack")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="same_bits-"))
    try:
        make_data(folder.resolve() / "data")
        sides = [Side(name, folder.resolve() / name) for name in ("before", "after")]
        for side, checkout in zip(sides, (given.before, given.after), strict=True):
            side.install(checkout)
        equal = []
        for name in given.only:
            equal.append(compare(name, sides, given.allow))
            for side in sides if not given.keep else ():  # all runs together would take two gigabytes
                shutil.rmtree(side.folder / name)
    except FailedError as error:
        sys.exit(str(error))
    finally:
        if not given.keep:
            shutil.rmtree(folder)
    print(f"{sum(equal)} of {len(equal)} runs equal")
    return int(not all(equal))


if __name__ == "__main__":
    sys.exit(main())
