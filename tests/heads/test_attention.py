"""A head that learns which positions count."""

import pytest
import torch

from ftlab.backbones.base import Features
from ftlab.backbones.pooling import pool
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.heads.attention import Attention

BATCH = Batch(targets=torch.zeros(2, dtype=torch.int64), index=torch.arange(2))
TOKENS = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[True] * 5, [True, True, False, False, False]])


def made() -> Attention:
    torch.manual_seed(0)
    return Attention(4, 3, "average")


def test_it_begins_as_the_mean_of_what_is_no_padding() -> None:
    head, features = made(), Features(tokens=TOKENS, mask=MASK)
    torch.testing.assert_close(head(features, BATCH), head.fc(pool(features, "average")))


def test_weights_follow_the_formula_of_the_paper_and_leave_padding_out() -> None:
    head = made()
    torch.nn.init.normal_(head.attend[2].weight)
    u = torch.tanh(TOKENS @ head.attend[0].weight.T + head.attend[0].bias)
    scores = (u @ head.attend[2].weight[0]).exp()
    for text, count in ((0, 5), (1, 2)):
        share = scores[text, :count] / scores[text, :count].sum()
        expected = head.fc((share[:, None] * TOKENS[text, :count]).sum(0))
        torch.testing.assert_close(head(Features(tokens=TOKENS, mask=MASK), BATCH)[text], expected)


def test_it_learns_to_look_where_the_answer_is() -> None:
    """The class is at the one position that is marked, which a mean hides among others of larger numbers."""
    draw = torch.Generator().manual_seed(1)
    tokens, marked = 3 * torch.randn(400, 6, 4, generator=draw), torch.randint(6, (400,), generator=draw)
    tokens[..., 0] = -2.0
    tokens[torch.arange(400), marked, 0] = 2.0
    truth = (tokens[torch.arange(400), marked, 1] > 0).long()
    found = {}
    for name, head in (("attention", made()), ("mean", torch.nn.Linear(4, 3))):
        optimizer = torch.optim.Adam(head.parameters(), lr=0.05)

        def outputs(head=head, name=name):
            return head(Features(tokens=tokens), BATCH) if name == "attention" else head(tokens.mean(1))

        for _ in range(150):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(outputs(), truth).backward()
            optimizer.step()
        found[name] = float((outputs().argmax(1) == truth).double().mean())
    assert found["attention"] > 0.95 > 0.85 > found["mean"]


def test_one_vector_is_refused_and_places_of_a_map_are_positions() -> None:
    with pytest.raises(UserError, match="head=attention: this backbone pools by itself"):
        made()(Features(vector=TOKENS[:, 0]), BATCH)
    maps = TOKENS[:, :4].transpose(1, 2).unflatten(2, (2, 2))
    torch.testing.assert_close(made()(Features(maps=maps), BATCH), made()(Features(tokens=TOKENS[:, :4]), BATCH))
