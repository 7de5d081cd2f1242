"""Settings with which a schedule cannot run are refused before anything does."""

import pytest

from ftlab.assembly import assemble
from ftlab.composition import compose
from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.targets.classes import Classes
from tests.training.tiny import pictures, tiny_backbone


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("step", "every=0"),
        ("step", "gamma=-0.1"),
        ("exponential", "gamma=0"),
        ("cosine", "floor=1.5"),
        ("linear", "floor=-0.1"),
        ("one_cycle", "rise=-1"),
        ("one_cycle", "start=2"),
        ("cyclic", "period=0"),
        ("cyclic", "decay=3"),
        ("plateau", "patience=0"),
        ("plateau", "factor=2"),
        ("plateau", "min_delta=-1"),
        ("constant", "warmup=-1"),
    ],
)
def test_a_setting_outside_its_range_is_an_error_that_names_it(option: str, wrong: str) -> None:
    with pytest.raises(UserError, match=f"schedule.{wrong}"):
        compose([f"schedule={option}", f"schedule.{wrong}"])


def test_a_schedule_that_watches_the_validation_split_needs_one() -> None:
    train: Samples = pictures(20)
    classes = ("a", "b", "c", "d")
    config = compose(["schedule=plateau", "strategy=head_only"])
    parts = assemble(config, Splits(train, pictures(8), None, Classes(classes)), tiny_backbone())
    assert parts.schedule
    with pytest.raises(UserError, match=r"schedule=plateau.*validation split"):
        assemble(config, Splits(train, None, None, Classes(classes)), tiny_backbone())
