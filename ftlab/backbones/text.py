"""Any network of transformers that reads text: encoders, decoders, and the encoder of an encoder-decoder.

Shapes: b batch, t tokens, c channels.
"""

import struct
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones import hub
from ftlab.backbones import weights as weights_of
from ftlab.backbones.base import Backbone, Features, followed, held_by
from ftlab.backbones.blocks import Blocks, with_below
from ftlab.backbones.checkpointing import enable_blocks
from ftlab.backbones.packaged import PACKAGED, PACKAGES, found, place
from ftlab.backbones.text_decoder import TextDecoder, of_library
from ftlab.backbones.text_layers import LAYERS, TextLayers, files_of, text_layers
from ftlab.backbones.text_structure import Unpadded, behind, fixed, longest_list, stages_of
from ftlab.backbones.text_windows import by_window
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.texts.preprocessing import TextPreprocessing

TOKENS = 128  # of a text, where nothing is said: most texts are shorter, and the time that one takes grows with them
INPUTS = ("tokens", "mask", "segments")


class TextBackbone(Backbone):
    """Its stages are what comes before the blocks, and each block; a norm behind them belongs to the last."""

    takes = "text"
    containers_rest = True
    preprocessing: TextPreprocessing | None

    @classmethod
    def at_hand(cls) -> list[str]:
        return [name for name, package in PACKAGES.items() if find_spec(package.module)]

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
            self.source = source if pretrained and not weights and not meta else None
            self.model = built(settings, self.source, meta)
            self.settings = settings if settings.is_encoder_decoder else None  # of the whole, of which this is a part
            self.preprocessing = prepared(source, tokenizer, settings)  # None: a bundle has its own
        self.path = longest_list(self.model, name)
        fixed(self.model)
        self.after, self.more, self.num_features = behind(self.model, self.path, self._run)
        self.stages = stages_of(self.model, self.path, self.after)
        self.is_causal = any(getattr(part, "is_causal", False) for part in self.model.modules())
        self.depths: tuple[int, ...] = ()  # of the layers below that are handed out: how many blocks are before each
        self.default_pool = "last" if self.is_causal else "average"
        self.usual_pool = None if self.is_causal else "layers"
        self.no_weight_decay = frozenset()
        if checkpointing:
            enable_blocks(self.model, name)
        self.loaded = self._load(source, pretrained, weights, allow_missing, meta)

    def _load(
        self, source: str | None, pretrained: bool, weights: str | None, allow_missing: bool, meta: bool
    ) -> weights_of.Loaded:
        if meta:
            return weights_of.Loaded("none: built on meta" if pretrained or weights else "random")
        if weights:
            return weights_of.load(
                self.model, self.name, False, weights, allow_missing=allow_missing, classifier=LAYERS
            )
        if not pretrained:
            return weights_of.Loaded("random")
        return weights_of.Loaded(f"package {PACKAGES[self.name].name}" if self.name in PACKAGES else str(source))

    def follow(self, layers: Collection[str]) -> None:
        super().follow(layers)
        self.after = frozenset(followed(self.after, {path: held_by(self.model, path) for path in layers}))

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The fields "tokens" (b, t), "mask" (b, t) and "segments" (b, t)."""
        if not batch.inputs.keys() >= {*INPUTS}:
            raise UserError(f"The backbone '{self.name}' takes texts, and the batch holds none.")
        return tuple(batch.inputs[name] for name in INPUTS)

    def forward(self, batch: Batch) -> Features:
        tokens, mask, segments = self.inputs(batch)
        blocks = list(self.model.get_submodule(self.path).children())
        run = by_window(with_below(partial(self._run, self.model), blocks, self.depths))
        return self.features((run(tokens, mask, segments), mask))

    @staticmethod
    def _run(network: nn.Module, tokens: Tensor, mask: Tensor | None, segments: Tensor) -> Tensor:
        settings: Any = network.config
        more: dict[str, Any] = {"token_type_ids": segments} if getattr(settings, "type_vocab_size", 0) > 1 else {}
        more |= {"use_cache": False} if hasattr(settings, "use_cache") else {}
        more |= {} if mask is None or mask.is_meta else {"attention_mask": mask.long()}
        with Unpadded() if tokens.is_meta else nullcontext():
            return network(input_ids=tokens, **more)[0]  # type: ignore[no-any-return]

    def features(self, output: Any) -> Features:
        layers, mask = output
        *below, hidden = layers.split(self.num_features, -1)
        return Features(tokens=hidden, mask=mask, begins=not self.is_causal, below=tuple(below))

    def traced(self) -> "Masked":
        return Masked(self.model, self.path, self.after, self.more, INPUTS, self._run, self.depths, self.features)

    def hand_layers(self) -> int:
        """The embeddings, and what a third and two thirds of the blocks make of them."""
        count = len(self.model.get_submodule(self.path))
        self.depths = tuple(sorted({0, count // 3, 2 * count // 3}))
        self.below = len(self.depths) * self.num_features
        return len(self.depths) + 1

    def own_layers(self, kind: str, tied: bool | None = None, **changes: Any) -> TextLayers:
        """changes: of the library's description of the network."""
        return text_layers(kind, self.model, self.source, changes, self.name, tied)

    @property
    def has_decoder(self) -> bool:
        return self.settings is not None

    def decoder(self, described: Mapping[str, Any] | None = None) -> TextDecoder:
        """That of the network whose encoder this is. described: of a bundle. Raises: UserError where there is none."""
        if self.settings is None and not described:
            return super().decoder()
        return of_library(self.model, self.source, described or self.settings, self.name)

    def library_files(
        self, network: Any, classes: Sequence[str], stored: Mapping[str, Any]
    ) -> dict[str, dict[str, Any] | None]:
        return files_of(network, classes, stored)

    def rebuilds(self) -> dict[str, Any]:
        return {"config": self.model.config.to_diff_dict() | {"model_type": self.model.config.model_type}}


class Masked(Blocks):
    """Hidden states become features together with the mask, which is among the values at the border.

    All values are of samples (b, t, ...), of which the network sees the windows apart.
    """

    def __init__(self, *of: Any) -> None:
        *others, self.finish = of
        super().__init__(*others)

    def _hidden(self, numbers: Sequence[int], inputs: Sequence[Tensor]) -> Tensor:
        return by_window(lambda *rows: super(Masked, self)._hidden(numbers, rows))(*inputs)  # type: ignore[no-any-return]

    def _go_on(self, number: int | None, *values: Tensor) -> Any:
        run = by_window(partial(super()._go_on, number))
        return self.finish((run(*values), values[self.inputs.index("mask")]))


# --- from transformers


def library(option: str = "text", extra: str = "text") -> Any:
    """Raises: UserError where it is not installed, which names what does."""
    if find_spec("transformers") is None:
        raise UserError(f"backbone={option}: needs transformers: pip install 'ftlab[{extra}]'")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def settings_of(source: str | None, config: Mapping[str, Any] | None) -> Any:
    """transformers' own description of a network."""
    own = library()
    if config is not None:
        plain = dict(config)
        return own.AutoConfig.for_model(plain.pop("model_type"), **plain)
    where, words = place(str(source))
    try:
        return own.AutoConfig.from_pretrained(where, **words)
    except (OSError, ValueError, struct.error) as error:  # the last of a file .gguf that is cut off
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
        where, words = place(weights)
        model = own.AutoModel.from_pretrained(where, config=settings, **words)  # with sdpa wherever it has that
    else:
        # On meta there are no values, for which sdpa asks the masks of some families.
        with torch.device("meta") if meta else nullcontext():
            model = own.AutoModel.from_config(settings, **({"attn_implementation": "eager"} if meta else {}))
    if settings.is_encoder_decoder:
        model = model.get_encoder()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # trained for another task, and no head here reads it
    model.config.__dict__.pop("quantization_config", None)  # its numbers are floats by now
    return model if meta else nn.Module.float(model)  # transformers' own refuses what was read from fewer bits


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
    where, words = place(source)
    try:
        return own.AutoTokenizer.from_pretrained(where, **words).backend_tokenizer.to_str()  # type: ignore[no-any-return]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"backbone.name={source}: it has no fast tokenizer (tokenizer.json)") from error
