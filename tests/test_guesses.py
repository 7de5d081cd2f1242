"""A key or an option that is not there is answered with the one that was meant."""

import pytest

from ftlab.composition import compose
from ftlab.errors import UserError


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("epochs=3", "did you mean trainer.max_epochs?"),
        ("trainer.epochs=3", "did you mean trainer.max_epochs?"),
        ("lr=0.1", "did you mean optimizer.lr?"),
        ("learning_rate=0.1", "did you mean optimizer.lr?"),
        ("batch_size=8", "did you mean data.batch_size?"),
        ("max_epoch=8", "did you mean trainer.max_epochs?"),
        ("output_dir=x", "did you mean hydra.run.dir?"),
        ("patience=3", "did you mean early_stopping.patience or strategy.patience?"),
        ("trianer.max_epochs=3", "did you mean 'trainer'?"),
        ("optimizer.rl=1", "did you mean 'lr'?"),
        ("zebra=1", "Accepted: augment, backbone"),
        ("backbone=resnet18", "a network of timm is named by backbone.name=resnet18"),
        ("backbone=tables", "did you mean 'table'?"),
        ("hydra/launcher=joblib", "its package is not installed: pip install hydra-joblib-launcher"),
        ("hydra/sweeper=optuna", "its package is not installed: pip install hydra-optuna-sweeper"),
    ],
)
def test_what_is_not_there_is_answered_with_what_was_meant(typed: str, answer: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([typed])
    assert str(caught.value).startswith(f"{typed.split('=')[0]}={typed.split('=')[1]}: ")
    assert answer in str(caught.value)
