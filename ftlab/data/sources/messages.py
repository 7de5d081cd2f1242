"""Messages of the programs of this machine, in English and in another language: real texts that need no download.

Debian and other systems with GNU's programs keep them in /usr/share/locale; which programs there are, and so which
messages, differs from machine to machine.
"""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.base import Source, Splits
from ftlab.data.sources.gettext import Gettext
from ftlab.errors import UserError, choices


class Messages(Source):
    """language: as folders there are called, such as es. longest, pairs: see Gettext."""

    def __init__(self, root: str, language: str, longest: int, pairs: int, split: Sequence[float]) -> None:
        self.root, self.language, self.longest, self.pairs, self.split = root, language, longest, pairs, split

    def survey(self, seed: int) -> Splits:
        """Raises: UserError where the machine has no messages in the language."""
        folder = Path(self.root) / self.language
        if not any(folder.rglob("*.mo")):
            there = sorted(path.name for path in Path(self.root).glob("*") if any(path.rglob("*.mo")))
            ways = choices(self.language, there) if there else "give pairs of your own by data=text_pairs"
            raise UserError(f"data.language={self.language}: no messages of programs in {self.root}; {ways}")
        made = Gettext(str(folder), None, self.longest, self.pairs, self.split)
        made.learned = self.learned
        return made.survey(seed)
