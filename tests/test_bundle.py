"""What a run leaves behind gives the same answers, without pickle, and is plain timm inside."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import timm.data
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file

import ftlab
from ftlab.backbones.image import TimmBackbone
from ftlab.bundle import Description, read, restore, save, tensors
from ftlab.composition import compose
from ftlab.data.base import DataSpec, Splits
from ftlab.errors import UserError
from ftlab.heads.linear import Linear
from ftlab.heads.mlp import Mlp
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.model import Model
from ftlab.predictor import Predictor, load
from ftlab.targets.classes import Classes
from ftlab.targets.labels import Labels
from ftlab.tasks.classification import Classification
from ftlab.training.saving.loading import read_checkpoint
from tests.data.pictures import write_image
from tests.training.tiny import BASE, CLASSES, parts_of, pictures, splits, tiny_backbone

Report = dict[str, Any]
Trained = tuple[Path, Report]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A short run of a network of timm on digits."""
    folder = tmp_path_factory.mktemp("run") / "run"
    words = [
        "subset=60", "data.image_size=32", "backbone.name=resnet10t", "backbone.pretrained=false", "strategy=full",
        "trainer.max_epochs=2", "trainer.accelerator=cpu", "task.class_weights=balanced", "task.label_smoothing=0.1",
    ]  # fmt: skip
    return folder, ftlab.train(compose(words), folder)


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(trained[0] / "bundle", tmp_path / "bundle"))


def inputs(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def logits(predictor: Predictor) -> torch.Tensor:
    return predictor.predictions({"images": inputs()}).log()


def timm_probabilities(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(inputs()).softmax(dim=1)


# The same answers


def test_a_bundle_gives_the_probabilities_of_the_network_that_was_saved(tmp_path: Path) -> None:
    parts, settings, _ = parts_of("strategy=full", "head=mlp", "head.hidden=[5]")
    model, task = parts.model.eval(), parts.task
    description = described(dict(settings.written.config), parts.preprocessing)
    save(tmp_path / "bundle", model, description)
    assert read(tmp_path / "bundle")[0] == description
    loaded = load(tmp_path / "bundle", tiny_backbone(seed=3), accelerator="cpu")
    assert loaded.preprocessing == parts.preprocessing
    assert loaded.classes == CLASSES
    images = torch.randn(4, 3, 8, 8)
    expected = Predictor(model, task, parts.preprocessing).predictions({"images": images})
    assert torch.equal(loaded.predictions({"images": images}), expected)


def described(settings: Report, preprocessing: Preprocessing) -> Description:
    return Description(
        task="classification",
        targets={"classes": list(CLASSES)},
        preprocessing={**vars(preprocessing), "size": [8, 8], "mean": [0.3] * 3, "std": [0.4] * 3},
        backbone={},
        head=settings["head"],
        task_settings=settings["task"],
        num_outputs=4,
        metrics={},
        versions={},
        config=settings,
    )


def test_a_bundle_holds_the_best_weights_of_the_run(trained: Trained) -> None:
    folder, report = trained
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
    held = load_file(folder / "bundle" / "model.safetensors")
    assert len(held) == sum(name.startswith("model.") for name in best)
    for name, tensor in held.items():
        own = f"model.head.{name}" if name.startswith("fc.") else f"model.backbone.model.{name}"
        assert torch.equal(tensor, best[own]), name
    assert report["best"]["value"] == report["history"][report["best"]["epoch"]]["val"]["accuracy"]
    assert report["metrics"]["val"]["accuracy"] == pytest.approx(report["best"]["value"], abs=1e-6)


def test_plain_timm_reads_a_bundle_with_a_linear_head(trained: Trained) -> None:
    bundle = trained[0] / "bundle"
    model = timm.create_model("resnet10t", checkpoint_path=str(bundle / "model.safetensors"), num_classes=10)
    expected = load(bundle, accelerator="cpu").predictions({"images": inputs()})
    torch.testing.assert_close(timm_probabilities(model), expected, atol=1e-6, rtol=1e-5)
    assert expected.std() > 1e-4  # not all the same


def test_the_folder_is_a_network_of_timm_with_the_way_to_prepare_images(trained: Trained) -> None:
    folder = trained[0] / "bundle"
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    predictor = load(folder, accelerator="cpu")
    torch.testing.assert_close(timm_probabilities(model), predictor.predictions({"images": inputs()}))
    assert list(model.pretrained_cfg["label_names"]) == list(predictor.classes)
    config = timm.data.resolve_model_data_config(model)
    assert tuple(config["input_size"][1:]) == predictor.preprocessing.size == (32, 32)
    assert (tuple(config["mean"]), tuple(config["std"])) == (predictor.preprocessing.mean, predictor.preprocessing.std)
    same_size = timm.data.resolve_model_data_config(model, use_test_size=True)
    assert (same_size["input_size"], same_size["crop_pct"]) == (config["input_size"], config["crop_pct"])
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    prepare = timm.data.create_transform(**config, is_training=False)
    large = Image.fromarray(pixels).resize((200, 250))
    level = 1 / 255 / min(config["std"])  # timm resizes by Pillow, which rounds otherwise than torch
    assert (prepare(large) - predictor.transform(large)["images"]).abs().max() < 1.5 * level
    whole = int(32 / config["crop_pct"])
    image = Image.fromarray(pixels).resize((whole, whole))  # needs no more resizing
    ours, theirs = predictor.transform(image)["images"], prepare(image)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)  # one divides by 255, the other multiplies
    with torch.inference_mode():
        expected = predictor.predictions({"images": ours[None]})
        torch.testing.assert_close(model(theirs[None]).softmax(1), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "tf_efficientnet_lite0", "swin_tiny_patch4_window7_224"])
def test_networks_of_one_size_and_of_other_families_come_back_from_the_folder(name: str, tmp_path: Path) -> None:
    backbone = TimmBackbone(name, pretrained=False, image_size=[32, 64])
    head = Linear(backbone.num_features, 4, backbone.default_pool)
    torch.nn.init.normal_(head.fc.weight)
    model = Model(backbone, head).eval()
    save(tmp_path / "bundle", model, of_timm(backbone))
    found = timm.create_model(f"local-dir:{tmp_path / 'bundle'}", pretrained=True).eval()
    assert tuple(timm.data.resolve_model_data_config(found)["input_size"]) == (3, 32, 64)
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    task = Classification(DataSpec("x", Classes(CLASSES, (1,) * 4), {}))
    with torch.inference_mode():
        expected = Predictor(model, task, backbone.preprocessing).predictions({"images": images})
        torch.testing.assert_close(found(images).softmax(1), expected, atol=1e-6, rtol=1e-4)


def of_timm(backbone: TimmBackbone) -> Description:
    settings = dict(parts_of("strategy=full")[1].written.config)
    stored = backbone.preprocessing.stored()
    return replace(described(settings, backbone.preprocessing), backbone={"name": backbone.name}, preprocessing=stored)


@pytest.mark.parametrize("what", ["an mlp", "another pooling", "a cut network", "a module of one's own"])
def test_what_timm_does_not_have_holds_no_config_and_gives_no_network(what: str, tmp_path: Path) -> None:
    until = "blocks.1" if what == "a cut network" else None
    backbone = TimmBackbone("mobilenetv3_small_050", pretrained=False, image_size=32, until=until)
    pool, width = "max" if what == "another pooling" else "auto", backbone.num_features
    linear = Linear(width, 4, backbone.default_pool, pool=pool)
    head = Mlp(width, 4, backbone.default_pool, hidden=(5,)) if what == "an mlp" else linear
    description, model = of_timm(backbone), Model(backbone, head)
    own = what == "a module of one's own"
    save(tmp_path / "bundle", model, replace(description, backbone={}) if own else description)
    assert not (tmp_path / "bundle" / "config.json").exists()
    if not own:
        task = Classification(DataSpec("x", Classes(CLASSES, (1,) * 4), {}))
        with pytest.raises(UserError, match="linear head on a timm backbone"):
            Predictor(model, task, backbone.preprocessing).to_timm()


def test_to_timm_is_the_same_network(trained: Trained) -> None:
    predictor = load(trained[0] / "bundle", accelerator="cpu")
    torch.testing.assert_close(timm_probabilities(predictor.to_timm()), predictor.predictions({"images": inputs()}))
    found, other = predictor.to_timm(), timm.create_model(f"local-dir:{trained[0] / 'bundle'}", pretrained=True)
    configs = [json.dumps(timm.data.resolve_model_data_config(one)) for one in (found, other)]  # a list is a tuple
    assert configs[0] == configs[1]
    assert list(found.pretrained_cfg["label_names"]) == list(predictor.classes)  # type: ignore[index, arg-type]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "tf_efficientnet_lite0", "convnext_atto"])
def test_to_timm_is_the_same_network_in_other_families_too(name: str) -> None:
    backbone = TimmBackbone(name, pretrained=False, image_size=32)
    model = Model(backbone, Linear(backbone.num_features, 4, backbone.default_pool))
    torch.nn.init.normal_(model.head.fc.weight)
    predictor = Predictor(model, Classification(DataSpec("x", Classes(CLASSES, (1,) * 4), {})), backbone.preprocessing)
    torch.testing.assert_close(
        timm_probabilities(predictor.to_timm()), predictor.predictions({"images": inputs()}), atol=1e-6, rtol=1e-4
    )


def test_of_a_run_given_as_a_bundle_the_one_in_it_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean .*bundle\?"):
        load(trained[0])
    with pytest.raises(UserError, match="a run leaves one at RUN_DIR/bundle"):
        load(tmp_path)


def test_to_timm_says_what_timm_lacks() -> None:
    backbone = tiny_backbone()
    predictor = Predictor(
        Model(backbone, Mlp(8, 4, "average", hidden=(5,))),
        Classification(DataSpec("x", Classes(CLASSES, (1,) * 4), {})),
        backbone.preprocessing,  # type: ignore[arg-type]
    )
    with pytest.raises(UserError, match="linear head on a timm backbone"):
        predictor.to_timm()


def test_nothing_in_a_bundle_is_a_pickle(trained: Trained) -> None:
    bundle = trained[0] / "bundle"
    assert {file.name for file in bundle.iterdir()} == {
        "model.safetensors", "bundle.json", "config.json", "split.safetensors", "README.md"
    }  # fmt: skip
    content = (bundle / "model.safetensors").read_bytes()
    assert not zipfile.is_zipfile(bundle / "model.safetensors")
    header = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + header])  # a safetensors file: the length of a JSON header, then the header
    described = json.loads((bundle / "bundle.json").read_text())
    assert described["schema_version"] == 1
    kept = {"classes": [str(digit) for digit in range(10)], "counts": [6] * 10}
    assert described["targets"] == {"kind": "classes", "train_samples": 60, **kept}


# Its model card


def test_every_figure_of_a_run_comes_back_from_its_card_as_the_report_has_it(trained: Trained) -> None:
    folder, report = trained
    found = ModelCard.load(folder / "bundle" / "README.md").data
    figures = {(one.dataset_split, one.metric_type): one.metric_value for one in found.eval_results}
    assert figures == {
        (split, name): value
        for split, metrics in report["metrics"].items()
        for name, value in metrics.items()
        if value is not None
    }
    assert (found.library_name, found.pipeline_tag) == ("timm", "image-classification")


def test_a_person_reads_the_figures_with_their_intervals_the_data_and_what_trained(trained: Trained) -> None:
    folder, report = trained
    text = (folder / "bundle" / "README.md").read_text()
    low, high = report["intervals"]["test"]["accuracy"]
    assert f"{report['metrics']['test']['accuracy']:.4f} ({low:.4f} to {high:.4f})" in text
    assert all(f"{size:,} {split}" in text for split, size in report["data"]["sizes"].items())
    assert all(f"| {phase['name']} |" in text for phase in report["phases"])


# Evaluation of a bundle


def evaluated(trained: Trained, *words: str, **own: Any) -> Report:
    settings = [f"bundle={trained[0] / 'bundle'}", "accelerator=cpu", *words]
    return ftlab.evaluate(compose(settings, mode="evaluate"), **own)


@pytest.mark.parametrize("split", ["test", "val"])
def test_evaluating_a_bundle_gives_the_runs_own_metrics(trained: Trained, split: str) -> None:
    found = evaluated(trained, f"split={split}", "batch_size=50")
    assert found["metrics"] == pytest.approx(trained[1]["metrics"][split], abs=1e-6)
    assert found["samples"] == trained[1]["data"]["sizes"][split]


def test_the_metrics_are_written_once_and_never_over_another_file(trained: Trained, tmp_path: Path) -> None:
    output = tmp_path / "metrics.json"
    found = evaluated(trained, f"output={output}")
    assert json.loads(output.read_text())["metrics"] == found["metrics"]
    for wrong, said in ((output, "exists"), (tmp_path / "no" / "x.json", "is not there")):
        with pytest.raises(UserError, match=f"output=.*{said}"):
            evaluated(trained, f"output={wrong}")


def renamed(classes: tuple[str, ...], places: list[int]) -> Splits:
    """Digits 0 to 3 under other names; sample of class i is of the class at places[i]."""
    made = splits()
    for samples in (made.train, made.val, made.test):
        assert samples is not None
        samples.targets = torch.tensor(places)[samples.targets]
    return Splits(made.train, made.val, made.test, Classes(classes))


def test_classes_in_another_order_are_renumbered(trained: Trained) -> None:
    plain = evaluated(trained, data=renamed(("0", "1", "2", "3"), [0, 1, 2, 3]))
    turned = evaluated(trained, data=renamed(("3", "1", "0", "2"), [2, 1, 3, 0]))
    assert turned["metrics"] == pytest.approx(plain["metrics"], nan_ok=True)
    wrong = evaluated(trained, data=renamed(("0", "1", "2", "3"), [2, 1, 3, 0]))
    assert wrong["metrics"]["loss"] != pytest.approx(plain["metrics"]["loss"])


def test_renumbering_moves_labels_of_several_too() -> None:
    samples = pictures(3)
    samples.targets = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    moved = Splits(samples, None, None, Labels(("b", "a"))).suited(Labels(("a", "x", "b")))
    assert moved.train.targets.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 1]]
    assert moved.target.classes == ("a", "x", "b")


def test_data_with_classes_that_the_bundle_does_not_know_is_refused(trained: Trained) -> None:
    with pytest.raises(UserError, match=r"\['zebra'\].*0, 1, 2"):
        evaluated(trained, data=renamed(("0", "1", "2", "zebra"), [0, 1, 2, 3]))


def test_a_split_that_is_not_there_is_named(trained: Trained) -> None:
    data = Splits(pictures(8), None, None, Classes(CLASSES))
    with pytest.raises(UserError, match=r"split=test: the data have no such split; accepted: train \(8 samples\)"):
        evaluated(trained, "split=test", data=data)


# What is wrong with a bundle


def spoil(change: Callable[[Report], Any]) -> Callable[[Path], Any]:
    def act(folder: Path) -> None:
        path = folder / "bundle.json"
        described = json.loads(path.read_text())
        path.write_text(json.dumps(change(described) or described))

    return act


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def lose(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["fc.bias"]
    weights["fc.weight"] = weights["fc.weight"][:3].clone()
    weights["stray"] = torch.zeros(1)
    save_file(weights, folder / "model.safetensors")


SPOILED: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "no folder": (shutil.rmtree, ["bundle=", "bundle.json is missing"]),
    "no description": (lambda f: (f / "bundle.json").unlink(), ["bundle.json is missing"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["model.safetensors", "missing"]),
    "broken JSON": (lambda f: (f / "bundle.json").write_text('{"task": '), ["bundle.json", "not a bundle"]),
    "not text": (lambda f: (f / "bundle.json").write_bytes(b"\xff\xfe"), ["bundle.json", "not a bundle"]),
    "a list": (lambda f: (f / "bundle.json").write_text("[1]"), ["bundle.json", "not a bundle"]),
    "newer schema": (spoil(lambda d: d.update(schema_version=2)), ["bundle.json", "schema_version 2", "reads 1"]),
    "no schema": (spoil(lambda d: d.pop("schema_version") and d), ["bundle.json", "schema_version None"]),
    "a key is missing": (spoil(lambda d: d.pop("head") and d), ["bundle.json", "head"]),
    "no classes": (spoil(lambda d: d.update(targets={})), ["bundle.json", "classes"]),
    "no size": (spoil(lambda d: d["preprocessing"].pop("size") and d), ["bundle.json", "size"]),
    "truncated weights": (cut, ["model.safetensors", "truncated"]),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), ["model.safetensors", "truncated"]),
    "other weights": (lose, ["1 missing", "fc.bias", "1 unexpected", "stray", "1 of another shape", "fc.weight"]),
    "another home": (spoil(lambda d: d["head"].update(_target_="os.system")), ["os.system"]),
    "a way round": (spoil(lambda d: d["head"].update(_target_="ftlab.cli.os.system")), ["ftlab.cli"]),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_bundle_that_is_spoiled_is_an_error_that_names_the_file_and_the_fault(copy: Path, case: str) -> None:
    act, words = SPOILED[case]
    act(copy)
    with pytest.raises(UserError) as caught:
        load(copy, accelerator="cpu")
    assert all(word in str(caught.value) for word in words), caught.value


def test_weights_that_do_not_fit_leave_the_network_as_it_was() -> None:
    model = Model(tiny_backbone(), Linear(8, 4, "average"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = {name: value + 1 for name, value in tensors(model).items()}
    found.pop(next(iter(found)))
    with pytest.raises(UserError, match="1 missing"):
        restore(model, found, Path("here"))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_bundle_of_ones_own_module_asks_for_it(tmp_path: Path) -> None:
    words = [*BASE, "strategy=head_only", "trainer.max_epochs=1"]
    report = ftlab.train(compose(words), tmp_path / "run", splits(), tiny_backbone())
    bundle = tmp_path / "run" / "bundle"
    with pytest.raises(UserError, match=r"user's own module.*backbone="):
        load(bundle)
    predictor = load(bundle, tiny_backbone(seed=5), accelerator="cpu")
    image = write_image(tmp_path / "x.png")
    assert predictor.predict(image)[0]["class"] in CLASSES
    # It was trained on the person's own data: the digits of the config are not it.
    evaluate = compose([f"bundle={bundle}", "accelerator=cpu"], mode="evaluate")
    with pytest.raises(UserError, match=r"data.*own"):
        ftlab.evaluate(evaluate, backbone=tiny_backbone())
    found = ftlab.evaluate(evaluate, data=splits(), backbone=tiny_backbone())
    assert found["metrics"] == pytest.approx(report["metrics"]["test"], abs=1e-6)
