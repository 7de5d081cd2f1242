"""A page of a title and blocks, of modes that leave nothing else."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.blocks import Block
from ftlab.files.writing import write_text
from ftlab.reports.page import template


def write_plain(path: Path, mode: str, title: str, blocks: Sequence[Block], command: str) -> None:
    """Atomically. Raises: UserError for a block that nothing draws."""
    from ftlab.reports.blocks.draw import joined

    write_text(path, template("plain.html").render(mode=mode, title=title, blocks=joined(blocks), command=command))
