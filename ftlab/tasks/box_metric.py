"""Boxes of a split that were found, beside the true ones, and COCO's figures of them.

In a file of its own, since importing torchmetrics takes a second.

Shapes: n images, d boxes that are found, m true ones, k classes.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ftlab.errors import UserError
from ftlab.targets.ragged import Parts, Ragged
from ftlab.tasks.box_matches import mean_iou

FOUND, TRUE = ("boxes", "scores", "labels"), ("boxes", "labels", "crowd")
# COCO's own; those of torchmetrics are rounded to 32 bits, and a recall of exactly 0.1 then misses its place.
IOUS, RECALLS = np.linspace(0.5, 0.95, 10).tolist(), np.linspace(0, 1, 101).tolist()
MOST = 100  # boxes of an image that COCO's figures look at; all where task.most, or tiles, give one more than these
AT_50, ALL_AREAS, LAST = 0, 0, -1  # places in COCO's arrays: IoU 0.5, objects of every size, MOST boxes


class Gathered(Metric):
    """All boxes of a split, or `figures` of them; several ranks may hold uneven numbers of images and boxes."""

    full_state_update = False

    def __init__(self, classes: Sequence[str], figures: bool) -> None:
        """Raises: UserError where the package is not installed that computes the figures."""
        super().__init__()
        if find_spec("faster_coco_eval") is None:
            raise UserError("task=detection: its figures need faster-coco-eval: pip install faster-coco-eval")
        self.classes, self.gives_figures = classes, figures
        for name in (
            *(f"found_{part}" for part in (*FOUND, "counts")),
            *(f"true_{part}" for part in (*TRUE, "counts")),
        ):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, found: Sequence[Parts], true: Ragged) -> None:
        """found: of each image boxes (d, 4), scores (d,), labels (d,)."""
        for part in FOUND:
            getattr(self, f"found_{part}").append(torch.cat([one[part] for one in found]))
        for part in TRUE:
            getattr(self, f"true_{part}").append(true.rows[part])
        counts = torch.tensor([len(one["scores"]) for one in found], device=true.counts.device)
        getattr(self, "found_counts").append(counts)  # noqa: B009  (a state, which mypy does not know)
        getattr(self, "true_counts").append(true.counts)  # noqa: B009

    def images(self, side: str, parts: Sequence[str]) -> Ragged:
        states = {part: dim_zero_cat(getattr(self, f"{side}_{part}")).cpu() for part in (*parts, "counts")}
        counts = states.pop("counts")
        return Ragged(states, counts)

    def compute(self) -> Any:
        """{name: ()} of all figures, NaN where nothing defines one; or (found, true), each Ragged of all images."""
        found, true = self.images("found", FOUND), self.images("true", TRUE)
        return coco_figures(found, true, self.classes) if self.gives_figures else (found, true)


def coco_figures(found: Ragged, true: Ragged, classes: Sequence[str]) -> dict[str, Tensor]:
    """COCO's figures, map of each class by map/CLASS, and the mean IoU of the boxes that are found at 0.5."""
    from torchmetrics.detection import MeanAveragePrecision

    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)  # it tells every step
    most = max(MOST, int(found.counts.max())) if len(found) else MOST
    metric = MeanAveragePrecision(
        iou_thresholds=IOUS, rec_thresholds=RECALLS, extended_summary=True, backend="faster_coco_eval",
        sync_on_compute=False, max_detection_thresholds=[1, 10, most],
    )  # fmt: skip
    metric.warn_on_many_detections = False
    metric.update(found.samples(), [{**one, "iscrowd": one["crowd"].long()} for one in true.samples()])
    values = metric.compute()
    names = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
    figures = {name: values[name].reshape(()).double() for name in names}
    figures[f"mar_{MOST}"] = values[f"mar_{most}"].reshape(()).double()
    figures["mean_iou"] = torch.tensor(mean_iou(found.samples(), true.samples()), dtype=torch.float64)
    each = dict(zip(values["classes"].reshape(-1).tolist(), of_classes(values), strict=True))
    figures |= {f"map/{name}": torch.tensor(each.get(k, -1.0)).double() for k, name in enumerate(classes)}
    return {name: torch.where(value < 0, torch.nan, value) for name, value in figures.items()}


def of_classes(values: dict[str, Tensor]) -> list[float]:
    """map of each class that is there, -1 of one without true boxes; from COCO's precision (IoUs, recalls, classes,
    areas, boxes an image), in which -1 stands for none."""
    if "precision" not in values:
        return []
    precision = values["precision"][:, :, :, ALL_AREAS, LAST]
    return [float(one[one > -1].mean()) if (one > -1).any() else -1.0 for one in precision.unbind(2)]
