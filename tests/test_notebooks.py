"""Every notebook runs from top to bottom in an empty folder, and holds no outputs in the repository."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = ("report.html", "sweep.html", "auto.html")  # that a notebook may show


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf8"))["cells"]


def code(path: Path) -> Iterator[dict[str, Any]]:
    return (cell for cell in cells(path) if cell["cell_type"] == "code")


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs(path: Path) -> None:
    assert [cell["source"] for cell in code(path) if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_of_a_notebook_says_how_it_is_run(path: Path) -> None:
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    said = "".join(first["source"])
    assert f"jupyter lab {path.relative_to(ROOT).as_posix()}\n" in said
    assert "*Run All Cells*" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_ftlab_and_what_shows_pictures(path: Path) -> None:
    lines = [line.split() for cell in code(path) for line in "".join(cell["source"]).splitlines()]
    imported = {words[1].split(".")[0] for words in lines if words and words[0] in ("import", "from")}
    assert "ftlab" in imported
    assert imported <= {"ftlab", "matplotlib", "IPython", "PIL"} | sys.stdlib_module_names


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem.startswith("01") else pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_and_leaves_a_report(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the kernel: this ftlab, wherever another is installed
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    with asyncio.Runner() as runner:  # nbclient's own loop is left open
        runner.run(client.async_execute())
    runs = [report.parent for report in (tmp_path / "runs").rglob("report.html")]
    assert runs
    assert all((run / "bundle/model.safetensors").is_file() for run in runs)
    shown = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert sum("image/png" in o.get("data", {}) for o in shown) == 2
    pages = re.findall(r'src="([^"]+)"', "".join(str(o.get("data", {}).get("text/html", "")) for o in shown))
    assert pages
    made = [page for name in PAGES for page in (tmp_path / "runs").rglob(name)]
    assert all(tmp_path / page in made for page in pages)
    assert [o.text for o in shown if o.output_type == "stream" and o.name == "stderr"] == []  # what is shown in red
