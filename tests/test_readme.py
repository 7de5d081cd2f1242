"""README.md and the manual are true: their commands run and leave what they say, map and lists of options are complete.

Of a page of the manual the first command runs with every change; the others are slow.
"""

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ftlab.cli import MODES, main
from ftlab.data.sources.digits import Digits
from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf8")
PAGES = {file.stem: file.read_text(encoding="utf8") for file in sorted((ROOT / "ftlab" / "manual").glob("*.md"))}
ALL = "\n".join([TEXT, *PAGES.values()])

# What of a command makes or enters an environment, or is .ci/run's own work.
ENVIRONMENT = ("python3 -m venv .venv", ".venv/bin/pip install", "source .venv/bin/activate")
RUNS_THE_TESTS = ".venv/bin/python -m pytest"
# What is appended to a command that trains, so that it takes seconds; nothing else is changed.
QUICK = ("subset=20",)
QUICK_IMAGES = ("data.image_size=32",)
TABLES = {"data=table", "data=diabetes", "data=linnerud", "data=sequence", "data=text_csv", "data=text_lines"}
QUICK_EPOCHS = ("trainer.max_epochs=3",)  # also of a plan whose file is trained later
QUICK_SCENES = ("data.scenes=[12,4,4]",)
DENSE = {"task=detection", "task=segmentation"}
QUICK_QUESTIONS = ("data.questions=40",)
QUICK_WRITING = ("head.width=16", "head.depth=1", "head.vocabulary=300", "task.generation.max_tokens=8")
QUICK_MULTIRUN = ("trainer.max_epochs=2",)
QUICK_COMPARISON = ("compare.seeds=2", "compare.strategies=[closed_form,head_only]", "trainer.max_epochs=2")
QUICK_DIGITS = ("data.split=[0.9,0.05,0.05]",)  # fewer images to evaluate


def blocks(language: str, text: str = ALL) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str = TEXT) -> list[str]:
    """Every command of the bash blocks, one a line, without what makes the environment."""
    parts = [part.strip() for block in blocks("bash", text) for line in block.splitlines() for part in line.split("&&")]
    found = [p.removeprefix(".venv/bin/") for p in parts if not p.startswith(ENVIRONMENT) and p != RUNS_THE_TESTS]
    return [one for one in found if one.startswith("ftlab ")]


def of_pages() -> Iterator[Any]:
    """The commands of the manual that README has not, the first of each page to run always."""
    seen = set(commands())
    for page, text in PAGES.items():
        for place, command in enumerate(commands(text)):
            if command not in seen:
                marks = pytest.mark.slow if place or page == "devices" else ()  # tests/distributed begins processes
                yield pytest.param(command, marks=marks, id=f"{page}: {command}")
            seen.add(command)


def quick(words: list[str]) -> list[str]:
    """The words of `ftlab train`, made quick; a resumed run has its words already."""
    keys = {word.split("=")[0] for word in words}
    if words[0] == "compare":
        return words if "runs" in keys else [*words, *QUICK, *QUICK_IMAGES, *QUICK_COMPARISON, *QUICK_DIGITS]
    if words[0] == "auto":
        return [*(w for w in words if not w.startswith(("time=", "subset="))), *QUICK, *QUICK_EPOCHS, "time=1s"]
    if "plan.output" in keys:
        return [*words, *QUICK_EPOCHS]
    if words[0] != "train" or keys & {"--help", "--cfg", "resume"}:
        return words
    if DENSE & set(words):
        return [*words, *QUICK_SCENES, *QUICK_EPOCHS]
    if "task=captioning" in words:
        return [*words, *QUICK_SCENES, *QUICK_WRITING, *QUICK_EPOCHS]
    if "task=translation" in words:
        return [*words, *(() if "data" in keys else ("data.pairs=60",)), *QUICK_WRITING, *QUICK_EPOCHS]
    if "task=question_answering" in words:
        return [*words, *(() if "data" in keys else QUICK_QUESTIONS), *QUICK_EPOCHS]
    epochs = QUICK_MULTIRUN if "-m" in words else QUICK_EPOCHS
    images = () if TABLES & set(words) else QUICK_IMAGES
    kept = ("checkpoint.keep=all",) if resumed(words) else ()
    return [*words, *QUICK, *images, *epochs, *kept, *(() if "data" in keys else QUICK_DIGITS)]


def resumed(words: list[str]) -> bool:
    """Whether another command goes on with this run, which is then made one that was interrupted."""
    folders = {word.removeprefix("hydra.run.dir=") for word in words if word.startswith("hydra.run.dir=")}
    return any(f"resume={folder}" in shlex.split(command) for folder in folders for command in commands(ALL))


# --- what the commands need


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Digits 0 and 1 as (n, 32, 32) images, and their labels."""
    train = Digits([0.8, 0.1, 0.1]).read(0).train
    places = [i for i, label in enumerate(train.targets.tolist()) if label < 2][:60]
    images = [train.inputs[i][0].numpy().repeat(4, 0).repeat(4, 1) for i in places]
    return np.stack(images), train.targets[places].numpy().astype(np.uint8)


def write_idx(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes())


def write_questions(folder: Path) -> None:
    contexts = [f"The house of number {n} is in {('Rome', 'Oslo')[n % 2]}." for n in range(20)]
    lines = [f"Where is house {n}?,{context},{('Rome', 'Oslo')[n % 2]}" for n, context in enumerate(contexts)]
    (folder / "questions.csv").write_text("\n".join(["question,context,answer", *lines]))
    new = {"question": "Which type must x have?", "context": "Parameters\n\nx : array_like\n    Values."}
    (folder / "answered.jsonl").write_text(json.dumps(new))
    (folder / "context.txt").write_text("Parameters\n\naxis : int\n    Where to add.")


def write_pairs(folder: Path) -> None:
    places = (("Rome", "Roma"), ("London", "Londres"))
    lines = [f"House {n} is in {places[n % 2][0]},La casa {n} está en {places[n % 2][1]}" for n in range(40)]
    (folder / "pairs.csv").write_text("\n".join(["source,target", *lines]), encoding="utf8")


def prepare(folder: Path) -> None:
    """The user's files that the README speaks of."""
    images, labels = pixels()
    rows, angles = ["path,label"], ["path,angle,width"]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = f"{('cat', 'dog')[label]}/{number if number > 1 else 1}.png"
        file = folder / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
        rows.append(f"{name},{('cat', 'dog')[label]}")
        angles.append(f"{name},{number},{image.mean()}")
    (folder / "photos" / "labels.csv").write_text("\n".join(dict.fromkeys(rows)))
    (folder / "photos" / "angles.csv").write_text("\n".join(angles))
    Image.fromarray(images[0]).save(folder / "nine.png")
    houses = [
        f"{n % 6 + 1},{('Rome', 'Oslo')[n % 2]},{20 * (n % 5)},{30 * n},{('yes', 'no')[n % 3 > 0]}" for n in range(60)
    ]
    (folder / "houses.csv").write_text("\n".join(["rooms,city,area,price,sold", *houses]))
    (folder / "new_houses.csv").write_text("\n".join(["rooms,city,area,price,sold", *houses[:3]]))
    hours = [f"{n},{10 + n % 12 + n / 100},{n % 24}" for n in range(200)]
    (folder / "tide.csv").write_text("\n".join(["hour,level,clock", *hours]))
    texts = [f"{n},{word},{n % 3 + 0.5 * (n % 5)}" for n in range(40) for word in ("so", "good", "bad")[: n % 3 + 1]]
    (folder / "texts.csv").write_text("\n".join(["text,word,stars", *texts]))
    for number in range(12):
        letter = folder / "letters" / ("dear", "dull")[number % 2] / f"{number}.txt"
        letter.parent.mkdir(parents=True, exist_ok=True)
        letter.write_text(f"to my {('friend', 'bank')[number % 2]}, for the {number}th time")
    write_questions(folder)
    write_pairs(folder)
    for root in ("fashion", "downloaded/FashionMNIST/raw"):
        for part in ("train", "t10k"):
            write_idx(folder / root / f"{part}-images-idx3-ubyte", images)
            write_idx(folder / root / f"{part}-labels-idx1-ubyte", labels)
    for name, text in re.findall(r"`([\w/]+\.yaml)`:\n\n```yaml\n(.*?)^```$", ALL, re.MULTILINE | re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def interrupt(run: Path) -> None:
    """Takes a finished run back to how it was when its last epoch had just begun."""
    shutil.rmtree(run / "bundle")
    for name in ("report.json", "report.html"):
        (run / name).unlink()
    shutil.copyfile(run / "checkpoints" / "previous.ckpt", run / "checkpoints" / "last.ckpt")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the user's files, in which one command after the other is typed."""
    folder = tmp_path_factory.mktemp("readme")
    prepare(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_commands_are_read() -> None:
    """Else the tests below would say nothing."""
    assert len(commands()) > 15
    assert len(list(of_pages())) > 25
    assert {shlex.split(c)[1] for c in commands()} == set(MODES) - {"serve"}  # which does not end by itself
    assert sum(RUNS_THE_TESTS in block for block in blocks("bash", TEXT)) == 1


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(TEXT.splitlines()) <= 300


def needed(words: list[str], there: Path) -> Iterator[str]:
    """The commands that leave what these words name and what is not there yet."""
    makers = ("hydra.run.dir", "hydra.sweep.dir", "output", "plan.output")
    for word in words:
        key, _, value = word.partition("=")
        if key in makers or "/" not in value + "/" or not re.fullmatch(r"[\w./]+", value):
            continue
        for command in (one for text in (TEXT, *PAGES.values()) for one in commands(text)):
            made = [w.partition("=")[2] for w in shlex.split(command) if w.partition("=")[0] in makers]
            if any(value == one or value.startswith(f"{one}/") for one in made) and not (there / value).exists():
                yield command
                break


def run(command: str, place: Path) -> int:
    words = quick(shlex.split(command)[1:])
    for other in needed(words, place):
        run(other, place)
    for word in words:
        if word.startswith("resume="):
            interrupt(place / word.removeprefix("resume="))
    for key, value in (word.partition("=")[::2] for word in words):
        if key in ("hydra.run.dir", "output") and (place / value).exists():  # of a command that needed it before
            return 0
    return main(words)


@pytest.mark.parametrize("command", [*commands(), *of_pages()])
def test_a_command_runs(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(command, place)
    written = capsys.readouterr()
    assert code == 0, written.err


# --- what they leave (these tests come after the commands above, in the same folder)


def test_a_run_leaves_what_the_table_says(place: Path) -> None:
    table = TEXT.split("| in the run's folder |")[1].split("\n\n")[0]
    names = re.findall(r"`([\w./]+)`", table)
    assert {"report.html", "report.json", "bundle/", "model.safetensors", "last.ckpt", "metrics.csv"} <= set(names)
    inside = {
        "model.safetensors": "bundle",
        "bundle.json": "bundle",
        "config.json": "bundle",
        "README.md": "bundle",
    }
    for name in names:
        folder = inside.get(name, "checkpoints" if name.endswith(".ckpt") else ".")
        assert (place / "runs/digits" / folder / name).exists(), name


@pytest.mark.parametrize("file", ["multirun/first/sweep.csv", "runs/long/report.html", "runs/long/bundle"])
def test_files_that_commands_name_are_there(file: str, place: Path) -> None:
    assert (place / file).exists()


def test_a_prediction_has_the_form_that_is_shown(place: Path) -> None:
    import json

    (shown,) = (json.loads(block) for block in blocks("json", TEXT))
    assert main(["predict", "bundle=runs/digits/bundle", "input=nine.png", "top_k=2", "output=shown.jsonl"]) == 0
    line = json.loads((place / "shown.jsonl").read_text().splitlines()[0])
    assert line.keys() == shown.keys()
    assert line["top"][0].keys() == shown["top"][0].keys()


def test_the_python_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That of README, and of the manual what README has not."""
    assert len(blocks("python", TEXT)) == 1
    for block in dict.fromkeys(blocks("python", ALL)):
        if (place / "runs/python").exists() and '"runs/python"' in block:
            shutil.rmtree(place / "runs/python")
        exec(compile(block, "README.md", "exec"), {})
    assert (place / "runs/own/report.html").is_file()


# --- what the text says


def mapped() -> list[str]:
    """The paths of the map, their indentation being their depth."""
    block = TEXT.split("## Map")[1].split("```")[1].removeprefix("text\n")
    folders: list[str] = []
    found = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        folders = [*folders[:depth], line.split()[0]]
        found.append("".join(folders))
    return found


def test_every_path_of_the_map_exists() -> None:
    assert [path for path in mapped() if not (ROOT / path).exists()] == []


def test_the_map_lists_every_part_of_the_package() -> None:
    parts = {
        f"ftlab/{path.name}{'/' * path.is_dir()}"
        for path in (ROOT / "ftlab").iterdir()
        if not path.name.startswith("__")
    }
    assert parts - set(mapped()) == set()


def test_every_file_that_the_text_names_exists() -> None:
    """Files of this repository: linked, or in backquotes below one of its folders."""
    linked = [path for path in re.findall(r"\]\(([^)#]+)\)", ALL) if "://" not in path]
    quoted = re.findall(r"`((?:ftlab|conf|tests|notebooks)/[\w/.]+)`", ALL)
    paths = [path for path in linked + quoted if "NAME" not in path]
    assert len(paths) > 15
    there = (ROOT, ROOT / "ftlab/manual")  # a link is from where its page lies
    assert [path for path in paths if not any((folder / path).exists() for folder in there)] == []


def table_of(group: str) -> str:
    """The rows of the table whose head names a group."""
    found = re.search(rf"^\| `{group}=` \|.*\n\|---.*\n((?:\|.*\n)+)", ALL, re.MULTILINE)
    assert found, group
    return found[1]


@pytest.mark.parametrize(
    "option",
    sorted(
        (path.parent.name, path.stem) for path in (ROOT / "conf").glob("*/*.yaml") if path.parent.name != "backbone"
    ),
    ids="=".join,
)
def test_every_option_is_told(option: tuple[str, str]) -> None:
    group, name = option
    assert f"`{name}`" in table_of(group)


def test_the_default_options_are_marked() -> None:
    defaults = re.findall(r"^  - (\w+): (\w+)$", (ROOT / "conf/train.yaml").read_text(), re.MULTILINE)
    for group, name in defaults:
        if group not in ("backbone", "experiment"):
            assert f"`{name}` (default)" in table_of(group), group


def test_the_notice_of_the_weights_is_told_here_and_in_notice() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (package,) = [name for name in settings["dependencies"] if name.startswith("efficientnet")]
    name, version = package.split("==")
    for text in (TEXT, (ROOT / "NOTICE").read_text()):
        assert re.search(rf"{name}`? {version}", text)
        for words in ("Apache Software License 2.0", "Copyright (c) 2020, ML Illustrated"):
            assert words in text


def test_pythons_and_systems_are_told() -> None:
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert f"Python {lowest} or newer" in TEXT
    systems = TEXT.split("## Supported systems")[1].split("\n## ")[0]
    for word in (f"Python {lowest}", "Linux", "macOS", "Windows"):
        assert word in systems


def test_the_picture_is_small_enough_to_clone() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert len(pictures) == 1
    assert (ROOT / pictures[0]).stat().st_size < 200_000


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    (command,) = (block.strip() for block in blocks("bash") if RUNS_THE_TESTS in block)
    assert "\n" not in command
    assert command in (ROOT / ".ci/run").read_text().splitlines()
