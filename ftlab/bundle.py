"""A bundle is what a run leaves behind for a program: weights, classes, preprocessing and config, without pickle."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ftlab.addresses import renewed
from ftlab.config import only_shipped
from ftlab.data.base import DataSpec
from ftlab.data.membership import record
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.inputs.kinds import restored
from ftlab.kinds import found, name_of
from ftlab.model import Model
from ftlab.targets.base import Target
from ftlab.tasks.base import Task

SCHEMA_VERSION = 1
BEFORE = {"multilabel": "labels", "regression": "numbers"}  # kinds of targets of bundles that name none, by their task
WEIGHTS, DESCRIPTION = "model.safetensors", "bundle.json"
LIBRARY = "config.json"  # the name under which timm and transformers look for it
CARD = "README.md"  # that the hub shows
FILES = ("tokenizer.json", "vocabulary.json")  # of a preprocessing and of a head, beside these
HEAD_PREFIX = "ftlab_head."


@dataclass(frozen=True)
class Description:
    """bundle.json: all that is needed to build the network again and to read its outputs."""

    task: str
    targets: dict[
        str, Any
    ]  # {"classes": [...], "counts": [...]}, or of numbers {"names": [...], "means": [...], "stds": [...]}
    preprocessing: dict[str, Any]
    backbone: dict[str, Any]  # config node of the backbone; {} for a user's own module
    head: dict[str, Any]
    task_settings: dict[str, Any]
    num_outputs: int
    metrics: dict[str, Any]
    versions: dict[str, str]
    config: dict[str, Any]
    schema_version: int = SCHEMA_VERSION


def tensors(model: Model) -> dict[str, Tensor]:
    """The weights under the names that they have in plain timm where it has them.

    The backbone keeps its own names; a single linear layer takes the name of timm's classifier, any other head is
    prefixed. So `timm.create_model(name, num_classes=k, checkpoint_path=...)` reads a bundle with a linear head.
    What is tied is there under each of its names: a reader need not know of it, and safetensors refuses what is shared.
    """
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _named(model).items()}


def _named(model: Model) -> dict[str, Tensor]:
    """The model's own tensors under these names."""
    found = dict(model.backbone.model.state_dict(keep_vars=True).items())
    names = names_of_head(model)
    return found | {names[name]: tensor for name, tensor in model.head.state_dict(keep_vars=True).items()}


def names_of_head(model: Model) -> dict[str, str]:
    """What each tensor of the head's state is called in a bundle."""
    classifier, known = head_name(model), model.head.library_names()
    return {
        name: f"{classifier}.{name.removeprefix('fc.')}" if classifier else known.get(name, HEAD_PREFIX + name)
        for name in model.head.state_dict()
    }


def head_name(model: Model) -> str | None:
    """timm's name of the classifier, if the head is one linear layer and the backbone knows the name."""
    plain = set(model.head.state_dict()) == {"fc.weight", "fc.bias"}
    return model.backbone.classifier_name if plain else None


def is_plain(model: Model) -> bool:
    """Whether the network with its own pooling and its own classifier gives the same outputs."""
    head = model.head
    return head_name(model) is not None and isinstance(head, Linear) and head.pool in ("auto", head.own_pool)


def for_library(model: Model, description: Description) -> dict[str, dict[str, Any] | None]:
    """Files by which the backbone's own library makes the network of the bundle's folder; where it has no such network,
    None or no file."""
    own = "." in description.preprocessing.get("kind", "")  # the user's, of which no library knows
    if own or not description.backbone:
        return {}
    classes = description.targets.get("classes", ())
    if model.head.library_names():
        whole = model.head.in_library(model.backbone.model)
        return model.backbone.library_files(whole, classes, description.preprocessing)
    if is_plain(model):
        return {LIBRARY: model.backbone.described(description.num_outputs, classes, description.preprocessing)}
    return model.backbone.library_files(model.backbone.model, classes, description.preprocessing)


def reader(described: Mapping[str, Any] | None) -> str | None:
    """The library that a config.json is for."""
    if described is None:
        return None
    return "transformers" if "model_type" in described else "timm"


def restore(model: Model, found: Mapping[str, Tensor], where: Path) -> None:
    """Load what `tensors` made. Raises: UserError naming the tensors that do not fit."""
    wanted = tensors(model)
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    both = [name for name in sorted(wanted.keys() & found.keys()) if not name.endswith("_extra_state")]  # of any length
    shapes = [n for n in both if wanted[n].shape != found[n].shape]
    if missing or unknown or shapes:
        raise UserError(
            f"{where}: the weights do not fit bundle.json: {len(missing)} missing {missing[:3]}, "
            f"{len(unknown)} unexpected {unknown[:3]}, {len(shapes)} of another shape {shapes[:3]}"
        )
    first: dict[int, str] = {}
    for name, tensor in _named(model).items():
        other = first.setdefault(id(tensor), name)
        if other != name and not torch.equal(found[name], found[other]):
            raise UserError(f"{where}: {name} and {other} are one tensor of the network, and two in the file")
    model.head.load_state_dict({name: found[there] for name, there in names_of_head(model).items()})
    model.backbone.model.load_state_dict({name: found[name] for name in model.backbone.model.state_dict()})


def save(
    folder: Path,
    model: Model,
    description: Description,
    membership: record.Membership | None = None,
    card: Callable[[str | None], str] | None = None,
) -> None:
    """Write the files of a bundle; one that is there already, of the same run before it went on, is replaced.

    `membership`: the split of the data that it was trained on, which predictions do not need. `card`: what a person
    reads, given which library reads the folder too.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors(model), partial / WEIGHTS, metadata={"format": "pt"})
    plain = asdict(description)
    for part in ("preprocessing", "head"):
        plain[part] = parted(partial, plain[part])
    files = {DESCRIPTION: plain, **for_library(model, description)}
    for name, content in files.items():
        if content is not None:
            (partial / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf8")
    shutil.copymode(partial / DESCRIPTION, partial / WEIGHTS)  # safetensors lets nobody else read what it writes
    if membership is not None:
        record.write(partial, membership)
    if card is not None:
        (partial / CARD).write_text(card(reader(files.get(LIBRARY))), encoding="utf8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def parted(folder: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """`stored` with its files written into the folder, and in their place what tells that they are the same."""
    texts = stored.get("files") or {}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf8")
    return {**stored, "files": {name: digest(text.encode()) for name, text in texts.items()}} if texts else stored


def joined(folder: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """What `parted` parted. Raises: UserError for a file that is missing or another one; ValueError for a path."""
    found = {}
    for name, wanted in (stored.get("files") or {}).items():
        if name not in FILES:
            raise ValueError(f"the file '{name}' is none that a bundle has")
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: the file is missing; copy the whole bundle folder")
        content = path.read_bytes()
        if digest(content) != wanted:
            raise UserError(f"{path}: it is not the file that the bundle was written with")
        found[name] = content.decode("utf8")
    return {**stored, "files": found} if found else stored


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def described(folder: Path, trusted_modules: Sequence[str] = ()) -> Description:
    """What `save` wrote, without the weights. Raises: UserError naming the file that is missing, broken or of a newer
    version."""
    path = folder / DESCRIPTION
    if not path.is_file():
        inside = (folder / "bundle" / DESCRIPTION).is_file()
        where = f"did you mean {folder / 'bundle'}?" if inside else "a run leaves one at RUN_DIR/bundle"
        raise UserError(f"bundle={folder}: no bundle there ({DESCRIPTION} is missing); {where}")
    try:
        data = json.loads(path.read_text(encoding="utf8"))
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UserError(f"{path}: schema_version {version}; this ftlab reads {SCHEMA_VERSION}")
        description = Description(**renewed(data))
        whole: dict[str, Any] = {part: joined(folder, getattr(description, part)) for part in ("preprocessing", "head")}
        description = replace(description, **whole)
        spec_of(description, trusted_modules), restored(description.preprocessing, trusted_modules)
        check_nodes(description, path, trusted_modules)
    except KeyError as error:
        raise UserError(f"{path}: not a bundle's description: the key {error} is missing") from None
    except (
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:  # ValueError: no JSON, no UTF-8, or odd numbers
        raise UserError(f"{path}: not a bundle's description: {error}") from None
    return description


def read(folder: Path, trusted_modules: Sequence[str] = ()) -> tuple[Description, dict[str, Tensor]]:
    """What `save` wrote. Raises: UserError naming the file that is missing, broken or of a newer version."""
    description = described(folder, trusted_modules)
    try:
        weights = load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise UserError(f"{folder / WEIGHTS}: the file is missing; copy the whole bundle folder") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise UserError(f"{folder / WEIGHTS}: truncated or not a safetensors file: {error}") from None
    return description, weights


def check_nodes(description: Description, path: Path, trusted_modules: Sequence[str]) -> None:
    """Raises: UserError for a description that names code of others, or files outside of its folder.

    A bundle may come from anywhere, so the modules that its own config trusts count for nothing.
    """
    backbone, data = description.backbone, description.config.get("data")
    only_shipped("task", description.task_settings, str(path), trusted_modules)
    only_shipped("head", description.head, str(path), trusted_modules)
    if data:
        only_shipped("data", data, str(path), trusted_modules)
    if not backbone:
        return
    only_shipped("backbone", backbone, str(path), trusted_modules)
    if backbone.get("weights") or backbone.get("pretrained"):
        raise UserError(f"{path}: its backbone names weights outside of the bundle, which holds its own; refused")
    if str(backbone.get("name")).startswith("local-dir:"):
        raise UserError(f"{path}: its backbone is described outside of the bundle ({backbone['name']}); refused")


def spec_of(description: Description, trusted_modules: Sequence[str] = ()) -> DataSpec:
    """The part of the data's spec that predictions need.

    Raises: KeyError, TypeError, ValueError for what nothing can have stored; UserError for a kind of others.
    """
    stored = dict(description.targets)
    samples = stored.pop("train_samples", 0)  # bundles of before there were intervals lack it
    if type(samples) is not int:
        raise TypeError(f"targets: train_samples={samples!r} is no count")
    kind = stored.pop("kind", None) or BEFORE.get(description.task, "classes")
    target = found(kind, "ftlab.targets", Target, trusted_modules)  # type: ignore[type-abstract]  # it gives a leaf
    return DataSpec("bundle", target.restored(stored), {"train": samples})


def targets_of(spec: DataSpec) -> dict[str, Any]:
    """What `spec_of` reads: what an output stands for, the scale on which numbers were learned, and how many samples
    were trained on."""
    return {"kind": name_of(type(spec.target)), "train_samples": spec.sizes["train"], **spec.target.stored()}


def settled_of(task: Task) -> dict[str, Any]:
    """What data have decided of the settings that its class takes."""
    taken = signature(type(task)).parameters
    return {name: value for name, value in task.settled().items() if name in taken}


def device_of(accelerator: str) -> torch.device:
    """auto takes a GPU where there is one. Raises: UserError for one that is not there."""
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    there = [kind for kind, count in counts.items() if count]
    device = torch.device({"auto": there[0], "gpu": "cuda"}.get(accelerator, accelerator))
    if (device.index or 0) >= counts.get(device.type, 1):
        raise UserError(f"accelerator={accelerator}: there is none here; found: {', '.join(there)}")
    return device
