"""What stays of a run's checkpoints, as checkpoint.keep says; a file goes once nothing can need it any more.

While a run trains, it may have to go back to the checkpoint before the last; once its report is there, to none.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftlab import pickles
from ftlab.cache.decide import gib
from ftlab.disk import flush
from ftlab.pickles import FROZEN, FROZEN_PART
from ftlab.resume import MAX_EPOCHS, epochs_from
from ftlab.run_settings import Keep
from ftlab.training.saving.files import BEST, LAST, LIGHTER, REFIT, kept, superfluous
from ftlab.training.saving.loading import IF_HOSTILE

GOES_ON = {
    "last": "ftlab train {words} 'resume_allow=[{keys}]' prolongs the run",
    "phases": "epochs come from {source}: with more there, ftlab train {words} 'resume_allow=[{keys}]' goes on",
    "best": "the run cannot be prolonged; backbone.weights={bundle} starts another one from its weights",
}


def tidy(run: Path, report: Mapping[str, Any]) -> list[str]:
    """Remove from the folder of a finished run what its `keep` does not name; a line that says so, if anything went."""
    folder, keep = run / "checkpoints", kept(report)
    gone = superfluous(run, keep)
    if not gone:
        return []
    before = size(run)
    for path in gone:
        path.unlink()
    lighten(folder)
    freed = f"{gib(before - size(run))} of {gib(before)} removed (checkpoint.keep={keep})"
    return [f"checkpoints: {freed}; {goes_on(run, keep, report)}"]


def goes_on(run: Path, keep: Keep, report: Mapping[str, Any]) -> str:
    """How a finished run is prolonged."""
    source = epochs_from(report["config"]["strategy"])
    by = report.get("prolonged_by", [MAX_EPOCHS])  # of runs of earlier versions
    words = [f"resume={run}", *(f"{key}=N" for key in by if key != MAX_EPOCHS or key == source)]
    keys = ",".join(source if key == MAX_EPOCHS else key for key in by)
    way = "phases" if keep == "last" and MAX_EPOCHS in by and source != MAX_EPOCHS else keep
    return GOES_ON[way].format(source=source, words=" ".join(words), keys=keys, bundle=run / "bundle")


def lighten(folder: Path) -> None:
    """Best weights that are not the last checkpoint, without what training would go on with; the frozen part if it is
    needed."""
    best, last = folder / BEST, folder / LAST
    if best.exists() and not (last.exists() and last.samefile(best)):
        saved = read(best)
        if saved["optimizer_states"]:
            partial = folder / LIGHTER
            try:
                pickles.save({**saved, "optimizer_states": [], "callbacks": {}}, partial)
                flush(partial)
                os.replace(partial, best)
            finally:
                partial.unlink(missing_ok=True)
    if not any(FROZEN_PART in read(path) for path in folder.glob("*.ckpt")):
        (folder / FROZEN).unlink(missing_ok=True)


def read(path: Path) -> dict:
    """A checkpoint as it lies there, without the frozen part."""
    found: dict = pickles.alone(path, str(path), "a checkpoint", IF_HOSTILE, only_look=True)
    return found


def size(run: Path) -> int:
    """Bytes of checkpoints on the disk; a file that has several names counts once."""
    there = [path.stat() for folder in (run, run / REFIT) for path in folder.glob("checkpoints/*")]
    return sum({state.st_ino: state.st_size for state in there}.values())
