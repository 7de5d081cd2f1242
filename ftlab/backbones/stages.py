"""Which parameters freeze and thaw together, in order from the input to the output."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from timm.models import group_parameters
from torch import nn

from ftlab.backbones.base import Stage
from ftlab.errors import UserError, choices

GRANULARITIES = ("blocks", "layers")
LEAST_SHARE = 0.02  # of all parameters; timm's last group is a lone norm on convnext, eva02, swin and densenet


def stages_of(model: Any, root: str, granularity: str) -> tuple[Stage, ...]:
    """blocks: as timm groups them; layers: one a module that has parameters of its own.

    Raises: UserError for another granularity.
    """
    if granularity not in GRANULARITIES:
        raise UserError(f"backbone.stages={granularity}: no such value; {choices(granularity, GRANULARITIES)}")
    return timm_stages(model, root) if granularity == "blocks" else layer_stages(model, root)


def layer_stages(model: nn.Module, root: str) -> tuple[Stage, ...]:
    """In the order of the modules, parameters of the network itself (position embeddings, class tokens) first."""
    return tuple(
        Stage(path or "stem", tuple(f"{root}.{path}.{name}" if path else f"{root}.{name}" for name, _ in own))
        for path, module in model.named_modules()
        if (own := list(module.named_parameters(recurse=False)))
    )


def timm_stages(model: Any, root: str) -> tuple[Stage, ...]:
    """Stages as timm's `group_matcher(coarse=True)` declares them; one a child where a model has no matcher.

    A last stage with less than LEAST_SHARE of the parameters joins the one before. Parameters are named `root`.name.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    groups = merge_small_end(declared_groups(model), sizes)
    names = stage_names(groups)
    return tuple(Stage(name, tuple(f"{root}.{p}" for p in group)) for name, group in zip(names, groups, strict=True))


def declared_groups(model: Any) -> list[list[str]]:
    if not hasattr(model, "group_matcher"):
        groups: dict[str, list[str]] = {}
        for name, _ in model.named_parameters():
            groups.setdefault(name.split(".")[0], []).append(name)
        return list(groups.values())
    try:
        matcher = model.group_matcher(coarse=True)
    except (AssertionError, NotImplementedError):  # rdnet declares single blocks only
        matcher = model.group_matcher(coarse=False)
    grouped = group_parameters(model, matcher)
    return [list(grouped[index]) for index in sorted(grouped)]


def merge_small_end(groups: Sequence[Sequence[str]], sizes: Mapping[str, int]) -> list[list[str]]:
    merged = [list(group) for group in groups]
    total = sum(sizes.values())
    while len(merged) > 1 and sum(sizes[name] for name in merged[-1]) < LEAST_SHARE * total:
        last = merged.pop()
        merged[-1] += last
    return merged


def stage_names(groups: Sequence[Sequence[str]]) -> list[str]:
    """For each group the shortest module prefix that its first parameter shares with no other group.

    The first group is `stem` where that prefix does not cover all of it (cls_token, pos_embed, patch_embed).
    """
    owner = {name: number for number, group in enumerate(groups) for name in group}
    names = [private_prefix(group[0], owner) for group in groups]
    if groups and "stem" not in names and not all(is_under(name, names[0]) for name in groups[0]):
        names[0] = "stem"
    return names


def private_prefix(name: str, owner: Mapping[str, int]) -> str:
    for prefix in accumulate(name.split("."), "{}.{}".format):
        if {number for other, number in owner.items() if is_under(other, prefix)} == {owner[name]}:
            return prefix
    return name


def is_under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def listed_stages(module: nn.Module, stages: Mapping[str, Iterable[str]], root: str) -> tuple[Stage, ...]:
    """Stages as a person lists them: stage name -> prefixes of module or parameter names.

    Raises: UserError if a prefix matches nothing, or a parameter is in no stage or in two.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))  # a shared one under each of its names
    names = list(parameters)
    found: dict[str, list[str]] = {}
    for stage, prefixes in stages.items():
        for prefix in prefixes:
            if not any(is_under(name, prefix) for name in names):
                heads = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
                raise UserError(f"Stage '{stage}': no parameter is under '{prefix}'. The module has: {heads}.")
        found[stage] = [name for name in names if any(is_under(name, prefix) for prefix in prefixes)]
    check_partition(parameters, found)
    return tuple(Stage(stage, tuple(f"{root}.{name}" for name in group)) for stage, group in found.items())


def check_partition(parameters: Mapping[str, nn.Parameter], found: Mapping[str, Sequence[str]]) -> None:
    """Raises: UserError unless each of `parameters` is in one stage; a shared one may be in as many as it has names."""
    for name in parameters:
        holders = [stage for stage, group in found.items() if name in group]
        if len(holders) > 1:
            raise UserError(f"Parameter '{name}' is in the stages {' and '.join(holders)}; name it in one only.")
    held = {id(parameters[name]) for group in found.values() for name in group}
    left = [name for name, parameter in parameters.items() if id(parameter) not in held]
    if left:
        shown = ", ".join(left[:5])
        raise UserError(f"{len(left)} parameters are in no stage: {shown}. Every parameter must be in exactly one.")
