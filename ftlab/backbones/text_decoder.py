"""What writes a text, token by token, looking at what an encoder has made of an input.

The library's own model for texts out of texts runs, with what the backbone gave in the place of its encoder: so every
family brings its decoder with the weights that it was trained with, and generation is the library's.

Shapes: b batch, t positions that the encoder gave, s tokens of a text, c channels, v tokens of the vocabulary.
"""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.base import Stage
from ftlab.backbones.generation import Generation
from ftlab.backbones.packaged import place
from ftlab.backbones.text_structure import Unpadded, fixed, longest_list
from ftlab.errors import UserError
from ftlab.inputs.texts.vocabulary import Vocabulary

CROSS = re.compile(r"encoder_attn|EncDecAttention|crossattention|\.layer\.1\.")  # T5's second of three layers
PLACES = 1024  # tokens that our own decoder can write
OWN_GENERATION = "generation"  # beside the keys of a network's description, in a bundle


class Elsewhere(nn.Module):
    """Stands in the place of the encoder, which is the backbone."""

    main_input_name = "input_ids"

    def forward(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("the encoder is the backbone")


class TextDecoder(nn.Module):
    """`whole` is a model of transformers for texts out of texts, of whose encoder nothing is left."""

    def __init__(self, whole: Any, name: str) -> None:
        super().__init__()
        encoder = whole.get_encoder()
        path = next(path for path, module in whole.named_modules() if module is encoder)
        whole.set_submodule(path, Elsewhere())
        fixed(whole)
        self.whole = whole
        decoder = whole.get_decoder()
        self.path = next(path for path, module in whole.named_modules() if module is decoder)
        self.blocks = f"{self.path}.{longest_list(decoder, name)}"

    @property
    def width(self) -> int:
        """Channels of what it looks at."""
        found: int = self.whole.config.d_model
        return found

    @property
    def longest(self) -> int | None:
        """Tokens that it can write at most; None: any number."""
        found: int | None = getattr(self.whole.config, "max_position_embeddings", None)
        return found

    @property
    def beams(self) -> int:
        """Beginnings that it follows at once where nothing else is said."""
        return self.whole.generation_config.num_beams or 1

    @property
    def begin(self) -> int:
        """The token that stands before a text."""
        own = self.whole.config
        asked = (self.whole.generation_config.decoder_start_token_id, own.decoder_start_token_id, own.pad_token_id)
        return int(next(one for one in asked if one is not None))

    @property
    def end(self) -> int:
        found = self.whole.config.eos_token_id
        return int(found[0] if isinstance(found, list) else found)

    def forward(self, hidden: Tensor, mask: Tensor, given: Tensor) -> Tensor:
        """(b, s, v) logits of the token behind each of `given` (b, s), of which none sees what comes after it.

        hidden: (b, t, c); mask: (b, t) bool, False where there is nothing to look at.
        """
        with Unpadded() if hidden.is_meta else nullcontext():
            return self.whole(  # type: ignore[no-any-return]
                encoder_outputs=_as_encoded(hidden),
                attention_mask=mask.long(),
                decoder_input_ids=given,
                use_cache=False,
            ).logits

    @torch.no_grad()
    def generate(self, hidden: Tensor, mask: Tensor, how: Generation, longest: int) -> list[list[int]]:
        """Tokens of each text, special ones among them. longest: tokens, where `how` does not say it."""
        own = deepcopy(self.whole.generation_config)
        own.update(**how.asked(longest), decoder_start_token_id=self.begin, eos_token_id=self.end)
        own.pad_token_id = self.whole.config.pad_token_id
        if (own.num_beams or 1) == 1:  # of which the library warns where nothing reads them
            own.length_penalty = own.early_stopping = None
        encoded = _as_encoded(hidden)
        found = self.whole.generate(encoder_outputs=encoded, attention_mask=mask.long(), generation_config=own)
        return found.tolist()  # type: ignore[no-any-return]

    def stage_of(self, name: str) -> str:
        """What a parameter of `whole` freezes and trains with: embeddings, cross (all that looks at the encoder's
        output), blocks.N, or vocabulary, the layer over the tokens where that is no table of those that go in."""
        if name.startswith(f"{self.blocks}."):
            number = name.removeprefix(f"{self.blocks}.").split(".")[0]
            return "cross" if CROSS.search(name) else f"blocks.{number}"
        if not name.startswith(f"{self.path}."):
            return "embeddings" if "shared" in name else "vocabulary"
        late = "norm" in name and "emb" not in name
        return f"blocks.{len(list(self.whole.get_submodule(self.blocks).children())) - 1}" if late else "embeddings"

    def stages(self, prefix: str, cross: tuple[str, ...] = ()) -> tuple[Stage, ...]:
        """prefix: of the names of `whole`; cross: further parameters that look at the encoder's output."""
        blocks = [f"blocks.{number}" for number, _ in enumerate(self.whole.get_submodule(self.blocks).children())]
        found: dict[str, list[str]] = {"embeddings": [], "cross": [*cross]}
        found |= {name: [] for name in (*blocks, "vocabulary")}
        for name, _ in self.whole.named_parameters():
            found[self.stage_of(name)].append(f"{prefix}{name}")
        return tuple(Stage(stage, tuple(names)) for stage, names in found.items() if names)

    def rebuilds(self) -> dict[str, Any]:
        """The description by which `of_library` builds the same network without its source."""
        own = self.whole.config
        generation = self.whole.generation_config.to_diff_dict()
        return own.to_diff_dict() | {"model_type": own.model_type, OWN_GENERATION: generation}


def _as_encoded(hidden: Tensor) -> Any:
    from transformers.modeling_outputs import BaseModelOutput

    return BaseModelOutput(last_hidden_state=hidden)  # type: ignore[arg-type]  # a tensor all the same


def of_library(network: Any, source: str | None, settings: Any, name: str) -> TextDecoder:
    """The decoder of the encoder `network`, with the weights of `source` (None: random ones), which shares its table of
    tokens with it. settings: the library's description of the whole, or what `TextDecoder.rebuilds` gave.

    Raises: UserError where the library has no such model of its family.
    """
    import transformers

    where, words = (None, {}) if source is None else place(source)
    meta = network.get_input_embeddings().weight.is_meta
    auto, generation = transformers.AutoModelForSeq2SeqLM, None
    try:
        if isinstance(settings, Mapping):
            plain = dict(settings)
            generation = transformers.GenerationConfig(**plain.pop(OWN_GENERATION))
            settings = transformers.AutoConfig.for_model(plain.pop("model_type"), **plain)
        with torch.device("meta") if meta else nullcontext():
            own = deepcopy(settings)
            whole = auto.from_config(own) if where is None else auto.from_pretrained(where, config=own, **words)
    except (ValueError, KeyError, OSError) as error:
        said = " ".join(str(error).split())[:160]
        raise UserError(f"backbone.name={name}: transformers has no decoder of its family: {said}") from error
    whole.generation_config = generation or whole.generation_config
    _tie(whole, network.get_input_embeddings().weight)
    return TextDecoder(whole if meta else nn.Module.float(whole), name)


def _tie(whole: Any, table: nn.Parameter) -> None:
    """Puts the backbone's table of tokens wherever the whole network has its own."""
    own = whole.get_input_embeddings().weight
    for module in whole.modules():
        if getattr(module, "weight", None) is own:
            module.weight = table


def small(vocabulary: Vocabulary, width: int, depth: int, heads: int, dropout: float) -> TextDecoder:
    """A decoder with random weights: Pegasus' blocks, whose norms come first, so that they train without a long warmup,
    and whose places are sines.

    Raises: UserError for a width that its heads do not share.
    """
    import transformers

    if width % heads or width % 2:
        raise UserError(f"head.width={width}: has to be even, and a multiple of head.heads={heads}")
    settings = transformers.PegasusConfig(
        vocab_size=len(vocabulary), d_model=width, decoder_layers=depth, decoder_attention_heads=heads,
        decoder_ffn_dim=4 * width, encoder_layers=1, encoder_attention_heads=heads, encoder_ffn_dim=1,
        dropout=dropout, attention_dropout=0.0, activation_dropout=0.0, max_position_embeddings=PLACES,
        scale_embedding=True, pad_token_id=0, eos_token_id=1, decoder_start_token_id=2,
        forced_eos_token_id=None, init_std=width**-0.5,
    )  # fmt: skip
    whole = transformers.PegasusForConditionalGeneration(settings)
    return TextDecoder(whole, "small")
