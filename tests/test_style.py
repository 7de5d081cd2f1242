"""ruff, mypy, and which part may import what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "ftlab").rglob("*.py"))


@pytest.mark.parametrize(
    "tool", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=["ruff check", "ruff format", "mypy"]
)
def test_the_code_is_clean(tool: list[str]) -> None:
    where = [] if tool == ["mypy"] else ["ftlab", "tests", "conf"]  # mypy reads its folders from pyproject.toml
    done = subprocess.run([sys.executable, "-m", *tool, *where], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imported(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide what is imported"
            yield str(node.module)


def importers(package: str) -> set[str]:
    """Files below ftlab/ that import the package or a part of it."""
    return {
        str(file.relative_to(ROOT / "ftlab"))
        for file in FILES
        if any(name == package or name.startswith(f"{package}.") for name in imported(file))
    }


def outside(package: str, *allowed: str) -> set[str]:
    return {file for file in importers(package) if not file.startswith(allowed)}


def test_there_is_code_to_look_at() -> None:
    for folder in ("strategies", "schedules", "rates", "backbones", "training"):
        assert any(file.parent.name == folder for file in FILES), folder
    assert importers("hydra")  # the reading of imports works


def test_hydra_stays_in_the_files_about_the_command_line() -> None:
    assert outside("hydra", "cli.py", "composition.py", "config.py", "overrides.py", "run.py") == set()


def test_lightning_stays_in_training() -> None:
    assert outside("lightning", "training/") == set()
    assert importers("pytorch_lightning") == set()


def test_timm_stays_in_backbones() -> None:
    assert outside("timm", "backbones/") == set()


@pytest.mark.parametrize("package", ["torch", "lightning", "torchvision", "timm"])
def test_what_decides_is_pure_python(package: str) -> None:
    decides = ("strategies/", "schedules/", "rates/")
    assert {file for file in importers(package) if file.startswith(decides)} == set()


# Who stands on whom, the ground first: a room imports from its own row and from those above it in this list.
FLOORS = (
    "errors addresses",
    "batch blocks convex disk imports overrides patterns pickles places problems rates schedules settings strategies",
    "config files resume run_settings",
    "kinds",
    "composition inputs targets",
    "backbones data",
    "heads survey",
    "model tasks",
    "bundle evaluation freezing gradients optimizers",
    "earlier",
    "cache predictor",
    "reports writers",
    "assembly cache_command prediction sweep",
    "plan_tables",
    "training",
    "cli planning",
    "__main__ run",
    "joining",
)


def room(name: str) -> str:
    """ftlab.data.splits and data/splits.py -> data."""
    return name.removeprefix("ftlab").strip("./").replace("/", ".").split(".")[0]


def test_no_import_runs_back_up() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names.split()}
    upwards = {
        (str(file.relative_to(ROOT / "ftlab")), name)
        for file in FILES
        for name in imported(file)
        if name.startswith("ftlab.") and file.parent / file.name != ROOT / "ftlab" / "__init__.py"
        if floor[room(name)] > floor[room(str(file.relative_to(ROOT / "ftlab")).removesuffix(".py"))]
    }
    assert upwards == set()


def test_no_imports_run_in_a_circle() -> None:
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in FILES}
    needs = {name: {found for found in imported(file) if found in modules} for name, file in modules.items()}
    assert needs["ftlab.run"]  # the reading of imports works
    while free := {name for name, found in needs.items() if not found & needs.keys()}:
        needs = {name: found for name, found in needs.items() if name not in free}
    assert needs == {}


# The modes, and what puts a run together; everything behind takes plain typed values.
AT_THE_DOOR = ("run", "cli", "composition", "config", "resume", "assembly", "survey", "planning", "run_settings",
               "cache_command", "earlier")  # fmt: skip


def test_the_config_stops_at_the_door() -> None:
    keys = {
        f"{file.relative_to(ROOT / 'ftlab')}: {ast.unparse(node.value)}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        if ast.unparse(node.value).split(".")[-1] in ("settings", "config")
        if str(file.relative_to(ROOT / "ftlab")).removesuffix(".py") not in AT_THE_DOOR
    }
    assert keys == {"backbones/image.py: config"}  # timm's own of a network


def test_files_stay_short_enough_to_read() -> None:
    assert [str(file) for file in FILES if len(file.read_text().splitlines()) > 300] == []
