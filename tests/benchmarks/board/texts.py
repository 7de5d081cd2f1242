"""Public sets of texts at three sizes: descriptions of SciPy's functions in ten classes, and e-mails, spam or not.

What val and test hold is the same at each size, few of val since each epoch reads them all.
"""

import shutil
from pathlib import Path

from tests.benchmarks import spam
from tests.benchmarks.board.base import Set

DOCSTRINGS = ("data=docstrings", "data.split=[0.75,0.08,0.17]")
SPAM = ("data=text_csv", "data.file=spam.jsonl", "data.split=[0.88,0.03,0.09]")


def nothing(folder: Path) -> None:
    """The texts come with a package."""


def e_mails(folder: Path) -> None:
    if not spam.FILE.is_file():
        raise SystemExit(f"{spam.FILE} is not there: python -m tests.benchmarks.spam")
    shutil.copy(spam.FILE, folder / "spam.jsonl")


SETS = (
    Set("docstrings 100", "text", (*DOCSTRINGS, "subset=100"), nothing),
    Set("docstrings 1000", "text", (*DOCSTRINGS, "subset=1000"), nothing),
    Set("docstrings all", "text", DOCSTRINGS, nothing, seeds=1),
    Set("spam 100", "text", (*SPAM, "subset=100"), e_mails),
    Set("spam 1000", "text", (*SPAM, "subset=1000"), e_mails),
    Set("spam all", "text", SPAM, e_mails, seeds=1),
)
