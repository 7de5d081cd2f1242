"""The page of explanations.

Shapes: h and w height and width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ftlab.explaining.found import Explanation, Heat, Parts
from ftlab.reports.blocks.gallery import data_uri
from ftlab.reports.page import template

SIDE = 260  # pixels of an image's longer side
FOR, AGAINST = (217, 72, 15), (28, 100, 242)  # red speaks for the answer, blue against it
MEANS = {
    "grad_cam": "Grad-CAM: red where the last maps of the network speak for the answer",
    "occlusion": "occlusion: red where the score falls once a patch is covered, blue where it rises",
    "integrated_gradients": "integrated gradients: red speaks for the answer, blue against it",
    "shapley": "Shapley values: what each cell adds to the score, beside a row of usual cells",
    "ablation": "how much the score falls once a step is left out",
}


def render(explained: Sequence[Explanation], importance: Mapping[str, Any] | None, about: Mapping[str, Any]) -> str:
    """importance: {"figure", "split", "columns"} of a table's columns; about: {"bundle", "task", "command"}."""
    return template("explained.html").render(
        inputs=[_shown(one) for one in explained], importance=importance, means=MEANS, **about
    )


def _shown(one: Explanation) -> dict[str, Any]:
    found = [_heat(one.image, part) if isinstance(part, Heat) else _parts(part) for part in one.found]
    image = data_uri(_large(one.image), SIDE) if one.image is not None else None
    return {"name": one.name, "answer": answer_of(one), "image": image, "found": found, "notes": one.notes}


def answer_of(one: Explanation) -> str:
    """What the network says, in one line."""
    record = one.record
    if "class" in record:
        said = f"{record['class']} ({record['probability']:.1%})"
        return said if one.target == record["class"] else f"{said}; looked at for {one.target}"
    if "labels" in record:
        return f"{', '.join(record['labels']) or 'no label'}; looked at for {one.target}"
    return f"{one.target} {record[one.target]:.5g}"


def _large(image: Any) -> Any:
    from PIL import Image

    scale = SIDE / max(image.size)
    return image.convert("RGB").resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.NEAREST)


def _heat(image: Any, heat: Heat) -> dict[str, Any]:
    return {"method": heat.method, "image": data_uri(overlaid(_large(image), heat.values), SIDE)}


def overlaid(image: Any, values: np.ndarray) -> Any:
    """The image in grey, with colours as strong as the values (h, w) are."""
    from PIL import Image

    most = float(np.abs(values).max()) or 1.0
    wide = Image.fromarray((values / most).astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(wide), -1, 1)[..., None]
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    colour = np.where(strength > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    alpha = 0.75 * np.abs(strength)
    return Image.fromarray((grey * (1 - alpha) + colour * alpha).astype(np.uint8))


def _parts(found: Parts) -> dict[str, Any]:
    most = max((abs(one.weight) for one in found.parts), default=0.0) or 1.0
    rows = [{"name": p.name, "value": p.value, "weight": p.weight, "share": p.weight / most} for p in found.parts]
    return {"method": found.method, "parts": rows, "running": found.running}
