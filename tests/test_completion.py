"""Tab after `ftlab`: a real bash asks, as it does at a prompt; what it asks is also asked in process."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ftlab.cli import main
from ftlab.config import groups, keys
from ftlab.help_command import pages
from ftlab.modes import MODES
from tests.conftest import Command


class Shell:
    """What `ftlab -sc query=SHELL` answers to a line."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capture = patch, capture

    def answers(self, line: str, shell: str = "bash", point: int | None = None) -> list[str]:
        self.patch.setenv("COMP_LINE", line)
        self.patch.setenv("COMP_POINT", str(len(line) if point is None else point))
        self.capture.readouterr()
        assert main(["-sc", f"query={shell}"]) == 0
        out, err = self.capture.readouterr()
        assert err == ""
        return out.split()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(monkeypatch, capsys)


def test_bash_completes_modes_then_options_and_keys_of_the_mode(tmp_path: Path) -> None:
    """The function that `complete` was given for ftlab, called as bash calls it."""
    script = tmp_path / "ftlab"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ftlab "$@"\n')
    script.chmod(0o755)
    asks = """
        eval "$(ftlab -sc install=bash)"
        asked=$(complete -p ftlab | sed "s/.*-F \\([^ ]*\\) .*/\\1/")
        for COMP_LINE in "ftlab pl" "ftlab plan strategy=pro" "ftlab check data.image_s" "ftlab evaluate strat"; do
            COMP_POINT=${#COMP_LINE} COMP_WORDS=($COMP_LINE) COMPREPLY=()
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            "$asked" ftlab "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD - 1]}"
            echo "$COMP_LINE: ${COMPREPLY[@]}"
        done
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asks],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "ftlab pl: plan",
        "ftlab plan strategy=pro: strategy=progressive",
        "ftlab check data.image_s: data.image_size=",
        "ftlab evaluate strat: ",
    ]


def test_the_first_word_is_a_mode(shell: Shell) -> None:
    for line in ("ftlab", "ftlab "):
        assert shell.answers(line) == list(MODES)
    assert shell.answers("ftlab p") == ["plan", "predict"]
    assert shell.answers("ftlab trian ") == shell.answers("ftlab x") == []


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "help"])
def test_behind_a_mode_come_its_own_keys_and_groups_and_no_others(shell: Shell, mode: str) -> None:
    found = {re.split("[.=]", word)[0] for word in shell.answers(f"ftlab {mode} ")}
    assert found == keys(mode) | {"hydra"} | ({"experiment"} & groups(mode).keys())


def test_keys_follow_what_was_typed_before_and_lists_are_values(shell: Shell) -> None:
    assert shell.answers("ftlab train data=table strategy=partial strategy.l") == ["strategy.last="]
    assert shell.answers("ftlab train strategy.l") == []
    assert shell.answers("ftlab plan optimizer.b") == ["optimizer.betas="]
    assert "optimizer._target_=" not in shell.answers("ftlab plan optimizer.")
    assert shell.answers("ftlab train --cfg ") == []  # a line that is not finished
    assert shell.answers("ftlab train data=nothing optimizer.l") == []


def test_the_word_at_the_cursor_is_completed(shell: Shell) -> None:
    assert shell.answers("ftlab plan strategy=pro seed=1", point=len("ftlab plan strategy=pro")) == [
        "strategy=progressive"
    ]


def test_help_has_its_pages_and_keys(shell: Shell) -> None:
    assert set(pages()) < set(shell.answers("ftlab help "))
    assert shell.answers("ftlab help optimizer.l") == ["optimizer.lr"]


def test_options_of_ones_own_are_offered(shell: Shell) -> None:
    Path("mine/head").mkdir(parents=True)
    Path("mine/head/deep.yaml").write_text("_target_: my_heads.Deep\n")
    assert shell.answers("ftlab train --config-dir mine head=deep") == ["head=deep", "head=deeplabv3"]


def test_fish_gets_a_word_a_line(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-sc", "install=fish"]) == 0
    assert "complete -c ftlab " in capsys.readouterr().out
    shell.patch.setenv("COMP_LINE", "ftlab check data=image_")
    shell.patch.delenv("COMP_POINT", raising=False)
    assert main(["--shell-completion", "query=fish"]) == 0
    assert capsys.readouterr().out.splitlines() == ["data=image_csv", "data=image_folder"]


def test_other_words_are_refused_with_what_is_accepted(command: Command) -> None:
    for words in (["-sc"], ["-sc", "install=tcsh"], ["-sc", "instal=bash"]):
        ended = command(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "expected install=SHELL" in ended.err
        assert "bash, fish, zsh" in ended.err
