"""Big imports are not searched for garbage, and nobody's program is treated so but our own."""

import subprocess
import sys
from pathlib import Path

import pytest

import ftlab

SAYS = "import gc; print(gc.get_freeze_count() > 100_000, gc.isenabled())"


def said(*lines: str) -> tuple[str, str]:
    """What a new Python writes that runs these lines."""
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


PAUSED = ("from ftlab.imports import uncollected", "with uncollected(): import ftlab.training.fit")


def test_big_imports_are_set_aside_and_the_search_goes_on_afterwards() -> None:
    out, errors = said(*PAUSED, SAYS)
    assert out.split() == ["True", "True"]
    assert errors == ""  # at the end of the process nothing is reported as a leak


def test_the_command_line_imports_so(tmp_path: Path) -> None:
    main = "from ftlab.cli import main; main(['plan', 'backbone.pretrained=false'])"
    out, _ = said("import contextlib, io", f"with contextlib.redirect_stdout(io.StringIO()): {main}", SAYS)
    assert out.split() == ["True", "True"]


def test_the_garbage_of_a_program_that_uses_ftlab_is_found_as_before() -> None:
    out, _ = said("import gc, ftlab", "ftlab.train, ftlab.compose", "print(gc.get_freeze_count(), gc.isenabled())")
    assert out.split() == ["0", "True"]


def test_a_program_that_has_torch_already_keeps_its_search() -> None:
    out, _ = said("import torch", *PAUSED, SAYS)
    assert out.split() == ["False", "True"]


@pytest.mark.slow
def test_a_program_that_has_switched_the_search_off_finds_it_off() -> None:
    out, _ = said("import gc", "gc.disable()", *PAUSED, SAYS)
    assert out.split() == ["False", "False"]


def test_an_import_that_fails_leaves_the_search_on() -> None:
    lines = ("import gc", "from ftlab.imports import uncollected", "try:", " with uncollected(): 1 / 0")
    out, _ = said(*lines, "except ZeroDivisionError: print(gc.isenabled())")
    assert out == "True"


def test_every_public_name_is_where_it_is_said_to_be_and_no_module_takes_its_place() -> None:
    for name in ftlab.__all__:
        found = getattr(ftlab, name)  # imports its home, and a module ftlab.NAME, were there one, would lie there after
        assert found is getattr(ftlab, name)
        assert callable(found), name
