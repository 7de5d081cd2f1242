"""What a run prints of its phases while it trains."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ftlab.training.fit import prepare
from ftlab.training.trainer import only_news
from tests.training.tiny import parts_of

HEAD = "{name: head, epochs: 2, stages: {head/fc: 1, rest: frozen}}"
TOP = "{name: top, epochs: 1, stages: {head/fc: 1, backbone/top: 1, rest: frozen}}"
ALL = "{name: all, epochs: 1, stages: {rest: 1}}"
PHASES = ("strategy=phases", f"strategy.inline=[{HEAD},{TOP},{ALL}]")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def printed(folder: Path, *words: str, terminal: bool = False) -> str:
    (folder / "checkpoints").mkdir(parents=True)
    console = Console(file=StringIO(), width=80, force_terminal=terminal)
    parts, settings, make_data = parts_of(*PHASES, *words)
    trainer, module = prepare(parts, settings, make_data, folder, console)
    with only_news():
        trainer.fit(module)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def lines(folder: Path, *words: str) -> list[str]:
    """Those about phases, and what their frozen part costs."""
    return [line for line in printed(folder, *words).splitlines() if line.startswith(("phase", "frozen"))]


def test_a_phase_that_begins_says_what_its_frozen_part_costs(tmp_path: Path) -> None:
    phase, head, second, top, third = lines(tmp_path / "a", "cache=disk")
    assert (phase.split(":")[0], second.split(":")[0], third.split(":")[0]) == ("phase head", "phase top", "phase all")
    # Of 40 + 20 samples, in float32: 8 features; 6 channels of 8 x 8 and their mean. 60 * (8 + 7 * 64) * 4 bytes.
    assert head.startswith("frozen part: computed once for 60 samples, 106.9 KiB on disk, ")
    assert top == "frozen part: on disk since an earlier phase"
    _, head, *_ = lines(tmp_path / "b", "cache=disk")
    assert head.startswith("frozen part: read from disk, 106.9 KiB, ")


def test_views_of_an_augmentation_are_offered_where_it_stands_in_the_way(tmp_path: Path) -> None:
    _, head, _, top, _ = lines(tmp_path, "augment=light")
    assert head.startswith("frozen part: computed at every step; the augmentation varies")
    assert "cache.views=4" in head
    assert "of val: " in head
    assert "of val: " in top


def test_a_run_without_a_cache_says_nothing_of_it(tmp_path: Path) -> None:
    assert not [line for line in lines(tmp_path, "cache=off") if line.startswith("frozen")]


def test_on_a_terminal_the_bar_of_the_frozen_part_lies_below_that_of_the_epoch(tmp_path: Path) -> None:
    text = printed(tmp_path, terminal=True)
    assert "the frozen part, train" in text
    assert "computed once for 60 samples" in text
