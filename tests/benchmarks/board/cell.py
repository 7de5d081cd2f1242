"""One cell in a process of its own: python -m tests.benchmarks.board.cell SET ROW SEED FILE, where its figures go."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.board.base import named
from tests.benchmarks.board.every import ROWS, SETS


def run(name: str, row: str, seed: int, file: Path) -> None:
    board = named(SETS, name)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        board.write(Path())
        wall, cpu = time.perf_counter(), time.process_time()
        figure = ROWS[board.kind][row](board, seed)
        spent = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        os.chdir("/")
    file.write_text(json.dumps({"figure": figure, **spent}))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
