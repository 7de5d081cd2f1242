"""What a person meant by a key or an option that is not there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ftlab.errors import choices, nearest

# What others call a key of ours.
WORDS = {
    "epochs": "max_epochs", "num_epochs": "max_epochs", "num_train_epochs": "max_epochs", "n_epochs": "max_epochs",
    "learning_rate": "lr", "base_lr": "lr", "wd": "weight_decay", "bs": "batch_size", "batch": "batch_size",
    "per_device_train_batch_size": "batch_size", "workers": "num_workers", "gpus": "devices", "img_size": "image_size",
    "imgsz": "image_size", "input_size": "image_size", "amp": "precision", "fp16": "precision", "bf16": "precision",
    "grad_clip": "gradient_clip_val", "max_grad_norm": "gradient_clip_val", "model": "name", "arch": "name",
    "gradient_accumulation_steps": "accumulate_grad_batches", "output_dir": "run.dir", "out": "run.dir",
    "label_col": "label_column", "target": "target_columns", "dropout": "drop_rate", "warmup_epochs": "warmup",
    "smoothing": "label_smoothing", "pretrained_path": "weights", "checkpoint_path": "resume", "path": "root",
}  # fmt: skip
PACKAGES = {
    "hydra/launcher": {
        "joblib": "hydra-joblib-launcher", "ray": "hydra-ray-launcher", "ray_aws": "hydra-ray-launcher",
        "submitit_local": "hydra-submitit-launcher", "submitit_slurm": "hydra-submitit-launcher",
        "rq": "hydra-rq-launcher",
    },
    "hydra/sweeper": {
        "ax": "hydra-ax-sweeper", "nevergrad": "hydra-nevergrad-sweeper",
    },
}  # fmt: skip
USUAL = ("image_folder", "table")  # options that are proposed first, of those that have a key
ROWS = (".csv", ".tsv", ".parquet", ".pq")
SURE = 0.8  # how alike two names are, of 1, from which one is taken for the other


def leaves(node: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The dotted names of all values below a node."""
    for key, value in node.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, place)
        elif key != "_target_":
            yield place


def meant(key: str, there: Iterable[str]) -> list[str]:
    """The dotted names, of those that are there, that somebody who typed `key` may have meant; at most three."""
    by_name: dict[str, list[str]] = {}
    for place in there:
        by_name.setdefault(place.rpartition(".")[2], []).append(place)
    last = key.rpartition(".")[2]
    for name in (last, WORDS.get(last, last)):
        if name == "run.dir":
            return ["hydra.run.dir"]
        if name in by_name:
            return sorted(by_name[name], key=lambda place: (place.count("."), place))[:3]
    return [place for name in get_close_matches(last, by_name, n=1, cutoff=SURE) for place in by_name[name]][:3]


def owners(group: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The keys of a group's options, each with the options that have it."""
    found: dict[str, list[str]] = {}
    for name in sorted(options, key=lambda name: (name not in USUAL, name)):
        for key in options[name].keys() - {"_target_"}:
            found.setdefault(key, []).append(f"{group}={name}")
    return found


def belongs(place: str, options: Sequence[str]) -> str:
    """What is said of a key that only other options of its group have."""
    more = ", or another of them" if len(options) > 1 else ""
    return f"{place} belongs to {', '.join(options)}: add {options[0]}{more}"


def no_key(place: str, known: Iterable[str], elsewhere: Mapping[str, Sequence[str]], there: Iterable[str]) -> str:
    """What is said of a key that is unknown. known: its neighbours; elsewhere: of `owners`; there: all keys."""
    group, _, key = place.rpartition(".")
    own, said = list(known), f"unknown key '{key}'; "
    if key in elsewhere:
        return said + belongs(place, elsewhere[key])
    if nearest(key, own, SURE):
        return said + choices(key, own)
    if other := WORDS[key] if WORDS.get(key) in elsewhere else nearest(key, elsewhere, SURE):
        return f"{said}did you mean {group}.{other}? {belongs('It', elsewhere[other])}"
    others = (other for other in there if other != place and not other.startswith(f"{place}."))
    names = meant(key, others)
    return said + (f"did you mean {' or '.join(names)}?" if names else choices(key, own))


def without_option(group: str, node: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> str:
    """What is said of keys of a group of which no option is chosen."""
    there = owners(group, options)
    strange = next((key for key in node if key not in there), None)
    if strange is not None:
        return no_key(f"{group}.{strange}", () if nearest(strange, there, SURE) else there, there, ())
    key = next(iter(node), "")
    fit = [option for option in there.get(key, ()) if all(option in there[other] for other in node)]
    return belongs(f"{group}.{key}", fit) if fit else f"needs one of {', '.join(options)}: add {group}=..."


def no_option(group: str, name: str, accepted: Iterable[str]) -> str:
    """What is said of an option that a group has not."""
    if package := PACKAGES.get(group, {}).get(name):
        return f"its package is not installed: pip install {package}"
    near = choices(name, accepted)
    if group == "backbone" and near.startswith("accepted"):
        return f"no such option; a network of timm is named by backbone.name={name}; {near}"
    if group == "data" and Path(name).is_dir():
        return f"no such option; for a folder: data=image_folder data.root={name}; {near}"
    if group == "data" and Path(name).suffix.lower() in ROWS:
        images = f"data=image_csv data.root=. data.file={name}"
        return f"no such option; for a file of rows: data=table data.file={name}; of images: {images}; {near}"
    return f"no such option; {near}"
