"""ruff, mypy, and which part may import what."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
    about = (
        "cli.py",
        "jobs.py",
        "composition.py",
        "config.py",
        "overrides.py",
        "run.py",
        "search/",
        "choosing/sweeper.py",
    )
    assert outside("hydra", *about) == set()


def test_lightning_stays_in_training() -> None:
    assert outside("lightning", "training/") == set()
    assert importers("pytorch_lightning") == set()


def test_timm_stays_in_backbones() -> None:
    assert outside("timm", "backbones/") == set()


def test_peft_stays_in_adapters() -> None:
    assert outside("peft", "adapters/") == set()


@pytest.mark.parametrize("package", ["torch", "lightning", "torchvision", "timm"])
def test_what_decides_is_pure_python(package: str) -> None:
    decides = ("strategies/", "schedules/", "rates/")
    assert {file for file in importers(package) if file.startswith(decides)} == set()


# Who stands on whom, the ground first: a room imports from its own row and from those above it in this list.
FLOORS = (
    "errors addresses frames log streams",
    "batch blocks convex disk exits guesses imports overrides patterns pickles",
    "places problems rates schedules setting_types",
    "settings strategies yaml_text",
    "config files resume run_settings",
    "kinds modes starting",
    "composition inputs targets",
    "backbones data",
    "heads sized survey",
    "matching model tasks",
    "adapters bundle evaluation freezing gradients optimizers watchers",
    "earlier",
    "cache predictor",
    "reports writers",
    "assembly cache_command comparing help_command picture_writers measuring portable prediction sweep",
    "completion exports plan_tables search",
    "training",
    "choosing continuing finishing refit",
    "cli jobs planning",
    "__main__ explaining export_command rate_command run serving",
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
               "cache_command", "comparing", "continuing", "earlier", "export_command", "rate_command", "refit",
               "sized", "explaining/command", "serving/command", "starting", "choosing/command",
               "choosing/sweeper")  # fmt: skip


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


KIND_FOLDERS = ("targets/", "inputs/")
ELSEWHERE = [file for file in FILES if not str(file.relative_to(ROOT / "ftlab")).startswith(KIND_FOLDERS)]


def kinds() -> dict[str, str]:
    """The kinds of inputs and targets: by the name of the class what it calls its `kind`."""
    bodies = {
        node.name: {
            part.target.id: part.value.value
            for part in node.body
            if isinstance(part, ast.AnnAssign)
            if isinstance(part.target, ast.Name) and isinstance(part.value, ast.Constant)
        }
        for file in FILES
        if file not in ELSEWHERE
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    return {name: body["kind"] for name, body in bodies.items() if "kind" in body}


def of(known: Mapping[str, str], node: ast.AST) -> set[str]:
    """The kinds that one side of a comparison names, as a text, as a class, or among several of these."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    parts = [side for part in parts for side in ([part.left, part.right] if isinstance(part, ast.BinOp) else [part])]
    texts = {part.value for part in parts if isinstance(part, ast.Constant)} & {*known.values()}
    return texts | {name for part in parts if (name := named(part)) in known}


def named(node: ast.AST) -> str:
    """x.targets, x.targets() and targets -> targets"""
    if isinstance(node, ast.Call):
        return named(node.func) if isinstance(node.func, ast.Attribute) else ""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def told_apart(known: Mapping[str, str], node: ast.AST) -> set[str]:
    """The kinds that a piece of code tells from others: by a comparison, a case, isinstance."""
    match node:
        case ast.Compare(left=ast.Constant(), ops=[ast.In() | ast.NotIn()]):
            return set()  # a key of a file
        case ast.Compare():
            return set().union(*(of(known, side) for side in (node.left, *node.comparators)))
        case ast.MatchValue():
            return of(known, node.value)
        case ast.MatchClass():
            return of(known, node.cls)
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, which]):
            return of(known, which)
    return set()


def held_for_true(node: ast.AST) -> list[ast.AST]:
    """The expressions whose truth value a piece of code asks for."""
    match node:
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return [node.test]
        case ast.BoolOp():
            return [*node.values]
        case ast.UnaryOp(op=ast.Not()):
            return [node.operand]
        case ast.comprehension():
            return [*node.ifs]
        case ast.Call(func=ast.Name(id="bool")):
            return [*node.args]
    return []


def doubted(node: ast.AST) -> list[ast.AST]:
    """The targets, or kinds of targets, among these expressions."""
    asked = held_for_true(node)
    return [
        x for x in asked if named(x) == "targets" or (isinstance(x, ast.Attribute) and x.attr in ("target", "column"))
    ]


def test_no_code_outside_of_the_kinds_tells_kinds_of_inputs_and_targets_apart() -> None:
    known = kinds()
    assert {"Classes", "Labels", "Numbers", "Preprocessing"} < known.keys()  # the reading of kinds works
    for code in ("x.kind == 'image'", "x in ('table',)", "isinstance(x, Classes | Numbers)", "type(x) is Labels"):
        assert any(told_apart(known, node) for node in ast.walk(ast.parse(code))), code
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {', '.join(same)}"  # type: ignore[attr-defined]  # it has told one
        for file in ELSEWHERE
        for node in ast.walk(ast.parse(file.read_text()))
        if (same := told_apart(known, node))
    ]
    assert found == []


def test_targets_have_no_truth_value() -> None:
    """Of a tensor it is an error, and of what has a length whether there are any: neither says which kind it is."""
    for code in ("if x.targets: pass", "not x.targets()", "x.target or y", "[1 for x in y if x.targets]"):
        assert any(doubted(node) for node in ast.walk(ast.parse(code))), code
    found = [
        f"{file.relative_to(ROOT)}:{asked.lineno}"  # type: ignore[attr-defined]  # an expression
        for file in ELSEWHERE
        for node in ast.walk(ast.parse(file.read_text()))
        for asked in doubted(node)
    ]
    assert found == []


def test_files_stay_short_enough_to_read() -> None:
    assert [str(file) for file in FILES if len(file.read_text().splitlines()) > 300] == []
