"""What the terminal showed lies in the run's folder, and what was only drawn there does not."""

import io
import sys
import warnings
from pathlib import Path

import pytest
from rich.progress import track
from rich.table import Table

from ftlab.errors import UserError
from ftlab.log import FILE, logged


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(folder: Path) -> list[str]:
    """Those of the log, without the first, which says when and what."""
    return (folder / FILE).read_text(encoding="utf-8").splitlines()[1:]


def test_whatever_way_a_line_comes_to_the_terminal_it_is_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table("epoch", "loss")
    table.add_row("1", "0.5 …")
    with logged(tmp_path, "ftlab train seed=1") as console:
        console.print("[bold]the plan[/bold]")
        console.print(table)
        print("a line of a data set of one's own")
        print("not ended", end="")
    shown = capsys.readouterr().out
    assert (tmp_path / FILE).read_text(encoding="utf-8").splitlines()[0].endswith("  ftlab train seed=1")
    assert lines(tmp_path) == shown.splitlines()
    assert "the plan" in lines(tmp_path)


def test_the_blanks_that_fill_a_line_are_not_in_the_log(tmp_path: Path) -> None:
    table = Table.grid("key", "value", padding=(0, 2))
    for value in ("long and longer", "short"):
        table.add_row("data", value)
    with logged(tmp_path, "") as console:
        console.print(table)
        console.print("begun ", end="")
        console.print("and ended")
        print("  a line of another  ")
    assert lines(tmp_path) == ["data  long and longer", "data  short", "begun and ended", "  a line of another"]


def test_warnings_and_other_lines_of_standard_error_are_in_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logged(tmp_path, ""):  # pytest takes warnings away; this is what Python does with one
        text = warnings.formatwarning("images are decoded in every epoch", UserWarning, "decoded.py", 191, "")
        sys.stderr.write(text)
        print("\x1b[33mftlab: saving\x1b[0m", file=sys.stderr)
    first, *_, last = lines(tmp_path)
    assert "UserWarning: images are decoded in every epoch" in first
    assert last == "ftlab: saving"  # the colour stays on the terminal
    assert "\x1b[33mftlab: saving" in capsys.readouterr().err


def test_bars_are_drawn_on_the_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    with logged(tmp_path, "") as console:
        for step in track(range(3), "the frozen part", console=console, transient=True):
            console.print(f"line {step}")
            print(f"print {step}")
        sys.stderr.write("\rloading 10 %\rloading 100 %\n")
    assert "the frozen part" in terminal.getvalue()
    assert lines(tmp_path) == ["line 0", "print 0", "line 1", "print 1", "line 2", "print 2"]


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (UserError("loss is nan in epoch 2"), "ftlab: loss is nan in epoch 2"),
        (KeyboardInterrupt(), "ftlab: interrupted"),
        (ZeroDivisionError("a defect"), "ZeroDivisionError: a defect"),
    ],
)
def test_how_a_run_ended_is_its_last_line(tmp_path: Path, error: BaseException, last: str) -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(type(error)), logged(tmp_path, ""):
        raise error
    assert lines(tmp_path)[-1] == last
    assert ("Traceback (most recent call last):" in lines(tmp_path)) == isinstance(error, ZeroDivisionError)
    assert (sys.stdout, sys.stderr) == before


def test_a_run_that_goes_on_adds_to_it(tmp_path: Path) -> None:
    for command in ("ftlab train", "ftlab train resume=runs/long"):
        with logged(tmp_path, command) as console:
            console.print(f"says {command}")
    _, first, second, last = (tmp_path / FILE).read_text().splitlines()
    assert (first, last) == ("says ftlab train", "says ftlab train resume=runs/long")
    assert second.endswith("  ftlab train resume=runs/long")
