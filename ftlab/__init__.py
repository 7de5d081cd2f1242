"""ftlab: fine-tune pretrained networks by phases, and prove that what is frozen stays frozen.

The public names, imported on first use so that `import ftlab` stays quick.
"""

from importlib import import_module
from typing import Any

from ftlab.imports import without_bars

__version__ = "0.1.0"

_HOMES = {
    "compose": "ftlab.composition",
    "conf_dir": "ftlab.composition",
    "train": "ftlab.run",
    "plan": "ftlab.run",
    "evaluate": "ftlab.run",
    "load": "ftlab.predictor",
    "from_datasets": "ftlab.data.datasets",
    "ModuleBackbone": "ftlab.backbones.module",
    "Preprocessing": "ftlab.inputs.images.preprocessing",
    "UserError": "ftlab.errors",
}
__all__ = [
    "ModuleBackbone",
    "Preprocessing",
    "UserError",
    "compose",
    "conf_dir",
    "evaluate",
    "from_datasets",
    "load",
    "plan",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ftlab' has no attribute '{name}'")
    without_bars()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
