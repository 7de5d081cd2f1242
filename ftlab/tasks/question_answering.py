"""The span of a context that answers a question, or that none does.

Shapes: b batch, n questions, k answers of a question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ftlab.batch import Batch
from ftlab.blocks import Sample
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.heads.span import SpanOutputs
from ftlab.inputs.texts.offsets import Offsets
from ftlab.targets.ragged import Parts
from ftlab.targets.spans import NOWHERE, Answer, Spans, beginning
from ftlab.tasks import answers
from ftlab.tasks.base import Better, Task, Trivial

if TYPE_CHECKING:
    import numpy as np
    from torchmetrics import Metric, MetricCollection

    from ftlab.tasks.sums import Sums, Units

UNDECIDED = 0.5  # score from which an answer is given while no val split has decided it
FIGURES = ("f1", "exact_match")
APART = ("has_answer_f1", "has_answer_exact_match", "no_answer_exact_match")  # where some questions have no answer
Found = Mapping[str, Any]  # of a sample {"ends": (k, 2), "score": (k,), "context": text}


class QuestionAnswering(Task):
    """Each window of a context is asked where the answer begins and ends in it; the surest of all is the answer.

    An answer is given from `score` on, which val decides by the best mean F1 where train has questions without one.
    """

    name = "question_answering"
    takes = Spans
    reads = "spans"
    objective = "f1"
    raw_figures = True
    predict_settings: Mapping[str, Any] = MappingProxyType({"score": None, "top_k": 5})
    of_lines = ("top_k",)
    worst_title = "The worst answers"

    def __init__(
        self, spec: DataSpec, score: float | Literal["auto"] = "auto", longest: int = 30, candidates: int = 20
    ) -> None:
        """Raises: UserError for a score that is none, and for data without answers."""
        super().__init__(spec)
        self.num_outputs = 2
        self.with_none = spec.target.without > 0  # type: ignore[attr-defined]  # as `takes` says
        self.decided = score != "auto" or not self.with_none
        self.score = (UNDECIDED if self.with_none else 0.0) if score == "auto" else float(score)
        self.longest, self.candidates = longest, candidates
        if not 0 <= self.score <= 1:
            raise UserError(f"task.score={score}: accepted is 0 to 1")

    def loss(self, outputs: SpanOutputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return answers.losses(outputs, batch.targets)

    def predictions(self, outputs: SpanOutputs) -> list[Parts]:
        """Of each sample ends (k, 2), positions of its tokens, and score (k,); the surest first."""
        return answers.found(outputs, self.longest, self.candidates)

    def in_raw(self, predictions: Sequence[Parts], frame: Offsets) -> list[Found]:
        return [*answers.in_text(predictions, frame)]

    def compared(self, predictions: Sequence[Found], targets: Sequence[Answer]) -> tuple[Tensor, Tensor]:
        return answers.quality(predictions, targets)

    def metrics(self, samples: int) -> "MetricCollection":
        from torchmetrics import MetricCollection

        from ftlab.tasks.answer_metric import Gathered

        return MetricCollection({"answers": Gathered()})

    @property
    def better(self) -> Mapping[str, Better]:
        return dict.fromkeys((*FIGURES, *(APART if self.with_none else ())), "max")

    @property
    def scales(self) -> Mapping[str, tuple[float, float]]:
        return dict.fromkeys(self.better, (0.0, 1.0))

    def figures(self, values: Mapping[str, Tensor]) -> dict[str, float | None]:
        true = values["true"][:, 0] == 1
        exact, f1 = answers.given(values["rows"], values["true"], self.score)
        parts = (f1, exact, f1[true], exact[true], exact[~true])
        found = {
            name: float(part.mean()) if len(part) else None
            for name, part in zip((*FIGURES, *APART), parts, strict=True)
        }
        return {name: found[name] for name in self.better}

    def scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return answers.given(predictions, targets, self.score)[1].float()

    def sums(self, predictions: "np.ndarray", targets: "np.ndarray", units: "Units") -> "Mapping[str, Sums]":
        from ftlab.tasks.sums import mean

        exact, f1 = answers.given(torch.tensor(predictions), torch.tensor(targets), self.score)
        return {"f1": mean(f1.numpy(), units), "exact_match": mean(exact.numpy(), units, share=True)}

    def trivials(self) -> list[Trivial]:
        says = "always saying that there is no answer"
        return [Trivial(says, torch.tensor([answers.NO_ANSWER, 0.0, 0.0]))] if self.with_none else []

    def diagnosis(self) -> "Metric":
        from ftlab.tasks.answer_metric import Gathered

        return Gathered()

    def settle(self, diagnosis: Mapping[str, Tensor]) -> None:
        if not self.decided:
            self.score = answers.best_score(diagnosis["rows"], diagnosis["true"])

    def settled(self) -> dict[str, Any]:
        return {"score": self.score}

    def section(self, diagnosis: Mapping[str, Tensor], split: str) -> dict[str, Any]:
        from ftlab.tasks.answer_section import section

        return {"answers": {"split": split, **section(diagnosis["rows"], diagnosis["true"], self.score)}}

    def at_predict(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return super().at_predict({name: value for name, value in given.items() if value is not None})

    def describe(
        self, predictions: Sequence[Found], score: float | None = None, top_k: int = 5
    ) -> list[dict[str, Any]]:
        """{answer, score, start, end, top: [{answer, score, start, end}]}: characters of the context, and the text that
        stands there; no text and no place where no answer is given, and the score of the surest all the same."""
        least = self.score if score is None else score
        return [self._record(one, least, top_k) for one in predictions]

    def _record(self, one: Found, least: float, top_k: int) -> dict[str, Any]:
        rows = zip(one["ends"], one["score"].tolist(), strict=True)
        top = [
            {
                "answer": answers.text_of(one["context"], ends),
                "score": score,
                "start": ends.tolist()[0],
                "end": ends.tolist()[1],
            }
            for ends, score in rows
        ]
        best = top[0] if top else {"score": 0.0}
        none = {"answer": "", "score": best["score"], "start": None, "end": None}
        return {**(best if top and best["score"] >= least else none), "top": top[:top_k]}

    def flat(self, record: Mapping[str, Any], prediction: Any) -> dict[str, Any]:
        return {name: value for name, value in record.items() if name != "top"}

    def worst(self, predictions: Sequence[Found], targets: Sequence[Answer]) -> list[dict[str, Any]]:
        """What is sure and wrong, or right and unsure, so that no threshold decides."""
        rows, true = self.compared(predictions, targets)
        score, right = rows[:, 0].clamp(min=0), rows[:, 2] * true[:, 0]
        severity = torch.where(true[:, 0] == 1, score * (1 - right) + (1 - score) * right.ceil(), score).tolist()
        order = sorted(range(len(severity)), key=lambda place: -severity[place])
        return [
            {"position": place, "severity": severity[place], **self._told(predictions[place], targets[place])}
            for place in order
            if severity[place] > 0
        ]

    def _told(self, one: Found, true: Answer) -> dict[str, str]:
        """The texts of one of the worst, by what is given at `score`."""
        sure = len(one["score"]) > 0 and float(one["score"][0]) >= self.score
        said = beginning(answers.text_of(true.context, one["ends"][0])) if sure else "no answer"
        score = f"({float(one['score'][0]):.2f})" if len(one["score"]) else ""
        return {"truth": self.spec.target.shown(true), "prediction": said, "note": score}

    def drawn(self, sample: Sample, worst: Mapping[str, Any]) -> Sample:
        """The context around both answers, and what is given by the score that val has decided since."""
        from ftlab.tasks.answer_section import passage

        one, true = worst["answer"], worst["target"]
        cells = {"question": (sample.cells or {}).get("text", "")}
        said = one["ends"][0].tolist() if len(one["ends"]) else None
        span = None if true.start == NOWHERE else (true.start, true.end)
        texts: dict[str, Any] = self._told(one, true)
        return replace(sample, **texts, cells=cells, passage=passage(true.context, said, span))
