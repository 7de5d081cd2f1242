"""Texts in folders that bear the names of their classes, a file each, with or without folders for each split."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.sources.class_folders import ClassFolders, Sought
from ftlab.files.text_file import TEXT_SUFFIXES, text_of
from ftlab.problems import Fault


class TextFolder(ClassFolders):
    """See ClassFolders. A file that holds nothing, or letters in another encoding, is a fault of its own.

    encoding: of all files, as Python calls it; None: UTF-8, or UTF-16 where the first bytes say so.
    """

    kind = "text"

    def __init__(
        self, root: str, split: Sequence[float], group_pattern: str | None = None, encoding: str | None = None
    ) -> None:
        super().__init__(root, split, group_pattern)
        self.encoding = encoding

    def sought(self) -> Sought:
        return Sought("text", TEXT_SUFFIXES, "Accepted is .txt; rename or convert them")

    def opened(self, files: Sequence[Path]) -> tuple[list[str], dict[int, Fault]]:
        found = [text_of(file, self.encoding) for file in files]
        texts = [one for one in found if isinstance(one, str)]
        return texts, {place: one for place, one in enumerate(found) if isinstance(one, Fault)}
