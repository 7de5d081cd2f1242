"""The untouched command beside plain recipes on public data: python -m tests.benchmarks.defaults prints the tables.

Each cell (set, row, seed) is measured in a process of its own and kept in --cells, by a key that changes with what it
measures, so that a board that was ended goes on. --older takes cells of ftlab's own rows that other code gave too.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.benchmarks.board import tally
from tests.benchmarks.board.base import HIGHER, Set
from tests.benchmarks.board.every import ROWS, SETS

ROOT = Path(__file__).parents[2]
OURS = ("default", "ours: ")  # how the names of ftlab's own rows begin
Cell = dict[str, Any]


def main(words: Sequence[str]) -> None:
    asked = arguments(words)
    kept = read(asked.cells)
    wanted = [cell for cell in every() if chosen(cell, asked)]
    for number, (board, row, seed) in enumerate(wanted, start=1):
        if found(kept, board, row, seed, asked.older) or asked.show:
            continue
        began = time.perf_counter()
        cell = {"key": key(board, row, seed), "set": board.name, "row": row, "seed": seed} | measure(board, row, seed)
        kept.append(cell)
        with asked.cells.open("a") as stream:
            stream.write(json.dumps(cell) + "\n")
        said = cell.get("error") or f"{board.metric} {cell['figure']:.4f}"
        took = time.perf_counter() - began
        print(f"{number}/{len(wanted)}  {board.name}  {row}  seed {seed}  {said}  {took:.0f} s", file=sys.stderr)
    print("\n\n".join(tables(wanted, kept, asked.older)))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.defaults", description=__doc__)
    parser.add_argument("--cells", type=Path, default=Path("board.jsonl"), help="file of the cells that were measured")
    parser.add_argument("--sets", default="*", help="names or patterns, with commas between")
    parser.add_argument("--rows", default="*", help="names or patterns, with commas between")
    parser.add_argument("--seeds", type=int, default=3, help="at most so many of each set")
    parser.add_argument("--older", action="store_true", help="take cells of other code too, and count them")
    parser.add_argument("--show", action="store_true", help="measure nothing")
    return parser.parse_args(words)


def every() -> Iterator[tuple[Set, str, int]]:
    for board in SETS:
        for row in board.rows or ROWS[board.kind]:
            for seed in range(board.seeds):
                yield board, row, seed


def chosen(cell: tuple[Set, str, int], asked: argparse.Namespace) -> bool:
    board, row, seed = cell
    by_name = ((board.name, asked.sets), (row, asked.rows))
    return seed < asked.seeds and all(any(fnmatch(name, one) for one in to.split(",")) for name, to in by_name)


def measure(board: Set, row: str, seed: int) -> Cell:
    """{figure, seconds, cpu_seconds}, or {error} with the last line that it said."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cell.json"
        words = [sys.executable, "-m", "tests.benchmarks.board.cell", board.name, row, str(seed), str(file)]
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
        if file.is_file():
            return dict(json.loads(file.read_text()))
        return {"error": (ended.stderr.strip().splitlines() or ["no word"])[-1]}


# --- cells that are kept


def key(board: Set, row: str, seed: int) -> str:
    code = digest() if row.startswith(OURS) else ""
    return hashlib.sha256(repr((board.name, board.words, row, seed, code)).encode()).hexdigest()[:16]


def digest() -> str:
    """Of all that a run of ftlab does."""
    files = sorted([*(ROOT / "ftlab").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")])
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def read(file: Path) -> list[Cell]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def found(kept: Sequence[Cell], board: Set, row: str, seed: int, older: bool) -> Cell | None:
    """The last one that was measured of this key, or under `older` of these names."""
    exact = [cell for cell in kept if cell["key"] == key(board, row, seed) and "figure" in cell]
    names = {"set": board.name, "row": row, "seed": seed}
    alike = [cell for cell in kept if older and "figure" in cell and names.items() <= cell.items()]
    return (exact or alike or [None])[-1]


# --- what is printed


def tables(wanted: Sequence[tuple[Set, str, int]], kept: Sequence[Cell], older: bool) -> Iterator[str]:
    """One Markdown table a kind of input: a line a row, a column a set; then who is behind, then ranks."""
    cells = {cell: found(kept, *cell, older) for cell in wanted}
    for kind in dict.fromkeys(board.kind for board, _, _ in wanted):
        sets = list(dict.fromkeys(board for board, _, _ in wanted if board.kind == kind))
        figures: dict[str, dict[str, dict[int, float]]] = {board.name: {} for board in sets}
        seconds: dict[tuple[str, str], list[float]] = {}
        for (board, row, seed), cell in cells.items():
            if cell and board.kind == kind:
                figures[board.name].setdefault(row, {})[seed] = cell["figure"]
                seconds.setdefault((board.name, row), []).append(cell["seconds"])
        higher = {board.name: HIGHER[board.metric] for board in sets}
        rank = tally.ranks(figures, higher)
        rows = sorted(rank, key=lambda row: rank[row])
        head = ["", *(f"{board.name} ({board.metric})" for board in sets), "mean rank (0 best, 1 worst)"]
        lines = [head, ["---"] * len(head)]
        for row in rows:
            texts = [text(figures[board.name].get(row), seconds.get((board.name, row))) for board in sets]
            lines.append([row, *texts, f"{rank[row]:.2f}"])
        yield "\n".join(f"| {' | '.join(line)} |" for line in lines)
        yield "\n".join(verdict(board, figures[board.name]) for board in sets)
    missing = sum(cell is None for cell in cells.values())
    stale = sum(cell is not None and cell["key"] != key(*of) for of, cell in cells.items())
    yield f"{len(cells) - missing} of {len(cells)} cells are measured, {stale} of them by other code."


def text(figures: dict[int, float] | None, seconds: list[float] | None) -> str:
    if not figures or not seconds:
        return ""
    spread = f" ± {tally.error(list(figures.values())):.4f}" if len(figures) > 1 else ""
    return f"{tally.mean(figures):.4f}{spread}, {sum(seconds) / len(seconds):.0f} s"


def verdict(board: Set, figures: dict[str, dict[int, float]]) -> str:
    behind = tally.behind(figures, HIGHER[board.metric])
    if behind is None:
        return f"- {board.name}: nothing to compare"
    lost = tally.loses(behind, tally.mean(figures[tally.DEFAULT]))
    where = f"{abs(behind.gap):.4f} ± {behind.error:.4f} {'behind' if behind.gap > 0 else 'ahead of'} {behind.row}"
    return f"- {board.name}: {'**behind**, ' if lost else ''}{where}"


if __name__ == "__main__":
    main(sys.argv[1:])
