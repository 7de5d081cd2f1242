"""A network that is exported says what the predictor says, where ftlab is not; what cannot be exported is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ftlab
from ftlab.composition import compose
from ftlab.errors import UserError
from ftlab.export_command import export
from ftlab.portable import standalone
from ftlab.portable.check import check
from ftlab.portable.network import portable
from tests.conftest import Command

pytest.importorskip("onnxruntime", reason="needs ftlab[export]")
QUICK = ["trainer.accelerator=cpu", "cache=off"]
IMAGES = [
    "subset=40",
    "data.image_size=[32,48]",
    "backbone.name=resnet10t",
    "backbone.pretrained=false",
    "strategy=full",
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of digits, with a temperature, and a crop."""
    folder = tmp_path_factory.mktemp("run") / "run"
    words = [*IMAGES, *QUICK, "task.calibrate=true", "data.crop_pct=0.9"]
    ftlab.train(compose(words), folder)
    return folder / "bundle"


def exported(bundle: Path, output: Path, *words: str) -> Path:
    export(compose([f"bundle={bundle}", f"output={output}", *words], "export"))
    return output


@pytest.fixture(scope="module")
def written(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(bundle, tmp_path_factory.mktemp("exported") / "onnx")


def picture(path: Path, height: int, width: int, **saved: Any) -> Path:
    numbers = np.random.default_rng(height + width).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    Image.fromarray(numbers).resize((width, height), Image.Resampling.BICUBIC).save(path, **saved)
    return path


def by_itself(folder: Path, *files: Path) -> list[dict[str, Any]]:
    """What predict.py of the folder says, in a process that cannot find ftlab or torch."""
    block = "import sys, runpy; sys.modules.update(dict.fromkeys(['ftlab', 'torch', 'torchvision', 'timm']));"
    run = f"sys.argv[0] = {str(folder / 'predict.py')!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", block + run, *map(str, files)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_script_beside_it_says_of_image_files_what_the_predictor_says(
    bundle: Path, written: Path, tmp_path: Path
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    files = [
        picture(tmp_path / "wide.png", 40, 120),
        picture(tmp_path / "tall.png", 200, 64),
        picture(tmp_path / "strip.png", 16, 900),
        picture(tmp_path / "turned.jpg", 60, 90, exif=turned, quality=95),
    ]
    predictor, said = ftlab.load(bundle), by_itself(written, *files)
    for file, one in zip(files, said, strict=True):
        expected = predictor.predict(str(file), top_k=10)[0]
        probabilities = {top["class"]: top["probability"] for top in expected["top"]}
        assert one["class"] == expected["class"]
        assert one["probabilities"] == pytest.approx(probabilities, abs=2e-3)  # pixels may differ by a level of 255


def test_the_example_that_lies_beside_it_gives_its_own_answers(written: Path) -> None:
    with np.load(written / "example.npz") as arrays:
        expected = arrays["answers"]
    said = by_itself(written, written / "example.npz")
    assert [list(one["probabilities"].values()) for one in said] == [
        pytest.approx(row.tolist(), abs=1e-4) for row in expected
    ]
    told = json.loads((written / "model.json").read_text())
    assert told["check"]["equal"] == 1
    assert told["check"]["difference"] < 1e-4
    assert told["inputs"] == {"pixels": {"type": "float32", "shape": ["b", 3, 32, 48]}}


def test_a_program_of_torch_takes_any_number_of_samples(bundle: Path, tmp_path: Path) -> None:
    folder = exported(bundle, tmp_path / "program", "format=torch_export")
    program = torch.export.load(folder / "model.pt2").module()
    network = portable(ftlab.load(bundle))
    pixels = 255 * torch.rand(5, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(program(pixels), network(pixels), atol=1e-5, rtol=1e-4)
    assert not (folder / "predict.py").exists()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["task=regression", "data=diabetes", "backbone=table_mlp"], ["progression"]),
        (["task=regression", "data=linnerud"], ["weight", "waist", "pulse"]),
    ],
)
def test_numbers_of_a_table_are_in_their_own_units(words: list[str], names: list[str], tmp_path: Path) -> None:
    report = ftlab.train(compose([*words, *QUICK, "trainer.max_epochs=2"]), tmp_path / "run")
    assert report["data"]["targets"] == names
    bundle = tmp_path / "run/bundle"
    folder = exported(bundle, tmp_path / "out")
    said = by_itself(folder, folder / "example.npz")
    assert all(set(one) == {"file", "row", *names} for one in said)
    with np.load(folder / "example.npz") as arrays:
        assert [[one[name] for name in names] for one in said] == [
            pytest.approx(row.ravel().tolist(), rel=1e-4) for row in arrays["answers"]
        ]


def test_a_file_that_says_something_else_is_refused(bundle: Path) -> None:
    network = portable(ftlab.load(bundle))
    pixels = (255 * torch.rand(4, 3, 32, 48),)

    def wrong(inputs: Any) -> torch.Tensor:
        with torch.inference_mode():
            return network(*inputs) + 0.002

    with pytest.raises(UserError, match="does not say what the network says"):
        check(wrong, network, pixels, "samples")


def test_wrong_words_end_with_2_and_leave_nothing(bundle: Path, command: Command, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    for words, said in {
        (f"output={taken}",): "exists already",
        (f"output={tmp_path}/no/folder",): "is not there",
        (f"output={tmp_path}/new", "format=coco"): "accepted",
        (f"output={tmp_path}/new", "format=onyx"): "onnx | torch_export",
    }.items():
        ended = command("export", f"bundle={bundle}", *words)
        assert (ended.code, said in ended.err) == (2, True), ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_without_the_extra_it_is_named_before_anything_is_read(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftlab.portable.formats.find_spec", lambda name: None)
    ended = command("export", "bundle=none", "output=new")
    assert (ended.code, ended.err) == (2, "ftlab: format=onnx needs onnx: pip install 'ftlab[export]'\n")
    block = "import sys; sys.modules['onnxruntime'] = None; import ftlab.export_command"
    subprocess.run([sys.executable, "-c", block], check=True)  # which a mode without it must be able to import


def test_the_script_resizes_as_training_does(tmp_path: Path) -> None:
    from ftlab.inputs.images.preprocessing import Preprocessing

    for resize, crop_pct in (("crop", 1.0), ("crop", 0.8), ("letterbox", 1.0), ("stretch", 1.0)):
        how = Preprocessing((40, 56), (0.4, 0.5, 0.6), (1.0, 1.0, 1.0), "bilinear", crop_pct, resize)
        for size in ((33, 90), (120, 31), (8, 600)):
            file = picture(tmp_path / f"{size}.png", *size)
            with Image.open(file) as image:
                expected = how.transform()(image.convert("RGB"))["images"]
            found = torch.from_numpy(np.array(standalone.pixels(file, how.stored())))
            mean = torch.tensor(how.mean).view(-1, 1, 1) * 255
            apart = (255 * expected + mean - found).abs()
            assert float(apart.max()) <= 2, (resize, crop_pct, size)
