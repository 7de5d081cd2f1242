"""Messages of programs with their translations, as gettext keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ftlab.data.base import Source, Splits
from ftlab.data.sources.pairs import Pair, dealt
from ftlab.data.sources.questions import Sharing
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder
from ftlab.files.gettext_file import SUFFIXES, Message, messages
from ftlab.problems import problem


class Gettext(Source):
    """A message that is there several times is one sample, whose translations are all right. What a translator has not
    looked at is left out and counted."""

    def __init__(
        self, root: str, file: str | None, longest: int | None, pairs: int | None, split: Sequence[float]
    ) -> None:
        """file: a .po or .mo; None: all of the folder. longest: characters of a text of one line; None: any text.
        pairs: how many at most, drawn by seed."""
        self.root, self.file, self.longest, self.pairs, self.split = root, file, longest, pairs, split

    def survey(self, seed: int) -> Splits:
        found: dict[str, Pair] = {}
        left: dict[str, list[str]] = {"lack a translation": [], "are fuzzy": [], "are longer or of several lines": []}
        for file in self._files():
            for one in messages(file):
                name = f"{file.name}, line {one.line}" if file.suffix == ".po" else f"{file.name}, message {one.line}"
                why = self._unfit(one)
                if why:
                    left[why].append(name)
                for text, translated in () if why else _texts(one):
                    before = found.get(text, Pair(name, text, ()))
                    found[text] = replace(before, targets=tuple(dict.fromkeys((*before.targets, translated))))
        every = [*found.values()]
        if not every:
            raise UserError(f"data.root={self.root}: no message there has a translation")
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(every), generator=generator)[: self.pairs].sort().values.tolist()
        whole = dealt([every[place] for place in drawn], Sharing(self.split, self.learned), seed)
        told = [one for why, names in left.items() for one in problem(f"messages {why}", "note", names, "left out")]
        whole.problems = (*told, *whole.problems)
        return whole

    def _files(self) -> list[Path]:
        folder = existing_folder(self.root)
        if self.file is not None:
            file = folder / Path(self.file).expanduser()
            if not file.is_file() or file.suffix not in SUFFIXES:
                raise UserError(f"data.file={self.file}: no such file; accepted: {', '.join(SUFFIXES)}")
            return [file]
        found = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
        if not found:
            raise UserError(f"data.root={self.root}: no file ends in {' or '.join(SUFFIXES)}")
        return found

    def _unfit(self, one: Message) -> str:
        """Why a message is left out; "": it is not."""
        texts = (one.text, *one.translations.values())
        if one.is_old or not all(text.strip() for text in texts):
            return "lack a translation"
        if one.is_fuzzy:
            return "are fuzzy"
        if self.longest is not None and any(len(text) > self.longest or "\n" in text.strip() for text in texts):
            return "are longer or of several lines"
        return ""


def _texts(one: Message) -> Iterator[tuple[str, str]]:
    """The message, and that of several things where there is one."""
    yield one.text.strip(), one.translations[min(one.translations)].strip()
    if one.plural:
        yield one.plural.strip(), one.translations[max(one.translations)].strip()
