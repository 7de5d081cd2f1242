"""The wheel holds everything and works from any folder."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


def folders_with_code() -> set[str]:
    inside = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "ftlab").rglob("__init__.py")}
    return inside | {"ftlab.conf"}


def test_the_list_of_packages_is_complete() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(settings["tool"]["setuptools"]["packages"]) == folders_with_code()
    assert (ROOT / "conf" / "__init__.py").is_file()


def test_every_folder_with_code_is_a_package() -> None:
    bare = [file for file in (ROOT / "ftlab").rglob("*.py") if not (file.parent / "__init__.py").is_file()]
    assert bare == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder of before is in it and none stays in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("ftlab", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = target.glob("*.whl")
    return file


def test_the_wheel_holds_every_module_every_option_and_every_page(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    options = {f"ftlab/conf/{file.relative_to(ROOT / 'conf')}" for file in (ROOT / "conf").rglob("*.yaml")}
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "ftlab").rglob("*.py")}
    pages = {str(file.relative_to(ROOT)) for file in (ROOT / "ftlab").rglob("*.html")}
    assert len(options) > 10
    assert len(pages) >= 1
    assert options | modules | pages <= inside


def test_the_wheel_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(site)

    def ftlab(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ftlab", *words]
        environment = os.environ | {"PYTHONPATH": str(site)}
        return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ftlab("--version").stdout == f"ftlab {version}\n"
    shown = ftlab("train", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "strategy: " in shown.stdout
    assert str(site / "ftlab" / "conf") in ftlab("train", "--info", "searchpath").stdout
    assert list(elsewhere.iterdir()) == []
