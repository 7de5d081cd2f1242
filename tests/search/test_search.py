"""A search from the command line, with runs that train nothing: what is asked, told, kept and gone on with."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftlab.files.writing import read_json
from ftlab.search import door
from ftlab.search.study import JOURNAL, OVERRIDES, storage_of
from tests.conftest import Command, Ended

SEARCH = ("train", "-m", "hydra/sweeper=optuna", "hydra.sweep.dir=all")


def trials(journal: Path = Path("all", JOURNAL)) -> list[Any]:
    storage = storage_of(str(journal))
    return storage.get_all_trials(storage.get_study_id_from_name("search"))


def seeds(calls: list[tuple[str, Any]]) -> list[int]:
    return [config.seed for _, config in calls]


def wrong(command: Command, *words: str) -> str:
    ended = command(*SEARCH, *words)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err
    assert not Path("all").exists()
    return ended.err


def test_a_grid_is_searched_whole_and_the_failed_trial_is_listed_while_the_others_run(
    command: Command, quick_run: list
) -> None:
    ended = command(*SEARCH, "sweep.sampler=grid", "seed=3,7", "optimizer.lr=range(0.1,0.3,0.1)")
    assert ended.code == 1  # a job failed
    assert sorted((config.seed, config.optimizer.lr) for _, config in quick_run) == [
        (seed, lr) for seed in (3, 7) for lr in (0.1, 0.2)
    ]
    assert [trial.state.name for trial in trials()].count("FAIL") == 2
    assert max(trial.values[0] for trial in trials() if trial.values) == 0.25  # 1 / (1 + seed)
    assert "failed: seed=7: wrong input" in ended.out
    assert "job 4 of" in ended.out


@pytest.mark.parametrize("sampler", ["cmaes", "qmc"])
def test_a_sampler_gives_values_of_the_space(sampler: str, command: Command, quick_run: list) -> None:
    space = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "trainer.max_epochs=int(interval(2,5))")
    assert command(*SEARCH, f"sweep.sampler={sampler}", "sweep.trials=3", *space).code == 0
    found = [(config.optimizer.lr, config.trainer.max_epochs) for _, config in quick_run]
    assert len({lr for lr, _ in found}) == 3
    assert all(1e-4 <= lr <= 1e-1 and epochs in (2, 3, 4, 5) for lr, epochs in found)


def test_a_search_that_was_interrupted_goes_on_and_none_is_lost(command: Command, quick_run: list) -> None:
    space = ("sweep.sampler=random", "seed=choice(0,1,2,3,4,5,9)", "optimizer.lr=interval(0.1,0.9)")
    words = (*SEARCH, *space, "sweep.trials=8")
    assert command(*words).code == 130  # the seed 9 is a Ctrl-C
    there = trials()
    assert not there[-1].state.is_finished()
    refused = command(*words)
    assert refused.code == 2
    assert "the same line with resume=auto goes on" in refused.err
    quick_run.clear()
    assert command(*words, "resume=auto").code == 130  # the same trial, with the same values: it is run again
    assert [(c.seed, c.optimizer.lr) for _, c in quick_run] == [
        (9, pytest.approx(there[-1].params["optimizer.lr"], 1e-5))
    ]
    assert [trial.number for trial in trials()] == [trial.number for trial in there]


def test_trials_that_are_added_later_are_those_that_a_longer_search_would_have_had(
    command: Command, quick_run: list
) -> None:
    space = ("optimizer.lr=interval(0.1,0.9)", "seed=0,1,2")
    assert command(*SEARCH, *space, "sweep.trials=2").code == 0
    assert command(*SEARCH, *space, "sweep.trials=4", "resume=auto").code == 0
    assert command(*SEARCH[:-1], "hydra.sweep.dir=whole", *space, "sweep.trials=4").code == 0
    rates = [config.optimizer.lr for _, config in quick_run]
    assert rates[:4] == rates[4:]
    ended = command(*SEARCH, "optimizer.lr=interval(0.1,0.8)", "seed=0,1,2", "resume=auto")
    assert ended.code == 2
    assert "it searches something else (optimizer.lr:" in ended.err


def test_each_trial_runs_with_its_seeds_and_is_told_by_their_mean(command: Command, quick_run: list) -> None:
    assert command(*SEARCH, "sweep.trials=2", "sweep.seeds=3", "seed=1", "optimizer.lr=0.1,0.2").code == 0
    assert seeds(quick_run) == [1, 2, 3, 1, 2, 3]
    assert [trial.values for trial in trials()] == [[pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)]] * 2


def test_a_key_that_an_option_lacks_is_left_out_of_its_trials_and_that_is_said(
    command: Command, quick_run: list
) -> None:
    ended = command(*SEARCH, "sweep.trials=5", "strategy=lp_ft,closed_form", "strategy.rate=interval(0.1,0.9)")
    assert ended.code == 0, ended.err
    named = [str(config.strategy._target_).rpartition(".")[2] for _, config in quick_run]
    assert set(named) == {"LpFt", "ClosedForm"}
    assert ["rate" in config.strategy for _, config in quick_run] == [name == "LpFt" for name in named]
    assert ended.out.count("strategy=closed_form: has no strategy.rate; left out there") == 1


def test_several_objectives_have_a_value_each(command: Command, quick_run: list) -> None:
    words = ("sweep.objectives=[objective,seconds,parameters]", "sweep.trials=2", "seed=0,1")
    assert command(*SEARCH, *words).code == 0
    assert [trial.values for trial in trials()] == [[1 / (1 + seed), 1.0, 5.0] for seed in seeds(quick_run)]


def test_what_is_wrong_in_every_trial_is_told_before_any(command: Command, quick_run: list) -> None:
    assert "did you mean 'optimizer.lr'" in wrong(command, "optimzer.lr=interval(0.1,0.2)") or "optimzer" in wrong(
        command, "optimzer.lr=interval(0.1,0.2)"
    )
    assert "optimizer.lr=-1.0: expected a number above 0" in wrong(command, "optimizer.lr=interval(-1,1)")
    assert "strategy=ful" in wrong(command, "strategy=ful", "seed=0,1")
    assert "nothing varies" in wrong(command, "seed=1")
    assert "no such tag" in wrong(command, "optimizer.lr=tag(lg,interval(0.1,1))")
    assert "has no end of values" in wrong(command, "sweep.sampler=grid", "optimizer.lr=interval(0.1,1)")
    assert "did you mean 'accuracy'" in wrong(command, "sweep.objectives=[acuracy]", "seed=0,1")
    assert "compares runs by one figure" in wrong(
        command, "sweep.objectives=[objective,seconds]", "sweep.pruner=median", "seed=0,1"
    )
    assert "data.root" in wrong(command, "data=image_folder", "data.root=nowhere", "seed=0,1")
    assert quick_run == []


def test_without_optuna_its_extra_is_named_before_all_else(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "find_spec", lambda name: None)
    assert "pip install 'ftlab[search]'" in wrong(command, "optimzer.lr=interval(0.1,0.2)")


def test_what_a_search_alone_understands_is_refused_elsewhere(command: Command, quick_run: list) -> None:
    for words in (("sweep.trials=3",), ("-m", "seed=0,1", "sweep.trials=3"), ("-m", "optimizer.lr=interval(0.1,1)")):
        ended = command("train", *words)
        assert ended.code == 2
        assert "is for a search alone" in ended.err
    assert quick_run == []


def test_an_experiment_file_holds_the_space_and_what_is_typed_wins(command: Command, quick_run: list) -> None:
    file = Path("mine/experiment/rates.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n"
        "hydra:\n  sweeper:\n    params:\n      optimizer.lr: interval(0.1,0.2)\n      seed: 0,1\n"
        "sweep:\n  trials: 3\n"
    )
    words = ("train", "-m", "--config-dir", "mine", "experiment=rates", "hydra.sweep.dir=all")
    ended = command(*words, "seed=4,5")
    assert ended.code == 0, ended.err
    assert len(quick_run) == 3
    assert set(seeds(quick_run)) <= {4, 5}
    assert all(0.1 <= config.optimizer.lr <= 0.2 for _, config in quick_run)


def pruned(command: Command, *words: str) -> Ended:
    tiny = (
        "data=diabetes",
        "task=regression",
        "cache=off",
        "trainer.max_epochs=3",
        "strategy=full",
        "checkpoint.keep=best",
    )
    return command(*SEARCH, *tiny, "sweep.sampler=grid", "sweep.pruner=median", "sweep.seeds=2", *words)


def test_a_run_that_is_behind_is_pruned_after_an_epoch_and_its_other_seeds_do_not_run(command: Command) -> None:
    """On real runs: five rates that learn, then, by the order of the grid's own draws, others that do not."""
    ended = pruned(command, "optimizer.lr=1e-9,2e-9,3e-9,0.003,0.004,0.005,0.006,0.007")
    assert ended.code == 0, ended.err
    found = trials()
    behind = [trial for trial in found if trial.state.name == "PRUNED"]
    assert behind
    assert len(found) == 8
    for trial in behind:
        folder = Path("all", str(trial.user_attrs["jobs"][0]))
        why = read_json(folder / "pruned.json")["why"]
        assert why.startswith("after epoch ")
        assert not (folder / "report.json").exists()
        assert not Path("all", str(trial.user_attrs["jobs"][1])).exists()
        assert trial.last_step is not None
        assert (folder / "ftlab.log").read_text().rstrip().endswith(f"ftlab: {why}")
    assert ended.out.count(": pruned: ") == len(behind)
    assert "Traceback" not in ended.err
    assert json.loads(Path("all", "0", "trial.json").read_text())["trial"] == 0
    assert all(OVERRIDES in trial.user_attrs for trial in found)
