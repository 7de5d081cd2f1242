"""Addresses that users keep: bundles, config.yaml and YAML files of their own name classes by `_target_`.

Where one has moved, its old address goes on to work: this table is the one place that knows of it. So is the list of
keys that came later.
"""

from typing import Any

MOVED = {
    "ftlab.data.augment.Augment": "ftlab.inputs.augment.Augment",
    "ftlab.data.diabetes.Diabetes": "ftlab.data.sources.diabetes.Diabetes",
    "ftlab.data.digits.Digits": "ftlab.data.sources.digits.Digits",
    "ftlab.data.idx.Idx": "ftlab.data.sources.idx.Idx",
    "ftlab.data.image_csv.ImageCsv": "ftlab.data.sources.image_csv.ImageCsv",
    "ftlab.data.image_folder.ImageFolder": "ftlab.data.sources.image_folder.ImageFolder",
    "ftlab.data.linnerud.Linnerud": "ftlab.data.sources.linnerud.Linnerud",
    "ftlab.data.own.Own": "ftlab.data.sources.own.Own",
    "ftlab.data.sequence.Sequences": "ftlab.data.sources.sequence.Sequences",
    "ftlab.data.table.Table": "ftlab.data.sources.table.Table",
    "ftlab.data.torchvision.TorchvisionDataset": "ftlab.data.sources.torchvision.TorchvisionDataset",
    "ftlab.training.optimizers.adam": "ftlab.optimizers.adam",
    "ftlab.training.optimizers.adamw": "ftlab.optimizers.adamw",
    "ftlab.training.optimizers.rmsprop": "ftlab.optimizers.rmsprop",
    "ftlab.training.optimizers.sgd": "ftlab.optimizers.sgd",
}

# Keys that came when users had options of their own, which may lack them.
LATER = frozenset(
    {"data.split_from", "data.split_seed", "data.dates", "data.index", "data.resize", "data.tile", "data.tile_overlap"}
    | {"task.calibrate", "logger"}
    | {f"augment.{key}" for key in ("crop", "brightness", "contrast", "saturation", "mosaic")}
)


def current(name: Any) -> Any:
    """Where what `name` addressed is now; anything else as it is."""
    return MOVED.get(name, name) if isinstance(name, str) else name


def renewed(value: Any) -> Any:
    """Plain containers with every `_target_` in them as it is now."""
    if isinstance(value, dict):
        return {key: current(inner) if key == "_target_" else renewed(inner) for key, inner in value.items()}
    return [renewed(inner) for inner in value] if isinstance(value, list) else value
