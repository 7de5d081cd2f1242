"""Where an answer begins and ends: two numbers of each token.

Shapes: b batch, t positions of all windows of a sample.
"""

from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from ftlab.backbones.base import Features
from ftlab.backbones.pooling import as_positions
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.heads.settings import check_dropout
from ftlab.inputs.texts.offsets import Offsets


class SpanOutputs(NamedTuple):
    logits: Tensor  # (b, t, 2) float32, of an answer's first and of its last token
    mask: Tensor  # (b, t) bool, False where there is no token; windows are parted so
    context: Tensor  # (b, t) bool, True for the tokens among which answers are


class Span(Head):
    """One linear layer `fc` on each token. Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional
    Transformers for Language Understanding", 4.2 and 4.3."""

    gives: ClassVar[str] = "spans"

    def __init__(self, num_features: int, num_outputs: int, default_pool: str, *, dropout: float = 0.0) -> None:
        """Raises: UserError for a dropout that is no probability."""
        super().__init__()
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(num_features, num_outputs)

    def forward(self, features: Features, batch: Batch) -> SpanOutputs:
        """Raises: UserError for features of something else than texts."""
        if not isinstance(batch.frame, Offsets) or features.tokens is None:
            raise UserError("head=span: answers are spans of texts, and the inputs are none")
        tokens = as_positions(features)
        return SpanOutputs(self.fc(self.dropout(tokens)).float(), batch.frame.mask, batch.frame.in_context)
