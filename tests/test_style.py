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


def test_files_stay_short_enough_to_read() -> None:
    assert [str(file) for file in FILES if len(file.read_text().splitlines()) > 300] == []
