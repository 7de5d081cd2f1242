"""config.json, by which timm makes a network of a folder: timm.create_model("local-dir:FOLDER", pretrained=True)."""

from collections.abc import Mapping, Sequence
from typing import Any

OF_IMAGES = ("mean", "std", "interpolation", "crop_pct")
CROP_MODES = {"crop": "center", "letterbox": "border", "stretch": "squash"}  # timm's name of a way to resize
OF_NETWORK = ("first_conv", "classifier", "fixed_input_size")  # what timm must know to load its weights


def config(
    name: str, own: Mapping[str, Any], fixed: bool, num_classes: int, classes: Sequence[str], stored: Mapping[str, Any]
) -> dict[str, Any] | None:
    """own: timm's pretrained_cfg of the network, whose sizes and classes are those of its training before.

    fixed: built for one image size. None of a network from a place (hf-hub:), whose arguments are told there.
    """
    if ":" in name:
        return None
    size = list(stored["size"])
    return {
        "architecture": name.partition(".")[0],
        "num_classes": num_classes,
        **({"label_names": list(classes)} if classes else {}),
        **({"model_args": {"img_size": size}} if fixed else {}),
        "pretrained_cfg": {
            **{key: own[key] for key in OF_NETWORK if key in own},
            "input_size": [3, *size],
            "crop_mode": CROP_MODES[stored["resize"]],
            **{key: stored[key] for key in OF_IMAGES},
        },
    }
