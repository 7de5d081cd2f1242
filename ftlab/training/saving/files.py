"""The names of a run's checkpoints, and those that a finished run does without. Nothing here imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftlab.run_settings import Keep

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
LIGHTER = "best.partial"  # the best weights while they are written anew, without the optimizer's state
PHASES = "phase-*-best.ckpt"


def superfluous(folder: Path, keep: Keep) -> list[Path]:
    """What lies there of the checkpoints of a finished run that `keep` does not name."""
    if keep == "all":
        return []
    names = [PREVIOUS, LIGHTER, *([LAST] if keep == "best" else [])]
    return [*(folder / name for name in names if (folder / name).exists()), *sorted(folder.glob(PHASES))]


def kept(report: Mapping[str, Any]) -> Keep:
    """What the run was told to keep; those of earlier versions kept all."""
    keep: Keep = report["config"]["checkpoint"].get("keep", "all")
    return keep
