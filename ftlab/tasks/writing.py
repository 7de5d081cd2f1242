"""A text out of a text, or out of an image: translation, captioning.

Shapes: b batch, v tokens of the vocabulary, m tokens of all texts, s sums of a text.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ftlab.backbones.generation import Generation
from ftlab.batch import Batch
from ftlab.blocks import Block, Column, Heading, Note, Table
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.heads.decoder import TextOutputs
from ftlab.targets.texts import References, Texts, beginning
from ftlab.tasks import text_scores
from ftlab.tasks.base import Better, Task

if TYPE_CHECKING:
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.tasks.sums import Sums, Units

TOKENS = 3  # sums of the tokens of a text: loss, how many are right, how many there are
RIGHT = 99.5  # chrF of a text from which it is none of the worst


class Said(NamedTuple):
    """A prediction of one sample."""

    text: str | None  # None where nothing was generated
    sums: Tensor  # (3,) float64 of its tokens; 0 where the truth is not known


class Writing(Task):
    """Cross entropy of each token of the true text, given those before it (teacher forcing); each token of the split
    counts as much as any other. The text itself is generated where its figures are asked for."""

    name = "writing"
    takes = Texts
    reads: ClassVar[str] = "texts"
    num_outputs = 1  # one token in each place; from how many it is chosen, the decoder says
    predict_settings: Mapping[str, Any] = MappingProxyType({"generation": None})
    worst_title = "The texts that are furthest from the true ones"

    def __init__(
        self,
        spec: DataSpec,
        label_smoothing: float = 0.1,
        generation: Mapping[str, Any] | None = None,
        generate: Literal["end", "each"] = "end",
    ) -> None:
        """label_smoothing: in training alone; loss and perplexity of val and test are without. generate: texts are
        written with the best weights at the end, or after each epoch too, so that monitor=bleu can choose.

        Raises: UserError for settings of `generation` that are none.
        """
        super().__init__(spec)
        self.label_smoothing = label_smoothing
        self.generation = Generation().over(generation or {})
        self.each_epoch = generate == "each"
        self.objective = "bleu" if self.each_epoch else "perplexity"

    def loss(self, outputs: TextOutputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._loss(outputs, 0.0)

    def training_loss(self, outputs: TextOutputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._loss(outputs, self.label_smoothing)

    def _loss(self, outputs: TextOutputs, smoothing: float) -> tuple[Tensor, Tensor]:
        logits = outputs.logits.float()
        total = functional.cross_entropy(logits, outputs.truth, reduction="sum", label_smoothing=smoothing)
        return total, logits.new_full((), len(logits))

    def predictions(self, outputs: TextOutputs) -> list[Said]:
        """What is of the vocabulary's size ends here."""
        texts: Sequence[str | None] = outputs.texts or [None] * len(outputs.counts)
        return [Said(text, sums) for text, sums in zip(texts, _sums(outputs), strict=True)]

    def compared(self, predictions: Sequence[Said], targets: Sequence[References]) -> tuple[Tensor, Tensor]:
        """(b, s) the sums of each text: of its tokens, then text_scores.sums_of, 0 where nothing was generated; and
        (b, 0)."""
        tokens = torch.stack([one.sums for one in predictions])
        texts = tokens.new_zeros(len(predictions), text_scores.WIDTH)
        if all(one.text is not None for one in predictions):
            texts = text_scores.sums_of([one.text or "" for one in predictions], targets).to(tokens)
        return torch.cat([tokens, texts], dim=1), tokens[:, :0]

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection

        return MetricCollection({"sums": self.diagnosis()})

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.token_sums import TokenSums

        return TokenSums(TOKENS + text_scores.WIDTH)

    @property
    def better(self) -> Mapping[str, Better]:
        of_texts: Mapping[str, Any] = text_scores.BETTER if self.each_epoch else {}
        return {"perplexity": "min", "token_accuracy": "max", **of_texts}

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        shares = dict.fromkeys(("token_accuracy", *text_scores.MEANS), (0.0, 1.0))
        return {**shares, "bleu": (0.0, 100.0), "chrf": (0.0, 100.0)}

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        loss, right, count, *texts = values["sums"].tolist()
        if not count:
            return dict.fromkeys(("perplexity", "token_accuracy", *text_scores.BETTER))
        return {
            "perplexity": _perplexity(loss / count),
            "token_accuracy": right / count,
            **text_scores.figures(texts),
        }

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "Mapping[str, Sums]":
        from ftlab.tasks.token_sums import of_figures

        return of_figures(units.sums(predictions), self._resampled, [self.objective, "perplexity", "bleu", "chrf"])

    def _resampled(self, sums: Tensor) -> dict[str, float | None]:
        return self.figures({"sums": sums})

    def section(self, diagnosis: Tensor, split: str) -> dict[str, Any]:
        written = bool(diagnosis[TOKENS])
        signatures = text_scores.signatures() if written else {}
        return {"writing": {"split": split, "texts": int(diagnosis[TOKENS]), "signatures": signatures}}

    def blocks(self, report: Mapping[str, Any]) -> Sequence[Block]:
        own = report.get("writing")
        if not own or not own["signatures"]:
            return []
        rows = [[name, signature] for name, signature in own["signatures"].items()]
        columns: list[Column | str] = ["figure", Column("signature of sacrebleu", left=True, width=120)]
        said = "How the figures of texts were computed, for comparison with those of others."
        return [Heading("Figures of texts"), Note(said), Table(columns, rows)]

    # --- predictions

    def at_predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Raises: UserError for a setting of generation that is none."""
        asked = given.get("generation")
        others = {name: value for name, value in given.items() if name != "generation"}
        super().at_predict(others)
        if not isinstance(asked, Mapping | None):
            raise UserError(f"generation={asked}: accepted are settings by name, as generation.beams=4 has one")
        self.generation.over(asked or {})
        return {"generation": asked}

    def answering(self, settings: Mapping[str, Any]) -> Generation:
        return self.generation.over(settings.get("generation") or {})

    def describe(self, predictions: Sequence[Said], generation: Any = None) -> list[dict[str, Any]]:
        """{text}, what was written."""
        return [{"text": one.text} for one in predictions]

    def worst(self, predictions: Sequence[Said], targets: Sequence[References]) -> list[dict[str, Any]]:
        found = []
        for position, (one, true) in enumerate(zip(predictions, targets, strict=True)):
            if one.text is None:
                continue
            near = text_scores.nearness(one.text, true)
            if near < RIGHT:
                texts = {"truth": " / ".join(map(beginning, true)), "prediction": beginning(one.text)}
                found.append({"position": position, **texts, "severity": 100 - near, "note": f"chrf {near:.1f}"})
        return sorted(found, key=lambda one: -one["severity"])


class Translation(Writing):
    name = "translation"


class Captioning(Writing):
    name = "captioning"


def _sums(outputs: TextOutputs) -> Tensor:
    """(b, 3) as Said.sums."""
    logits, truth = outputs.logits.float(), outputs.truth
    wide = torch.float32 if logits.device.type == "mps" else torch.float64  # MPS has no float64
    losses = functional.cross_entropy(logits, truth, reduction="none")
    each = torch.stack([losses, (logits.argmax(1) == truth).to(losses), torch.ones_like(losses)], dim=1).to(wide)
    known = outputs.counts if len(logits) else torch.zeros_like(outputs.counts)
    of = torch.repeat_interleave(torch.arange(len(known), device=logits.device), known)
    return torch.zeros(len(known), TOKENS, device=logits.device, dtype=wide).index_add(0, of, each)


def _perplexity(loss: float) -> float:
    """Without an end that a float would not reach: a loss of 700 is as bad as any."""
    return float(torch.tensor(min(loss, 700.0), dtype=torch.float64).exp())
