"""The command line: exit codes, what is said where, folders."""

import csv
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from ftlab import cli
from tests.conftest import ROOT, Command


def fresh_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, for what must not be imported."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def fails(command: Command, *words: str) -> list[str]:
    """The lines on standard error of a command that must end with 2, in the manner that all such ends share."""
    ended = command(*words)
    lines = ended.err.splitlines()
    assert ended.code == 2, ended
    assert ended.out == ""
    assert 1 <= len(lines) <= 6, ended.err
    assert lines[0].startswith("ftlab: ")
    assert "Traceback" not in ended.err
    assert list(Path.cwd().iterdir()) == []  # nothing was written
    return lines


# Wrong input


def test_a_mistyped_option_is_named_with_the_nearest_and_all_accepted(command: Command) -> None:
    (line,) = fails(command, "train", "strategy=progresive")
    assert line.startswith("ftlab: strategy=progresive: no such option; did you mean 'progressive'? Accepted: ")
    for option in (ROOT / "conf" / "strategy").glob("*.yaml"):
        assert option.stem in line


def test_a_text_in_the_place_of_a_number_is_named(command: Command) -> None:
    assert fails(command, "train", "optimizer.lr=abc") == ["ftlab: optimizer.lr=abc: expected a number above 0 or auto"]


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_an_unknown_key_at_the_root_is_refused_however_many_plus_signs_it_has(command: Command, plus: str) -> None:
    (line,) = fails(command, "train", f"{plus}optmizer.lr=1")
    assert line.startswith(f"ftlab: {plus}optmizer.lr=1: unknown key 'optmizer'; did you mean 'optimizer'? ")


def test_an_unknown_key_inside_a_group_is_refused(command: Command) -> None:
    (line,) = fails(command, "train", "+optimizer.weight_decy=1")
    assert "unknown key 'weight_decy'; did you mean 'weight_decay'?" in line


def test_a_key_of_another_option_is_refused_and_says_whose_it_is(command: Command) -> None:
    (line,) = fails(command, "train", "optimizer=adamw", "optimizer.nesterov=true")
    assert "unknown key 'nesterov'; optimizer.nesterov belongs to optimizer=sgd: add optimizer=sgd" in line


def test_all_errors_are_told_at_once(command: Command) -> None:
    lines = fails(command, "train", "seed=[1,2", "strategy=ful", "optimizer.lr=abc", "trainer.devices=0", "+x=1")
    assert [line.removeprefix("ftlab: ").split(":")[0] for line in lines] == [
        "seed=[1,2",
        "strategy=ful",
        "optimizer.lr=abc",
        "trainer.devices=0",
        "+x=1",
    ]


def test_of_many_errors_the_first_four_are_told_and_the_others_counted(command: Command) -> None:
    lines = fails(command, "train", *(f"+x{number}=1" for number in range(7)))
    assert len(lines) == 5
    assert lines[4] == "and 3 more"


def test_a_wrong_option_brings_no_errors_about_its_keys(command: Command) -> None:
    (line,) = fails(command, "train", "strategy=partal", "strategy.last=1")
    assert "did you mean 'partial'?" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed"], "seed: expected key=value"),
        (["~seed"], "cannot be taken away"),
        (["data@other=digits"], "a package (@other) is not accepted"),
        (["strategy=full,head_only"], "several values need -m"),
        (["data=image_folder"], "data.root: needs a value"),
        (["seed=${nowhere.key}"], "seed=${nowhere.key}: Interpolation key 'nowhere.key' not found"),
        (["trainer=5"], "trainer=5: expected a mapping"),
        (["optimizer.lr.x=1"], "optimizer.lr.x=1: unknown key 'x'"),
        (["strategy=null"], "strategy=null: no such option"),
        (["experiment=mine"], "experiment=mine: no such option"),
        (["hydra.run.dirr=a"], "hydra.run.dirr"),
        (["--config-path", "x"], "--config-dir"),
        (["--experimental-rerun", "x"], "pickle"),
        (["--config-dir", "/nowhere"], "--config-dir /nowhere: there is no such folder"),
        (["--fast"], "--fast"),
    ],
)
def test_wrong_words_end_with_2_and_one_line(command: Command, words: list[str], said: str) -> None:
    (line,) = fails(command, "train", *words)
    assert said in line


@pytest.mark.parametrize("target", ["os.system", "ftlab.cli.os.system", "builtins.exec"])
@pytest.mark.parametrize(
    "place", ["optimizer._target_={}", "+optimizer.inner._target_={}", "strategy.inline=[{{a: {{_target_: {}}}}}]"]
)
def test_a_target_that_is_not_ours_is_refused_at_any_depth(command: Command, place: str, target: str) -> None:
    lines = fails(command, "train", "strategy=phases", place.format(target))
    assert f"_target_={target}: may not be named" in "\n".join(lines)


def test_a_wrong_value_anywhere_in_a_multirun_stops_it_before_it_starts(command: Command) -> None:
    lines = fails(command, "train", "-m", "strategy=full,hed_only", "seed=0,x", "optimizer.lr=interval(-1,1)")
    assert [line.removeprefix("ftlab: ").split(":")[0] for line in lines] == [
        "strategy=hed_only",
        "optimizer.lr=-1.0",
        "seed=x",
    ]


def test_a_key_that_one_option_of_a_multirun_lacks_is_refused(command: Command) -> None:
    (line,) = fails(command, "train", "-m", "strategy=progressive,full", "strategy.patience=1,2,3")
    assert "strategy.patience=" in line
    assert "belongs to strategy=lp_ft, strategy=progressive" in line


@pytest.mark.parametrize("mode", [mode for mode in cli.JOBS if mode != "train"])
def test_a_multirun_is_refused_where_it_has_no_meaning(command: Command, mode: str) -> None:
    (line,) = fails(command, mode, "-m")
    assert "a multirun is for train" in line


def test_an_unknown_mode_is_told_with_the_near_one(command: Command) -> None:
    lines = fails(command, "trian")
    assert "did you mean 'train'?" in lines[0]
    assert "Usage" in lines[1]


def test_no_mode_is_wrong_input_and_shows_the_usage(command: Command) -> None:
    ended = command()
    assert ended.code == 2
    assert "ftlab MODE" in ended.err


def test_errors_and_help_do_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from ftlab.cli import main\n"
        "codes = [main(words.split()) for words in ('--help', 'train --help', 'train strategy=progresive',"
        " 'train optimizer.lr=abc +optmizer.lr=1', 'predict', 'train --cfg job')]\n"
        "heavy = {'torch', 'lightning', 'timm', 'torchvision', 'matplotlib'} & set(sys.modules)\n"
        "print(codes, sorted(heavy))"
    )
    ended = fresh_python(code, tmp_path)
    assert ended.stdout.splitlines()[-1] == "[0, 0, 2, 2, 2, 0] []", ended.stderr


def test_help_does_without_pydantic_which_costs_more_than_all_of_it(tmp_path: Path) -> None:
    code = "import sys; from ftlab.cli import main; main(['train', '--help']); print('pydantic' in sys.modules)"
    assert fresh_python(code, tmp_path).stdout.splitlines()[-1] == "False"


# Help


@pytest.mark.parametrize("mode", cli.JOBS)
def test_the_help_of_each_mode_has_examples_that_pass_the_checks(command: Command, mode: str) -> None:
    from shlex import split

    from ftlab.composition import prepare

    ended = command(mode, "--help")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 100
    examples = [line for line in ended.out.splitlines() if line.startswith(f"ftlab {mode}")][1:]
    examples = [line for line in examples if not line.startswith("ftlab plan shows")]
    assert len(examples) >= 3
    for example in examples:
        words = split(example)[2:]
        prepare([word for word in words if word != "-m"], mode, multirun="-m" in words)


def test_the_help_of_train_lists_every_group_with_its_options(command: Command) -> None:
    out = " ".join(command("train", "--help").out.split())  # long lists go over several lines
    for folder in (path for path in (ROOT / "conf").iterdir() if any(path.glob("*.yaml"))):
        names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        assert f"{folder.name}: {names}" in out


def test_help_is_not_disturbed_by_what_else_was_typed(command: Command) -> None:
    assert command("train", "strategy=progresive", "--help").code == 0


def test_the_usage_names_every_mode_and_version_has_a_number(command: Command) -> None:
    ended = command("--help")
    assert (ended.code, ended.err) == (0, "")
    assert all(mode in ended.out for mode in cli.MODES)
    assert command("--version").code == 0


def test_cfg_job_prints_the_config_and_leaves_nothing_behind(command: Command) -> None:
    ended = command("train", "optimizer.lr=0.5", "--cfg", "job", "-p", "optimizer")
    assert ended.code == 0
    assert "lr: 0.5" in ended.out
    assert list(Path.cwd().iterdir()) == []


def test_tab_completion_of_ftlab_train_offers_options(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", "ftlab-train strategy=pro")
    monkeypatch.setenv("COMP_POINT", "24")
    monkeypatch.setattr(sys, "argv", ["ftlab-train", "-sc", "query=bash"])
    assert cli.train() == 0
    assert "strategy=progressive" in capsys.readouterr().out


# Runs


def test_a_run_gets_a_folder_of_its_own_below_runs(command: Command, quick_run: list) -> None:
    assert command("train", "seed=1").code == 0
    assert command("train", "seed=1").code == 0
    assert len(list(Path("runs").glob("*/*/report.json"))) == 2
    assert [config.seed for _, config in quick_run] == [1, 1]


@pytest.mark.parametrize("held", ["config.yaml", "report.json", "checkpoints"])
def test_a_folder_that_holds_a_run_is_refused_and_untouched(command: Command, quick_run: list, held: str) -> None:
    Path("mine", held).mkdir(parents=True)
    Path("mine", held, "last.ckpt").touch()
    ended = command("train", "hydra.run.dir=mine")
    assert ended.code == 2
    assert ended.err == f"ftlab: hydra.run.dir=mine: holds a run already ({held}); choose another folder\n"
    assert [path.name for path in Path("mine").iterdir()] == [held]
    assert not quick_run


def test_a_file_that_is_named_like_the_checkpoints_is_refused_too(command: Command, quick_run: list) -> None:
    Path("mine").mkdir()
    Path("mine", "checkpoints").touch()
    assert "holds a run already (checkpoints)" in command("train", "hydra.run.dir=mine").err
    assert not quick_run


def test_a_run_that_failed_before_it_began_leaves_its_folder_free(command: Command) -> None:
    words = ("train", "hydra.run.dir=mine", "subset=40", "data.image_size=32", "strategy=head_only")
    ended = command(*words, "backbone.weights=nope.pth")
    assert ended.code == 2
    assert "there is no such file" in ended.err
    tiny = ("backbone.name=test_resnet", "backbone.pretrained=false", "trainer.max_epochs=1")
    ended = command(*words, *tiny)
    assert ended.code == 0
    *_, shown = Path("mine", "ftlab.log").read_text(encoding="utf-8").partition("trainer.max_epochs=1\n")  # the command
    assert shown == ended.out


def test_a_run_folder_may_have_any_name(command: Command, quick_run: list) -> None:
    assert command("train", "hydra.run.dir=my runs, a=b [1]").code == 0
    assert Path("my runs, a=b [1]", "report.json").is_file()


@pytest.mark.parametrize(("seed", "code", "said"), [(7, 2, "ftlab: seed=7: wrong input\n"), (9, 130, "interrupted")])
def test_what_ends_a_run_decides_the_exit_code(
    command: Command, quick_run: list, seed: int, code: int, said: str
) -> None:
    ended = command("train", f"seed={seed}")
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_a_defect_ends_with_1_and_its_traceback(command: Command, quick_run: list) -> None:
    ended = command("train", "seed=8")
    assert ended.code == 1
    assert ended.err.startswith("Traceback")
    assert "RuntimeError: a defect" in ended.err


def test_wrong_input_has_a_traceback_on_demand(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    ended = command("train", "optimizer.lr=abc")
    assert ended.code == 2
    assert "Traceback" in ended.err


@pytest.mark.parametrize(
    ("words", "code"),
    [(["plan"], 0), (["evaluate", "bundle=b"], 0), (["predict", "bundle=b", "input=[a.png,b.png]"], 2)],
)
def test_other_modes_run_and_leave_nothing_behind(
    command: Command, quick_run: list, words: list[str], code: int
) -> None:
    ended = command(*words)
    assert (ended.code, ended.out, ended.err) == (code, "", "")  # the quick predict gives 2: a file was not readable
    assert [name for name, _ in quick_run] == words[:1]
    assert list(Path.cwd().iterdir()) == []


def test_flags_and_overrides_come_in_any_order(command: Command, quick_run: list) -> None:
    assert command("train", "seed=1,2", "-m", "trainer.max_epochs=3").code == 0
    assert [(config.seed, config.trainer.max_epochs) for _, config in quick_run] == [(1, 3), (2, 3)]


# Multirun


def test_a_failed_job_is_listed_and_the_others_still_run(command: Command, quick_run: list) -> None:
    ended = command("train", "-m", "seed=0,7,8,1", "hydra.sweep.dir=all")
    assert ended.code == 1
    assert [config.seed for _, config in quick_run] == [0, 7, 8, 1]
    failed = {path.parent.name: json.loads(path.read_text()) for path in Path("all").glob("*/failed.json")}
    assert failed == {
        "1": {"error": "seed=7: wrong input", "overrides": ["seed=7"]},
        "2": {"error": "RuntimeError: a defect", "overrides": ["seed=8"]},
    }
    lines = ended.out.splitlines()
    assert lines[0].startswith("job 1 of 4: seed=0: val accuracy 1.0000, 1.0 s; about ")
    log = Path("all/1/ftlab.log").absolute()
    assert lines[1].startswith(
        f"job 2 of 4: seed=7: failed: seed=7: wrong input; see {log}; best 1.0000 (job 1), about "
    )
    assert "folder 1 failed: seed=7: wrong input" in lines
    assert ended.err.startswith("Traceback")  # of the defect alone
    assert ended.err.count("Traceback") == 1
    header, *rows = csv.reader(Path("all", "sweep.csv").read_text().splitlines())
    assert header[:2] == ["job", "seed"]
    assert [row[header.index("test")] for row in rows] == ["0.5", "", "", "0.5"]


def test_a_multirun_of_good_jobs_ends_with_0_and_has_a_folder_for_each(command: Command, quick_run: list) -> None:
    assert command("train", "-m", "strategy=head_only,full", "seed=range(0,2)").code == 0
    assert len(list(Path("multirun").glob("*/*/[0-3]/report.json"))) == 4
    assert len(list(Path("multirun").glob("*/*/sweep.csv"))) == 1


def test_a_multirun_into_the_folder_of_another_is_refused(command: Command, quick_run: list) -> None:
    assert command("train", "-m", "seed=0,1", "hydra.sweep.dir=all").code == 0
    ended = command("train", "-m", "seed=2,3", "hydra.sweep.dir=all")
    assert ended.code == 2
    assert "hydra.sweep.dir=all: holds a run already" in ended.err
    assert len(quick_run) == 2


def test_ctrl_c_ends_the_whole_multirun(command: Command, quick_run: list) -> None:
    assert command("train", "-m", "seed=9,0").code == 130
    assert len(quick_run) == 1


def test_the_sweeper_gets_the_objective_and_nan_from_a_failed_job(tmp_path: Path) -> None:
    from math import isnan

    from ftlab.sweep import Job, run_job

    job = Job(tmp_path, tmp_path, 0, ["seed=1"], draws=False)
    assert run_job(lambda: 0.25, job) == 0.25
    assert not (tmp_path / "failed.json").exists()
    assert isnan(run_job(lambda: 1 / 0, job))


def test_a_job_of_a_multirun_prints_one_line_with_what_was_swept(command: Command, quick_run: list) -> None:
    ended = command(
        "train", "-m", "seed=1", "trainer.max_epochs=3", "optimizer.lr=range(1,3)", "strategy=full,head_only"
    )
    jobs = [line for line in ended.out.splitlines() if line.startswith("job ")]
    told, _, ahead = jobs[2].partition("; ")
    assert told == "job 3 of 4: optimizer.lr=2 strategy=full: val accuracy 0.5000, 1.0 s"  # 1 / (1 + seed)
    assert ahead.startswith("best 0.5000 (job 1), about ")
    assert ";" not in jobs[3]  # nothing is left
    assert len(jobs) == 4
    assert "HYDRA" not in ended.out


def test_what_a_job_prints_is_shown_by_its_last_line_on_a_terminal_and_what_is_wrong_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ftlab.sweep import quiet

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, is_shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", wrong := io.StringIO())
        with quiet("job 1: data.split=[0.8,0.1]", draws=True):
            print("epoch   1  head\nepoch   2  top")
            print("a warning", file=sys.stderr)
        assert ("job 1: data.split=[0.8,0.1]: epoch 2 top" in screen.getvalue()) == is_shown
        assert "epoch   1" not in screen.getvalue()
        assert "a warning" in (screen if is_shown else wrong).getvalue()  # above what is drawn
        assert sys.stdout is screen


def test_the_number_of_jobs_is_not_told_where_a_sweeper_decides_it(tmp_path: Path) -> None:
    from ftlab.sweep import swept

    def written(sweeper: str) -> tuple[set[str], int | None]:
        text = f"hydra:\n  sweeper: {{_target_: {sweeper}}}\n  overrides: {{task: [seed=1, 'lr=1,2,3', 'x=a,b']}}\n"
        (tmp_path / "multirun.yaml").write_text(text)
        return swept(tmp_path)

    assert written("hydra._internal.core_plugins.basic_sweeper.BasicSweeper") == ({"seed"}, 6)
    assert written("hydra_plugins.other.OptunaSweeper") == ({"seed"}, None)


def test_jobs_can_be_sent_to_other_processes() -> None:
    for job in cli.JOBS.values():
        assert pickle.loads(pickle.dumps(job)) is job


def test_python_m_ftlab_is_the_same_command(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ftlab", "train", "strategy=progresive"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("ftlab: strategy=progresive: no such option")
    assert ended.stdout == ""


def test_a_check_of_good_data_ends_with_0_and_leaves_nothing_behind(command: Command) -> None:
    ended = command("check", "data.check=fast")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["data=digits: 1.26 k train, 269 val, 269 test", "0 errors, 0 warnings, 0 notes"]
    assert list(Path.cwd().iterdir()) == []
