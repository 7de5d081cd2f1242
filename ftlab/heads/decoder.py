"""A decoder on what the backbone has made of an input, be that a text or an image: it writes a text.

Shapes: b batch, t positions that the backbone gave, s tokens of the longest text, c channels, v tokens of the
vocabulary, m tokens of all texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ftlab.backbones.base import Backbone, Features, Stage
from ftlab.backbones.generation import Generation
from ftlab.backbones.pooling import as_positions
from ftlab.backbones.surgery import probe
from ftlab.backbones.text_decoder import TextDecoder, small
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.base import SEEN, InputPreprocessing
from ftlab.inputs.texts.vocabulary import Vocabulary, made_of

FILE = "vocabulary.json"  # of a bundle
TOKENS = 128  # of a text, where nothing is said


class TextOutputs(NamedTuple):
    """Of texts that are known, how likely each of their tokens was; and what is written without knowing them."""

    logits: Tensor  # (m, v), (0, v) in a prediction
    counts: Tensor  # (b,) int64, tokens of each text
    truth: Tensor  # (m,) int64
    texts: list[str] | None  # (b,); None where nothing was generated


class Decoder(Head):
    """The network's own decoder where the backbone is an encoder that has one, else a small one with random weights,
    whose tokens are made of the training texts."""

    gives: ClassVar[str] = "texts"
    writes: ClassVar[bool] = True

    def __init__(
        self,
        backbone: Backbone,
        preprocessing: InputPreprocessing,
        corpus: Sequence[str],
        num_outputs: int,
        *,
        decoder: Literal["auto", "own", "small"] = "auto",
        max_tokens: int | None = None,
        vocabulary: int = 8000,
        width: int = 256,
        depth: int = 3,
        heads: int = 4,
        dropout: float = 0.1,
        config: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """preprocessing: of the backbone, with the tokenizer that is its decoder's too. corpus: texts that a vocabulary
        is made of. config, files: of a bundle.

        Raises: UserError for what the decoder does not take.
        """
        super().__init__()
        self.is_own = decoder == "own" or (decoder == "auto" and (backbone.has_decoder or bool(config)))
        if self.is_own:
            self.decoder: TextDecoder = backbone.decoder(config)
            self.vocabulary = Vocabulary(preprocessing.tokenizer, self.decoder.end)  # type: ignore[attr-defined]  # of texts
        else:
            self.vocabulary = Vocabulary((files or {}).get(FILE) or made_of(corpus, vocabulary), end=1, verbatim=True)
            self.decoder = small(self.vocabulary, width, depth, heads, dropout)
            channels = backbone.num_features
            if preprocessing.pixels:  # what a network does after its pooling may have more of them than its maps
                channels = as_positions(probe(backbone, preprocessing)).shape[2]
            self.bridge = nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width))
        self.max_tokens = max_tokens or min(TOKENS, self.decoder.longest or TOKENS)
        self._check(self.max_tokens, "head.max_tokens")

    def _check(self, tokens: int, key: str) -> None:
        """Raises: UserError for more tokens than the decoder can write."""
        if self.decoder.longest is not None and tokens > self.decoder.longest:
            raise UserError(f"{key}={tokens}: the decoder writes at most {self.decoder.longest} tokens")

    @property
    def stages(self) -> tuple[Stage, ...]:
        bridge = () if self.is_own else tuple(f"bridge.{name}" for name, _ in self.bridge.named_parameters())
        return self.decoder.stages("decoder.whole.", bridge)

    # --- what it looks at

    def memory(self, features: Features) -> tuple[Tensor, Tensor]:
        """(b, t, c) and (b, t) bool, False where there is nothing. Places of an image's map are told by sines, since a
        decoder sees a set of them."""
        if features.maps is None and features.tokens is None:
            raise UserError("head=decoder: the backbone gives one vector, and a decoder looks at positions")
        hidden = as_positions(features)
        mask = features.mask
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if mask is None else mask
        if self.is_own:
            return hidden, mask
        found = self.bridge(hidden)
        return found if features.maps is None else found + places(features.maps, found.shape[2]).to(found), mask

    # --- known texts

    def forward(self, features: Features, batch: Batch) -> TextOutputs:
        """Of the batch's texts (teacher forcing); in training one drawn of several, else the first of each.

        Raises: UserError where there are none: then `answers` is to be asked.
        """
        if batch.targets is None:
            raise UserError("head=decoder: a text is written token by token, which is no single run of a network")
        return self._known(*self.memory(features), batch)

    def _known(self, hidden: Tensor, mask: Tensor, batch: Batch) -> TextOutputs:
        texts = [self._one_of(several) for several in batch.targets]
        numbers = [torch.tensor(one) for one in self.vocabulary.numbers(texts, self.max_tokens)]
        counts = torch.tensor([len(one) for one in numbers])
        truth = nn.utils.rnn.pad_sequence(numbers, batch_first=True, padding_value=SEEN)
        begun = torch.cat([torch.full((len(truth), 1), self.decoder.begin), truth[:, :-1]], dim=1)
        begun = begun.masked_fill(begun == SEEN, self.decoder.end)  # behind the end, where nothing is asked for
        logits = self.decoder(hidden, mask, begun.to(hidden.device))
        there = truth != SEEN
        if logits.is_meta:  # without values nothing can be chosen, and shapes are all that is wanted
            return TextOutputs(logits.flatten(0, 1), counts.to("meta"), truth.flatten().to("meta"), None)
        device = logits.device
        return TextOutputs(logits[there.to(device)], counts.to(device), truth[there].to(device), None)

    def _one_of(self, several: Sequence[str]) -> str:
        return several[int(torch.randint(len(several), ()))] if self.training and len(several) > 1 else several[0]

    # --- writing

    def answers(self, features: Features, batch: Batch, how: Any = None) -> TextOutputs:
        """how: a Generation. Beside it what `forward` gives, of texts that are known."""
        asked = how or Generation()
        self.check_answers(asked)
        hidden, mask = self.memory(features)
        if batch.targets is None:
            none = torch.zeros(0, dtype=torch.int64, device=hidden.device)
            known = TextOutputs(hidden.new_zeros(0, len(self.vocabulary)), none.new_zeros(len(batch)), none, None)
        else:
            known = self._known(hidden, mask, batch)
        numbers = self.decoder.generate(hidden, mask, asked, self.max_tokens)
        return known._replace(texts=[self.vocabulary.text(one) for one in numbers])

    def check_answers(self, how: Generation) -> None:
        self._check(how.max_tokens or self.max_tokens, "generation.max_tokens")
        if how.length_penalty is not None and (how.beams or self.decoder.beams) == 1:
            raise UserError(
                f"generation.length_penalty={how.length_penalty:g}: counts only where several beginnings are followed; "
                "give generation.beams=4 with it, or leave it out"
            )

    # --- what a run tells, and keeps

    def remarks(self, parts: Mapping[str, Sequence[Sequence[str]]]) -> tuple[str, ...]:
        """Texts that are cut off, of each split."""
        found = []
        for split, column in parts.items():
            texts = [text for several in column for text in several]
            lengths = self.vocabulary.lengths(texts)
            cut = sum(length > self.max_tokens for length in lengths)
            if cut:
                most = f"more than head.max_tokens={self.max_tokens} tokens (the longest {max(lengths):,})"
                found.append(f"{cut:,} texts to write of {split} have {most}: what comes after them is cut off")
        return tuple(found)

    def rebuilds(self) -> dict[str, Any]:
        if self.is_own:
            return {"config": self.decoder.rebuilds()}
        return {"files": {FILE: self.vocabulary.tokenizer}}


def places(maps: Tensor, width: int) -> Tensor:
    """(h * w, width) what tells the places of a map (b, c, h, w) apart: sines of four scales a side and more.

    Source: Carion et al. 2020, "End-to-End Object Detection with Transformers", appendix A.4.
    """
    sides = []
    for count in maps.shape[-2:]:
        share = torch.arange(1, count + 1, device=maps.device, dtype=torch.float32)[:, None] / count * 2 * torch.pi
        scale = 10000 ** (torch.arange(-(-width // 4), device=maps.device) / -(-width // 4))
        sides.append(torch.cat([(share / scale).sin(), (share / scale).cos()], dim=1))
    down, across = sides
    both = torch.cat([down[:, None].expand(-1, len(across), -1), across[None].expand(len(down), -1, -1)], dim=2)
    return both.flatten(0, 1)[:, :width]
