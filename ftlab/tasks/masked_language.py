"""Which token is hidden? What a network of texts learns from texts without labels.

Shapes: b batch, v tokens of the vocabulary, m tokens that are asked for, of all texts, k candidates of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.batch import Batch
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.heads.words import WordOutputs
from ftlab.inputs.base import InputPreprocessing
from ftlab.targets.masked_tokens import MaskedTokens
from ftlab.tasks.base import Better, Task

if TYPE_CHECKING:
    from torchmetrics import Metric, MetricCollection

CANDIDATES = 20  # of each hidden token that a prediction keeps; `top_k` of them are told


class Filled(NamedTuple):
    """A prediction of one text."""

    tokens: Tensor  # (m of it, k) the most probable first
    probabilities: Tensor  # (m of it, k)
    sums: Tensor  # (3,) float64: loss, how many are right, how many are asked for; 0 where the truth is not known


class MaskedLanguage(Task):
    """Cross entropy of the tokens that are hidden, each of which counts as much as any other of the split.

    Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
    """

    name = "masked_language"
    takes = MaskedTokens
    reads: ClassVar[str] = "words"
    objective = "perplexity"
    num_outputs = 1  # one token in each place; from how many it is chosen, the network's own vocabulary says
    predict_settings: Mapping[str, Any] = MappingProxyType({"top_k": 5})  # most probable tokens to list
    worst_title = "The texts with the highest perplexity"

    def __init__(self, spec: DataSpec, share: float = 0.15) -> None:
        """share: of the tokens of a text that are hidden, of every text at least one."""
        super().__init__(spec)
        self.spec = replace(spec, target=MaskedTokens(share))
        self.word: Any = str

    def meets(self, preprocessing: InputPreprocessing) -> None:
        """The words of its tokens are the preprocessing's."""
        self.word = getattr(preprocessing, "word", str)

    def loss(self, outputs: WordOutputs, batch: Batch) -> tuple[Tensor, Tensor]:
        assert outputs.truth is not None, "only predictions lack it"
        total = functional.cross_entropy(outputs.logits.float(), outputs.truth, reduction="sum")
        return total, outputs.logits.new_full((), len(outputs.logits), dtype=torch.float32)

    def predictions(self, outputs: WordOutputs) -> list[Filled]:
        """What is of the vocabulary's size ends here."""
        logs = outputs.logits.float().log_softmax(1)
        best = logs.topk(min(CANDIDATES, logs.shape[1]), dim=1)
        sums = _sums(logs, best.indices[:, 0], outputs)
        parts = (part.split(outputs.counts.tolist()) for part in (best.indices, best.values.exp()))
        return [Filled(*one) for one in zip(*parts, sums, strict=True)]

    def compared(self, predictions: Sequence[Filled], targets: Tensor) -> tuple[Tensor, Tensor]:
        """(b, 3) the sums of each text, and the targets."""
        return torch.stack([one.sums for one in predictions]), targets

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection

        from ftlab.tasks.token_sums import TokenSums

        return MetricCollection({"sums": TokenSums()})

    @property
    def better(self) -> Mapping[str, Better]:
        return {"perplexity": "min", "accuracy": "max"}

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        return {"accuracy": (0.0, 1.0)}

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        """Of all hidden tokens of a split: e to the mean loss, and the share that is right."""
        loss, right, asked = values["sums"].tolist()
        if not asked:
            return {"perplexity": None, "accuracy": None}
        return {"perplexity": _perplexity(loss / asked), "accuracy": right / asked}

    def diagnosis(self) -> "Metric | None":
        return None

    def section(self, diagnosis: Any, split: str) -> dict[str, Any]:
        return {}

    def at_predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = super().at_predict(given)
        if found["top_k"] > CANDIDATES:
            raise UserError(f"top_k={found['top_k']}: accepted for hidden tokens is 1 to {CANDIDATES}")
        return found

    def describe(self, predictions: Sequence[Filled], top_k: int) -> list[dict[str, Any]]:
        """{masks: [{token, probability, top}]}, one for each mask token of the text, in order."""
        return [{"masks": [self._mask(one, place, top_k) for place in range(len(one.tokens))]} for one in predictions]

    def _mask(self, one: Filled, place: int, top_k: int) -> dict[str, Any]:
        words = [self.word(token) for token in one.tokens[place, :top_k].tolist()]
        chances = one.probabilities[place, :top_k].tolist()
        top = [{"token": word, "probability": chance} for word, chance in zip(words, chances, strict=True)]
        return {**top[0], "top": top}

    def worst(self, predictions: Sequence[Filled], targets: Tensor) -> list[dict[str, Any]]:
        found = []
        for position, one in enumerate(predictions):
            loss, right, asked = one.sums.tolist()
            if right < asked:
                mean = loss / asked
                said = {"truth": f"{asked:.0f} tokens hidden", "prediction": f"{right:.0f} found"}
                note = f"perplexity {_perplexity(mean):.3g}"
                found.append({"position": position, **said, "severity": mean, "note": note})
        return sorted(found, key=lambda one: -one["severity"])


def _sums(logs: Tensor, chosen: Tensor, outputs: WordOutputs) -> Tensor:
    """(b, 3) as Filled.sums. logs: (m, v) of probabilities; chosen: (m,)."""
    texts, truth = len(outputs.counts), outputs.truth
    if truth is None:
        return logs.new_zeros(texts, 3)
    each = torch.stack([-logs.gather(1, truth[:, None])[:, 0], (chosen == truth).to(logs), torch.ones_like(logs[:, 0])])
    of = torch.repeat_interleave(torch.arange(texts, device=logs.device), outputs.counts)
    wide = torch.float32 if logs.device.type == "mps" else torch.float64  # MPS has no float64
    return torch.zeros(texts, 3, device=logs.device, dtype=wide).index_add(0, of, each.T.to(wide))


def _perplexity(loss: float) -> float:
    """Without an end that a float would not reach: a loss of 700 is as bad as any."""
    return float(torch.tensor(min(loss, 700.0), dtype=torch.float64).exp())
