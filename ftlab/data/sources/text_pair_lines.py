"""Texts with what is to be written of them in two files, a line each: line n of one belongs to line n of the other."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.base import Source, Splits
from ftlab.data.sources.pairs import Pair, dealt
from ftlab.data.sources.questions import Sharing
from ftlab.errors import UserError
from ftlab.files.folders import existing_folder


class TextPairLines(Source):
    """`val` and `test` are further pairs of files, [SOURCE, TARGET]; None: split off by seed."""

    def __init__(
        self,
        root: str,
        source_file: str,
        target_file: str,
        val: Sequence[str] | None,
        test: Sequence[str] | None,
        split: Sequence[float],
        encoding: str | None,
    ) -> None:
        self.root, self.split, self.encoding = root, split, encoding or "utf-8-sig"
        self.files = {"train": (source_file, target_file), "val": val, "test": test}

    def survey(self, seed: int) -> Splits:
        folder = existing_folder(self.root)
        pairs = [
            one
            for split, both in self.files.items()
            if both is not None
            for one in self._pairs(split, [folder / Path(file).expanduser() for file in both])
        ]
        return dealt(pairs, Sharing(self.split, self.learned), seed)

    def _pairs(self, split: str, files: Sequence[Path]) -> list[Pair]:
        """Raises: UserError for files that cannot be read, or have unlike numbers of lines."""
        sources, targets = (self._lines(file) for file in files)
        if len(sources) != len(targets):
            raise UserError(
                f"data.{split}: {files[0]} has {len(sources):,} lines and {files[1]} {len(targets):,}; accepted are "
                "files in which line n of one belongs to line n of the other"
            )
        rows = enumerate(zip(sources, targets, strict=True), start=1)
        return [Pair(f"{files[0].name}, line {line}", one, (other,), split) for line, (one, other) in rows]

    def _lines(self, file: Path) -> list[str]:
        try:  # not splitlines, nor read_text: signs within a line would end it, a lone return among them
            with file.open(encoding=self.encoding, newline="\n") as opened:
                text = opened.read().replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError, LookupError) as error:
            raise UserError(f"data: {file} cannot be read as {self.encoding} text ({error})") from error
        return text.removesuffix("\n").split("\n") if text else []
