"""Texts without labels: a text file with one in each line, as they are gathered to learn a language from."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.base import Samples, Source, Splits
from ftlab.data.splits import complete
from ftlab.errors import UserError
from ftlab.files.csv_file import CsvFile
from ftlab.files.dialect import decoded, dialect
from ftlab.files.folders import existing_folder
from ftlab.problems import problem
from ftlab.targets.masked_tokens import MaskedTokens, column


class TextLines(Source):
    """Lines that hold nothing but blanks only part others, and are left out.

    Raises (read): UserError for a file that is no text or has no line, and for a task that asks for labels.
    """

    def __init__(self, root: str, file: str, split: Sequence[float], encoding: str | None) -> None:
        self.root, self.split, self.encoding = root, split, encoding
        self.file = CsvFile(file, Path(root).expanduser(), dialect=dialect(None, None, encoding))

    def survey(self, seed: int) -> Splits:
        if self.target_kind not in ("", MaskedTokens.kind):
            raise UserError(
                "data=text_lines: its texts have no labels; accepted is task=masked_language. data=text_csv has labels"
            )
        existing_folder(self.root)
        try:
            text, encoding = decoded(self.file.existing().read_bytes(), self.encoding)
        except ValueError as error:
            raise self.file.error(str(error)) from error
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if not lines:
            raise self.file.error("the file has no line of text")
        names = [self.file.row(number) for number, _ in lines]
        whole = Samples([line for _, line in lines], column(len(lines)), names)
        train, val, test, said = complete(MaskedTokens(), whole, None, None, self.split, seed)
        guessed = self.encoding is None and encoding not in ("utf-8", "utf-8-sig")
        told = problem(f"file is read as {encoding}", "note", [self.file.shown]) if guessed else []
        return Splits(train, val, test, MaskedTokens(), said, tuple(told), kind="text")
