"""timm's network by its name and size, before a weight is loaded."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from difflib import get_close_matches
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed
from torch import nn

from ftlab.backbones import hub
from ftlab.errors import UserError


def build(name: str, from_hub: bool, size: tuple[int, int] | None, settings: dict[str, float], meta: bool) -> Any:
    """timm's network without classifier; its weights are loaded here only if they come from the hub."""
    check_name(name, from_hub)
    config = timm.get_pretrained_cfg(name)
    arguments: dict[str, Any] = {key: value for key, value in settings.items() if value}
    if size and config is not None and config.fixed_input_size:
        arguments["img_size"] = size
    needs_hub = (from_hub and not meta) or name.startswith("hf-hub:")
    with ExitStack() as stack:
        stack.enter_context(torch.device("meta") if meta else nullcontext())
        stack.enter_context(hub.reach(name) if needs_hub else nullcontext())
        try:
            model = timm.create_model(name, pretrained=from_hub and not meta, num_classes=0, **arguments)
        except (TypeError, AssertionError, ValueError) as error:
            if not arguments:
                raise
            given = ", ".join(f"{key}={value}" for key, value in arguments.items())
            raise UserError(f"timm's '{name}' does not accept {given}: {error}") from error
    if size:
        check_patches(model, name, size)
    return model


def check_name(name: str, from_hub: bool) -> None:
    """Raises: UserError if timm has no such network, or no weights for it and they are asked for."""
    if ":" in name:
        return  # hf-hub:owner/name and local-dir:path name a place, not an entry of timm's list
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UserError(
            f"backbone.name={name}: timm {timm.__version__} has no such network; {hint}"
            f"timm.list_models() names all {len(timm.list_models())}."
        )
    tags = [other.partition(".")[2] for other in timm.list_models(f"{architecture}.*", pretrained=True)]
    if tag and tag not in tags:
        raise UserError(f"backbone.name={name}: '{architecture}' has these weights: {', '.join(tags) or 'none'}.")
    if from_hub and not tags:
        raise UserError(f"backbone.name={name}: timm has no pretrained weights for it. {hub.WAYS_OUT}")


def as_size(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or any(side < 1 for side in sides):
        raise UserError(f"backbone.image_size={image_size}: give pixels, one number or [height, width].")
    return sides[0], sides[1]


def as_names(classifier: str | Sequence[str] | None) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def check_patches(model: nn.Module, name: str, size: tuple[int, int]) -> None:
    for module in model.modules():
        if isinstance(module, PatchEmbed) and not module.dynamic_img_pad:
            height, width = module.patch_size
            if size[0] % height or size[1] % width:
                raise UserError(
                    f"backbone.image_size={list(size)}: '{name}' cuts images into patches of {height}x{width} pixels; "
                    f"both sides must be multiples, for example {near_multiple(size[0], height)}."
                )


def near_multiple(length: int, step: int) -> int:
    return max(step, round(length / step) * step)
