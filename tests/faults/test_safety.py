"""What comes from somebody else runs no code, reads no file outside of itself, and calls no other machine."""

import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import ftlab
from ftlab.backbones.weights import read as read_weights
from ftlab.cli import main
from ftlab.errors import UserError
from ftlab.run import train
from tests.conftest import ROOT, Command
from tests.data.pictures import write_image

SMALL = ["subset=24", "data.split=[0.9,0.05,0.05]", "data.image_size=32", "strategy=head_only", "trainer.max_epochs=1"]
SMALL += ["backbone.name=resnet10t", "backbone.pretrained=false", "trainer.accelerator=cpu"]
WRITE = "ftlab.files.writing.write_text"  # of ours, and just what an attacker wants


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.file}'",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be copied and tampered with."""
    folder = tmp_path_factory.mktemp("run") / "run"
    assert main(["train", *SMALL, f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """The run's folder as if it had been interrupted after its first epoch."""
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / "report.json").unlink()
    return folder


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The command is refused with one short message."""
    capsys.readouterr()
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 6
    return error


# Pickles


def test_the_payload_of_these_tests_would_run(tmp_path):
    """Else they would prove nothing."""
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with open(tmp_path / "evil.pth", "rb") as file:
        pickle.load(file)
    assert (tmp_path / "ran").exists()


def test_a_malicious_checkpoint_is_not_resumed_from(copied, tmp_path, capsys):
    last = copied / "checkpoints" / "last.ckpt"
    saved = torch.load(last, weights_only=True)
    torch.save({**saved, "callbacks": {"x": Payload(tmp_path / "ran")}}, last)
    words = [f"resume={copied}", "trainer.max_epochs=2", "resume_allow=[trainer.max_epochs]"]
    error = refused(["train", *words], capsys)
    assert str(last) in error
    assert "could run code" in error
    assert not (tmp_path / "ran").exists()


def test_a_malicious_checkpoint_is_refused_even_if_the_environment_allows_pickles(
    copied, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    test_a_malicious_checkpoint_is_not_resumed_from(copied, tmp_path, capsys)


@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".bin"])
@pytest.mark.parametrize("plain", [True, False], ids=["a bare pickle", "a torch file"])
def test_malicious_weights_are_refused(tmp_path, capsys, suffix, plain):
    file = tmp_path / f"evil{suffix}"
    content = {"state_dict": {"fc.weight": Payload(tmp_path / "ran")}}
    file.write_bytes(pickle.dumps(content)) if plain else torch.save(content, file)
    error = refused(["train", *SMALL, f"backbone.weights={file}", f"hydra.run.dir={tmp_path / 'run'}"], capsys)
    assert str(file) in error
    assert not (tmp_path / "ran").exists()


# safetensors


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def entry(**changed: Any) -> bytes:
    return json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changed}}).encode()


HOSTILE = {
    "a header longer than the file": header(b"{}", 2**40),
    "a header of 2 to the 63 bytes": header(b"{}", 2**63),
    "no JSON": header(b"cos\nsystem\n(S'touch x'\ntR."),
    "offsets outside of the file": header(entry(data_offsets=[0, 4 * 10**9])) + b"\0" * 4,
    "offsets backwards": header(entry(data_offsets=[4, 0])) + b"\0" * 4,
    "negative offsets": header(entry(data_offsets=[-4, 0])) + b"\0" * 4,
    "a shape that overflows": header(entry(shape=[2**62, 2**62])) + b"\0" * 4,
    "an unknown dtype": header(entry(dtype="OBJECT")) + b"\0" * 4,
    "deep JSON": header(b'{"x":' * 5000 + b"1" + b"}" * 5000),
    "nothing": b"",
    "a pickle": pickle.dumps({"x": 1}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_safetensors_file_is_refused_as_bundle_and_as_weights(run, tmp_path, content):
    bundle = tmp_path / "bundle"
    shutil.copytree(run / "bundle", bundle)
    (bundle / "model.safetensors").write_bytes(content)
    for read in (ftlab.load, read_weights):
        with pytest.raises(UserError, match=r"model\.safetensors"):
            read(bundle)


# Bundles


def tampered(run: Path, tmp_path: Path, **changed: Any) -> Path:
    bundle = tmp_path / "bundle"
    shutil.copytree(run / "bundle", bundle)
    path = bundle / "bundle.json"
    description = json.loads(path.read_text())
    for key, value in changed.items():
        description[key] = {**description[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(description))
    return bundle


def evil(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Changes of bundle.json by name."""
    ran = str(tmp_path / "ran")
    system = {"_target_": "os.system", "command": f"touch {ran}"}
    write = {"_target_": WRITE, "path": ran, "text": "x"}
    return {
        "a foreign backbone": {"backbone": system},
        "a backbone that writes by a function of ours": {"backbone": write},
        "a backbone that trains": {"backbone": {"_target_": "ftlab.run.train", "config": {}}},
        "a function behind a module of ours": {"backbone": {"_target_": "ftlab.config.import_module", "name": "os"}},
        "a foreign head": {"head": system},
        "a head that is a backbone": {"head": {"_target_": "ftlab.backbones.image.TimmBackbone"}},
        "a foreign task": {"task_settings": system},
        "a target inside of a node": {"head": {"anything": {"deep": [{"_target_": "os.system"}]}}},
        "a target inside of the backbone": {"backbone": {"name": write}},
        "a target that is no text": {"head": {"_target_": ["os.system"]}},
        "foreign data": {"config": {"data": system}},
        "modules that it trusts itself": {"config": {"trusted_modules": ["os"]}, "head": system},
        "weights elsewhere": {"backbone": {"weights": "/etc/passwd"}},
        "weights beside it": {"backbone": {"weights": "../other.pth"}},
        "weights of a hub": {"backbone": {"pretrained": True}},
        "a network described elsewhere": {"backbone": {"name": "local-dir:/tmp"}},
        "an unknown network": {"backbone": {"name": "../../etc/passwd"}},
        "a head without end": {"num_outputs": 10**15},
        "a class list that is none": {"targets": {"classes": 5}},
        "nonsense for a node": {"head": 5},
        "nonsense for the backbone": {"backbone": [1]},
    }


@pytest.mark.parametrize("name", evil(Path()))
def test_a_hostile_bundle_is_refused_and_nothing_of_it_runs(run, tmp_path, name, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", no_network)
    bundle = tampered(run, tmp_path, **evil(tmp_path)[name])
    with pytest.raises(UserError, match="bundle"):
        ftlab.load(bundle)
    assert not (tmp_path / "ran").exists()


def test_the_command_line_says_of_a_hostile_bundle_what_is_wrong(run, tmp_path, capsys):
    bundle = tampered(run, tmp_path, **evil(tmp_path)["a foreign head"])
    image = write_image(tmp_path / "image.png")
    error = refused(["predict", f"bundle={bundle}", f"input={image}"], capsys)
    assert "bundle.json" in error
    assert "os.system" in error


def test_a_bundle_is_refused_before_it_is_evaluated(run, tmp_path, capsys):
    bundle = tampered(run, tmp_path, config={"data": {"_target_": WRITE, "path": str(tmp_path / "ran"), "text": "x"}})
    refused(["evaluate", f"bundle={bundle}"], capsys)
    assert not (tmp_path / "ran").exists()


def test_a_bundle_may_not_send_this_machine_to_a_hub(run, tmp_path, monkeypatch):
    calls: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: calls.append(address) or no_network())
    bundle = tampered(run, tmp_path, backbone={"name": "hf-hub:somebody/evil"})
    with pytest.raises(UserError, match=r"hf-hub:somebody/evil.*not in the local cache"):
        ftlab.load(bundle)
    assert calls == []


def test_the_bundle_itself_is_good(run):
    """Else the tests above would say little."""
    assert ftlab.load(run / "bundle").classes
    assert load_file(run / "bundle" / "model.safetensors")


# Configs


def config_with(folder: Path, path: list[str], value: Any) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_a_hostile_config_in_a_resumed_folder_is_refused(copied, tmp_path, capsys):
    config_with(copied, ["head"], {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"})
    error = refused(["train", f"resume={copied}"], capsys)
    assert "head._target_" in error
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.system ['touch ran']", "[1, 2]", "{a: [", "\x00"],
    ids=["tag", "list", "torn", "nul"],
)
@pytest.mark.parametrize("file", ["config.yaml", ".hydra/overrides.yaml"])
def test_a_yaml_file_that_is_none_of_ours_is_refused(copied, tmp_path, capsys, monkeypatch, text, file):
    monkeypatch.chdir(tmp_path)
    (copied / file).write_text(text)
    assert file in refused(["train", f"resume={copied}"], capsys)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x={_target_: os.system, command: touch ran}",
        "hydra.sweeper._target_=os.system",
        "hydra/launcher=evil",
        "~hydra.job",
        "hydra.searchpath=[file:///tmp/evil]",
        "trusted_modules=[os]",
        "head._target_=os.system",
        f"head._target_={WRITE}",
    ],
)
def test_hostile_overrides_in_a_resumed_folder_are_refused(copied, tmp_path, capsys, monkeypatch, override):
    """Hydra itself calls what hydra.* names; no allow list of ours would stand before it."""
    monkeypatch.chdir(tmp_path)
    stored = copied / ".hydra" / "overrides.yaml"
    stored.write_text(yaml.safe_dump([*yaml.safe_load(stored.read_text()), override]))
    refused(["train", f"resume={copied}"], capsys)
    assert not (tmp_path / "ran").exists()


def test_another_process_of_a_run_refuses_a_hostile_config(copied, tmp_path):
    config_with(copied, ["backbone"], {"_target_": WRITE, "path": str(tmp_path / "ran"), "text": "x"})
    command = [sys.executable, "-m", "ftlab.joining", str(copied)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "LOCAL_RANK": "1"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "may not be named" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_config_in_python_cannot_name_a_function_of_ours_either(tmp_path):
    config = dict(ftlab.config.plainly(ftlab.compose(SMALL), resolve=True))  # type: ignore[attr-defined]
    config["head"] = {"_target_": WRITE, "path": str(tmp_path / "ran"), "text": "x"}
    with pytest.raises(UserError, match="may not be named"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "ran").exists()


# Pages


def test_names_of_classes_and_files_are_text_in_the_report(tmp_path, command: Command):
    name = "<img src=x onerror=alert(1)>"
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for label in (name, "other"):
            for i in range(count):
                write_image(tmp_path / "photos" / split / label / f"<b>{i}<&b>.png", (9 * i, 99, 9))
    few = [word for word in SMALL if not word.startswith(("subset", "data.split"))]
    done = command("train", "data=image_folder", f"data.root={tmp_path / 'photos'}", *few, "hydra.run.dir=run")
    assert done.code == 0, done.err
    page = (tmp_path / "run" / "report.html").read_text()
    assert name not in page
    assert "<b>0" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert json.loads((tmp_path / "run" / "report.json").read_text())["data"]["classes"][0] == name


# Network


def no_network(*_: Any) -> None:
    raise AssertionError("a connection was opened")


def test_a_default_run_opens_no_connection(command: Command, monkeypatch, tmp_path):
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, no_network)
    few = ["subset=20", "data.split=[0.96,0.02,0.02]", "trainer.max_epochs=3", "data.image_size=32"]
    done = command("train", *few, "hydra.run.dir=run")  # the default network with its packaged weights
    assert done.code == 0, done.err
    assert "package" in json.loads((tmp_path / "run" / "report.json").read_text())["backbone"]["weights"]
