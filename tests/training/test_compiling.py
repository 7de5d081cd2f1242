"""torch.compile: the same training in every phase, never where it does not pay, and nothing left of it afterwards."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from torch import nn

import ftlab
from ftlab.errors import UserError
from ftlab.run import train
from ftlab.training.trainer import only_news
from ftlab.training.trials import automatic, compiling
from ftlab.training.trials.compiling import Compiled, chosen, verdict
from tests.training.test_caching import PHASES
from tests.training.test_resume import assert_equal, last
from tests.training.tiny import BASE, Run, parts_of, prepared, splits, tiny_backbone

ON = (*PHASES, "compile=on")
compile_with = torch.compile


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """torch.compile without code of its own, which takes half a minute to make; gives the sizes of its graphs."""
    sizes: list[int] = []
    from torch._dynamo.backends.registry import lookup_backend

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        sizes.append(len(graph.graph.nodes))
        return lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(torch, "compile", partial(compile_with, backend=backend))
    return sizes


def differences(run: Run, other: Run) -> float:
    pairs = zip(run.state().values(), other.state().values(), strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("cache", ["memory", pytest.param("off", marks=pytest.mark.slow)])
def test_compiled_steps_train_the_same_in_every_phase(tmp_path: Path, quick: list[int], cache: str) -> None:
    run = prepared(tmp_path / "on", *ON, f"cache={cache}", drop=0.0).fit()
    assert len(quick) == 3  # a graph a phase, whole
    assert cache == "off" or sorted(quick) == quick  # the head; with the last block; all
    plain = prepared(tmp_path / "off", *PHASES, "compile=off", f"cache={cache}", drop=0.0).fit()
    assert len(quick) == 3
    assert differences(run, plain) < 1e-5
    assert run.finetuner.compiled is None
    assert list(run.parts.model.state_dict()) == list(plain.parts.model.state_dict())


def test_the_odd_batch_at_the_end_of_an_epoch_is_not_compiled_and_trains_all_the_same(
    tmp_path: Path, quick: list[int]
) -> None:
    words = ("strategy=full", "trainer.max_epochs=2", "data.batch_size=12")  # 40 samples
    run = prepared(tmp_path / "on", *words, "compile=on", drop=0.0).fit()
    assert len(quick) == 1
    assert differences(run, prepared(tmp_path / "off", *words, "compile=off", drop=0.0).fit()) < 1e-5


def test_a_batch_size_above_the_number_of_samples_is_compiled_for_what_there_is(
    tmp_path: Path, quick: list[int]
) -> None:
    prepared(tmp_path, "strategy=full", "trainer.max_epochs=1", "data.batch_size=64", "compile=on").fit()
    assert len(quick) == 1


@pytest.mark.slow  # a minute of the compiler of C++; the quick tests replace it, and nothing of ours
@pytest.mark.parametrize("strategy", ["head_only", "full"])
def test_real_compiled_code_trains_as_the_network_itself(tmp_path: Path, strategy: str) -> None:
    words = (f"strategy={strategy}", "trainer.max_epochs=1")
    run = prepared(tmp_path / "on", *words, "compile=on", drop=0.0).fit()
    assert differences(run, prepared(tmp_path / "off", *words, "compile=off", drop=0.0).fit()) < 1e-4


@pytest.mark.slow
def test_a_compiled_run_that_goes_on_within_an_epoch_ends_with_the_same_bits(tmp_path: Path, quick: list[int]) -> None:
    words = (*ON, "checkpoint.every_n_steps=1")
    prepared(tmp_path / "whole", *words).fit()

    class Dies(Callback):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 13:
                raise KeyError("killed")

    run = prepared(tmp_path / "killed", *words)
    with pytest.raises(KeyError, match="killed"):
        run.fit(Dies())
    assert run.finetuner.compiled is None
    before, again = len(quick), prepared(tmp_path / "again", *words)
    with only_news():
        checkpoint = tmp_path / "killed" / "checkpoints" / "last.ckpt"
        again.trainer.fit(again.finetuner, ckpt_path=checkpoint, weights_only=True)
    assert len(quick) > before
    assert_equal(last(tmp_path / "whole")["state_dict"], last(tmp_path / "again")["state_dict"])


def test_a_network_that_cannot_be_compiled_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", partial(compile_with, backend=fails))
    words = [*BASE, "strategy=full", "compile=on", "trainer.max_epochs=1"]
    with pytest.raises(UserError, match=r"compile=on: torch cannot compile .*no compiler here.*; use compile=off"):
        train(ftlab.compose(words), tmp_path, splits(), tiny_backbone())


# --- auto


def test_compiling_pays_where_the_steps_save_more_than_it_takes() -> None:
    assert verdict("all", 1000, plain=0.2, compiled=0.1, first=99, compilations=1)[0] == "on"
    assert verdict("all", 1000, plain=0.2, compiled=0.1, first=101, compilations=1)[0] == "off"
    assert verdict("all", 1000, plain=0.2, compiled=0.1, first=99, compilations=2)[0] == "off"
    assert verdict("all", 1000, plain=0.1, compiled=0.2, first=1, compilations=1) == (
        "off",
        "a step of 'all' takes 0.1 s, compiled 0.2 s, and 1 s to compile",
    )


def test_without_a_gpu_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "chosen", lambda *_: pytest.fail("tried"))
    parts, settings, make_data = parts_of(*PHASES, "compile=auto")
    assert automatic._compile(parts, settings, make_data)[0] == "off"


def test_a_short_run_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "estimates", lambda *_: pytest.fail("tried"))
    parts, settings, make_data = parts_of(*PHASES)
    value, why = chosen(parts, make_data(), settings)
    assert (value, why) == ("off", "compiling takes longer than it saves in 25 steps")


def test_a_long_run_is_tried_in_its_longest_phase_and_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, quick: list[int]
) -> None:
    monkeypatch.setattr(compiling, "FEW", 1)
    said: list[Any] = []
    monkeypatch.setattr(compiling, "verdict", lambda *figures, **_: said.append(figures) or ("on", "why"))
    parts, settings, make_data = parts_of(*PHASES, "trainer.max_epochs=5")
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    assert chosen(parts, make_data(), settings) == ("on", "why")
    [(phase, steps, plain, compiled, first)] = said
    assert (phase, steps) in (("head", 10), ("top", 10), ("all", 5))
    assert first > compiled > 0 < plain
    assert len(quick) == 1
    assert_equal(dict(parts.model.state_dict()), before)


def test_a_network_that_cannot_be_compiled_is_left_alone_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", partial(compile_with, backend=fails))
    monkeypatch.setattr(compiling, "FEW", 1)
    parts, settings, make_data = parts_of(*PHASES)
    value, why = chosen(parts, make_data(), settings)
    assert value == "off"
    assert "cannot compile" in why
    assert "no compiler here" in why


class Locked(nn.Sequential):
    """A network that cannot be copied, and so not be tried."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle a lock")


def test_a_trial_that_fails_for_any_reason_leaves_the_run_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "FEW", 1)
    parts, settings, make_data = parts_of(*PHASES)
    parts.model.backbone.model.__class__ = Locked  # type: ignore[assignment]
    assert chosen(parts, make_data(), settings) == ("off", "the trial of it failed: cannot pickle a lock")


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["trainer.devices=2"], {}),
        (["trainer.num_nodes=2"], {}),
        ([], {"LOCAL_RANK": "0", "WORLD_SIZE": "2"}),
    ],
)
def test_nothing_is_tried_where_each_process_would_choose_for_itself(
    monkeypatch: pytest.MonkeyPatch, words: list[str], environment: dict[str, str]
) -> None:
    monkeypatch.setattr(compiling, "chosen", lambda *_: pytest.fail("tried"))
    monkeypatch.setattr(automatic, "on_gpu", lambda settings: True)
    parts, settings, make_data = parts_of(*PHASES, *words)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert automatic._compile(parts, settings, make_data) == ("off", "it is not tried with several processes")


def test_a_run_from_before_there_was_such_a_key_goes_on_without(tmp_path: Path) -> None:
    words = [*BASE, "strategy=head_only", "trainer.max_epochs=1"]
    train(ftlab.compose(words), tmp_path, splits(), tiny_backbone())
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del config["compile"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    more = [*BASE, "strategy=head_only", f"resume={tmp_path}", "trainer.max_epochs=2"]
    report = train(ftlab.compose([*more, "resume_allow=[trainer.max_epochs]"]), data=splits(), backbone=tiny_backbone())
    assert "compile=auto: off; as the run began" in report["automatic"]
    with pytest.raises(UserError, match=r"compile \(off -> on\)"):
        train(ftlab.compose([*more, "resume_allow=[trainer.max_epochs]", "compile=on"]), data=splits())


def test_what_is_compiled_is_no_part_of_the_module(tmp_path: Path) -> None:
    """A module in a module would be saved with it, twice."""
    run = prepared(tmp_path, "strategy=full")
    run.finetuner.compiled = Compiled(run.parts.model, 8)
    assert not isinstance(run.finetuner.compiled, nn.Module)
    assert len(list(run.finetuner.state_dict())) == len(list(run.parts.model.state_dict())) + len(
        [name for name in run.finetuner.state_dict() if not name.startswith("model.")]
    )
