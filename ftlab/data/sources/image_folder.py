"""Images in folders that bear the names of their classes, with or without folders for train, val and test."""

from collections.abc import Sequence
from pathlib import Path

from ftlab.data.sources.class_folders import ClassFolders, Sought
from ftlab.files.image_suffixes import USUAL, image_suffixes
from ftlab.inputs.images.files import ImageFiles
from ftlab.problems import Fault


class ImageFolder(ClassFolders):
    """See ClassFolders; images are decoded when their turn comes."""

    kind = "image"

    def sought(self) -> Sought:
        return Sought("image", image_suffixes(), f"Accepted are {USUAL} and others; convert them")

    def opened(self, files: Sequence[Path]) -> tuple[ImageFiles, dict[int, Fault]]:
        return ImageFiles(files), {}
