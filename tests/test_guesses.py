"""A key or an option that is not there is answered with the one that was meant."""

from pathlib import Path

import pytest

from ftlab.composition import compose
from ftlab.errors import UserError, choices, nearest
from ftlab.overrides import parse


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
        ("zebra=1", "unknown key 'zebra'; accepted: adapters, anchor"),
        ("data.root=photos", "unknown key 'root'; data.root belongs to data=image_folder, data=table, data=captions"),
        ("data.rot=photos", "did you mean data.root? It belongs to data=image_folder, data=table"),
        ("data.path=photos", "did you mean data.root? It belongs to"),
        ("data.label_colum=x", "add data=table, or another of them"),
        ("data.zebra=1", "unknown key 'zebra'; accepted: batch_size"),
        ("data=sizes.csv", "for a file of rows: data=table data.file=sizes.csv; of images: data=image_csv data.root=."),
        ("backbone=resnet18", "a network of timm is named by backbone.name=resnet18"),
        ("backbone=tables", "did you mean 'table'?"),
        ("hydra/launcher=rq", "its package is not installed: pip install hydra-rq-launcher"),
        ("hydra/sweeper=ax", "its package is not installed: pip install hydra-ax-sweeper"),
    ],
)
def test_what_is_not_there_is_answered_with_what_was_meant(typed: str, answer: str) -> None:
    with pytest.raises(UserError) as caught:
        compose([typed])
    assert str(caught.value).startswith(f"{typed.split('=')[0]}={typed.split('=')[1]}: ")
    assert answer in str(caught.value)


def test_the_name_of_a_folder_is_answered_with_the_option_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"no such option; for a folder: data=image_folder data\.root=photos; accepted: "
    ):
        compose(["data=photos"])
    with pytest.raises(UserError, match="data=fotos: no such option; accepted: "):
        compose(["data=fotos"])


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("data.root=later", "data.root=later: data.root belongs to data=image_folder, data=table"),
        ("data.rot=later", "data.rot=later: unknown key 'rot'; did you mean data.root? It belongs to"),
    ],
)
def test_a_key_of_a_group_without_an_option_is_answered_with_those_that_know_it(typed: str, answer: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(["bundle=b", typed], "evaluate")
    assert str(caught.value).startswith(answer)


def test_options_are_named_that_know_all_of_the_keys() -> None:
    with pytest.raises(
        UserError, match=r"data\.file belongs to data=captions, data=image_csv: add data=captions, or another"
    ):
        compose(["bundle=b", "data.file=a.csv", "data.path_column=path"], "evaluate")


def test_what_is_little_alike_is_no_guess() -> None:
    assert nearest("rot", ["crop_pct", "check"]) is None
    assert nearest("rl", ["betas", "lr"]) == "lr"  # letters that changed places
    assert choices("x", ["a"]) == "accepted: a."
    assert choices("laterr", ["later"]) == "did you mean 'later'? Accepted: later."


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["input=a.jpg", "b.jpg", "top_k=2"], "b.jpg: expected key=value; several are written input=[a.jpg,b.jpg]"),
        (["bundle=b", "c"], "c: expected key=value"),
        (
            ["input=1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"],
            "2.jpg: expected key=value; several are written input=[a",
        ),
    ],
)
def test_files_after_an_input_are_answered_with_how_a_list_is_written(words: list[str], answer: str) -> None:
    _, errors = parse(words, False, frozenset({"input"}))
    assert errors[0].startswith(answer)
    assert ("several" in errors[0]) == ("several" in answer)


def test_a_key_that_needs_a_value_is_told_with_its_meaning() -> None:
    with pytest.raises(UserError, match=r"data.root=\.\.\.; folder that .* relative to; \. is the working folder$"):
        compose(["data=image_csv", "data.file=labels.csv"])
