"""What transformers itself puts on a network for a task: its layers over the vocabulary, its classifiers.

The library's own model for the task runs, with what the backbone gave in the place of the network below, so that every
family brings its own layers with the weights that it was trained with.

Shapes: b batch, t tokens, c channels, k outputs.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.packaged import place
from ftlab.errors import UserError

KINDS = {"masked_language": "AutoModelForMaskedLM", "sequence_classification": "AutoModelForSequenceClassification"}
# What the library calls these layers in one family or another.
LAYERS = (
    "classifier", "cls", "decoder", "generator_lm_head", "generator_predictions", "head", "lm_head", "pooler",
    "pre_classifier", "score", "vocab_layer_norm", "vocab_projector", "vocab_transform",
)  # fmt: skip


class Below(nn.Module):
    """Stands in the network's place. Keeps its pooler, which is none of the blocks and only some classifiers read."""

    hidden: Tensor | None = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.pooler = getattr(network, "pooler", None)

    def forward(self, *_: Any, **__: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

        pooled = None if self.pooler is None else self.pooler(self.hidden)
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=self.hidden, pooler_output=pooled)


class TextLayers(nn.Module):
    """`whole` is the library's model for a task, without its network."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole
        setattr(whole, whole.base_model_prefix, Below(getattr(whole, whole.base_model_prefix)))

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """hidden (b, t, c) to logits (b, t, k), or (b, k) of a classifier.

        mask: (b, t), False where there is no token.
        """
        below = getattr(self.whole, self.whole.base_model_prefix)
        below.hidden = hidden
        try:
            real = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if mask is None else mask
            padding = self.whole.config.pad_token_id or 0  # by which some classifiers look for the end of a text
            tokens = torch.where(real, padding + 1, padding)
            return self.whole(input_ids=tokens, attention_mask=real.long()).logits  # type: ignore[no-any-return]
        finally:
            below.hidden = None  # else it would outlive the step

    def with_network(self, network: Any) -> Any:
        """A copy with the `network` in its place again: a model of transformers."""
        whole, below = deepcopy((self.whole, network))
        prefix = whole.base_model_prefix
        if getattr(whole, prefix).pooler is not None:
            below.pooler = getattr(whole, prefix).pooler
        setattr(whole, prefix, below)
        whole.tie_weights()
        return whole.eval()


def text_layers(
    kind: str, network: Any, source: str | None, changes: dict[str, Any], name: str, tied: bool | None = None
) -> TextLayers:
    """Those of the `network` of a backbone called `name`. source: where it has its weights from, None: random ones.

    changes: of the network's own description. tied: whether the layer over the vocabulary is the table of the tokens
    that go in; None: as the network was trained.
    Raises: UserError for a kind that its family has not.
    """
    import transformers

    settings = deepcopy(network.config)
    settings.pad_token_id = settings.pad_token_id or 0
    settings.update(changes if tied is None else {**changes, "tie_word_embeddings": tied})
    auto = getattr(transformers, KINDS[kind])
    if settings.is_encoder_decoder or type(settings) not in auto._model_mapping:
        raise UserError(f"backbone.name={name}: transformers has no {auto.__name__} of its family")
    table = network.get_input_embeddings()
    meta = table.weight.is_meta
    with torch.device("meta") if meta else nullcontext():
        made = {"config": settings, "ignore_mismatched_sizes": True}  # a classifier of other classes begins anew
        where, words = (None, {}) if source is None else place(source)
        whole = auto.from_config(settings) if where is None else auto.from_pretrained(where, **made, **words)
    layers = TextLayers(whole if meta else nn.Module.float(whole))
    if kind == "masked_language" and settings.tie_word_embeddings:
        whole.get_output_embeddings().weight = table.weight
    return layers


def files_of(whole: Any, classes: Sequence[str], stored: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """See Backbone.library_files; the tokenizer itself is a file of the preprocessing."""
    if whole.config.is_encoder_decoder:
        return {}  # of which only the encoder is there
    from tokenizers import Tokenizer

    told = json.loads(whole.config.to_json_string())
    told["architectures"] = [type(whole).__name__]
    if classes and len(classes) == getattr(whole, "num_labels", None):
        told |= {"id2label": dict(enumerate(classes)), "label2id": {name: n for n, name in enumerate(classes)}}
    padding = Tokenizer.from_str(stored["files"]["tokenizer.json"]).id_to_token(stored["padding"])
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": stored["max_tokens"]}
    return {"config.json": told, "tokenizer_config.json": about | ({"pad_token": padding} if padding else {})}
