"""Any torchvision data set of images and classes that is already on disk."""

import inspect
from collections.abc import Sequence
from typing import Any

from torchvision import datasets

from ftlab.data.base import Source, Splits
from ftlab.data.datasets import from_datasets
from ftlab.data.splits import complete
from ftlab.errors import UserError, choices
from ftlab.files.folders import existing_folder
from ftlab.files.paths import printable

# What torchvision's classes call their splits; OxfordIIITPet has trainval only.
NAMES = {"train": ("train", "trainval"), "val": ("val", "valid"), "test": ("test",)}


class TorchvisionDataset(Source):
    """A class of torchvision.datasets that takes `root` and either `train` or `split`; nothing is downloaded.

    Raises (survey): UserError, naming the class and the folder.
    """

    def __init__(self, dataset: str, root: str, split: Sequence[float]) -> None:
        self.dataset = dataset
        self.root = root
        self.split = split

    def survey(self, seed: int) -> Splits:
        accepted = loadable()
        if self.dataset not in accepted:
            raise UserError(f"data.dataset={self.dataset} cannot be used; {choices(self.dataset, accepted)}")
        root = str(existing_folder(self.root))
        cls = accepted[self.dataset]
        sets = {name: self._open(cls, root, name) for name in NAMES}
        whole = from_datasets(sets["train"], sets["val"], sets["test"])
        train, val, test, warnings = complete(whole.target, whole.train, whole.val, whole.test, self.split, seed)
        return Splits(train, val, test, whole.target, warnings)

    def _open(self, cls: type, root: str, split: str) -> Any:
        """The data set of a split, None if the class has no such split."""
        parameters = inspect.signature(cls).parameters
        off = {"download": False} if "download" in parameters else {}
        try:
            if "train" in parameters:
                return None if split == "val" else cls(root, train=split == "train", **off)
            for name in NAMES[split]:
                try:
                    return cls(root, split=name, **off)
                except ValueError as error:  # how torchvision says that it does not know the split's name
                    unknown = error
        except ImportError as error:
            raise UserError(f"data.dataset={self.dataset} needs the package {error.name}: install it.") from error
        except (RuntimeError, OSError) as error:
            fetch = f"torchvision.datasets.{self.dataset}({printable(root)!r}, download=True)"
            way = f"; to fetch it: {fetch}" if off else ", and torchvision cannot fetch it"
            reason = str(error).partition(". ")[0]
            raise UserError(
                f"{self.dataset} ({split}) is not in data.root={printable(root)} ({reason}){way}."
            ) from error
        if split == "train":
            raise UserError(f"data.dataset={self.dataset}: {unknown}") from unknown
        return None


def loadable() -> dict[str, type]:
    """Classes of torchvision.datasets that have one target an image and need only root and a split, by name."""
    known = {name: getattr(datasets, name) for name in datasets.__all__}
    return {name: cls for name, cls in known.items() if _fits(inspect.signature(cls).parameters)}


def _fits(parameters: Any) -> bool:
    extra = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = {name for name, part in parameters.items() if part.default is part.empty and part.kind not in extra}
    # Flow and stereo sets have no transform of targets; ImageNet takes it among its keywords.
    pairs = "target_transform" in parameters or any(part.kind in extra for part in parameters.values())
    return pairs and bool({"train", "split"} & set(parameters)) and needed == {"root"}
