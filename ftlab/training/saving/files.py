"""The names of a run's checkpoints, and those that a finished run does without. Nothing here imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftlab.run_settings import Keep

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
LIGHTER = "best.partial"  # the best weights while they are written anew, without the optimizer's state
PHASES = "phase-*-best.ckpt"
REFIT = "refit"  # in a run's folder: that of its second fit, see ftlab/refit.py


def superfluous(run: Path, keep: Keep) -> list[Path]:
    """What lies there of the checkpoints of a finished run that `keep` does not name; of a refit none is needed:
    where the run is prolonged, it begins anew."""
    if keep == "all":
        return []
    folder, names = run / "checkpoints", [PREVIOUS, LIGHTER, *([LAST] if keep == "best" else [])]
    own = [*(folder / name for name in names if (folder / name).exists()), *sorted(folder.glob(PHASES))]
    return [*own, *sorted((run / REFIT / "checkpoints").glob("*"))]


def kept(report: Mapping[str, Any]) -> Keep:
    """What the run was told to keep; those of earlier versions kept all."""
    keep: Keep = report["config"]["checkpoint"].get("keep", "all")
    return keep
