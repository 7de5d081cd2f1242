"""`ftlab export`: a bundle's network as a file that runs without ftlab, checked on samples of its run."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ftlab import bundle as bundles
from ftlab.batch import Fields
from ftlab.config import plainly
from ftlab.disk import clear_errors
from ftlab.earlier import of_bundle
from ftlab.errors import UserError, choices
from ftlab.portable.check import Check, check
from ftlab.portable.formats import FORMATS, OUTPUT, check_extra
from ftlab.portable.network import Portable, portable, traced
from ftlab.predictor import Pieces, Predictor, load
from ftlab.run import required
from ftlab.tasks.multilabel import Multilabel

SAMPLES = 64  # of the run's data that the file is checked on
SHIPPED = 8  # of them in example.npz
SCRIPT = Path(__file__).parent / "portable" / "standalone.py"  # not imported: it needs onnxruntime


def export(config: Any) -> None:
    """Raises: UserError for a network that cannot be exported, or a file that says something else than it."""
    settings = plainly(config, resolve=True)
    written = settings["format"]
    if written not in FORMATS:
        raise UserError(f"format={written}: no such format; {choices(written, FORMATS)}")
    check_extra(written)
    output, folder = new_folder(required(settings, "output")), Path(required(settings, "bundle"))
    predictor = load(folder, accelerator="cpu", trusted_modules=settings["trusted_modules"])
    network = portable(predictor)
    fields, of = examples(predictor, folder, settings["trusted_modules"])
    inputs = network.inputs(fields)
    write, name = FORMATS[written]
    partial = output.with_name(f".{output.name}.partial")
    with clear_errors(output.parent, f"output={output}"):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            program = traced(network, inputs, predictor.preprocessing.one_size)
            run = write(program, network.names, partial / name)
            found = check(run, network, inputs, of)
            beside(partial, network, predictor, inputs, found, name)
            for file in (bundles.DESCRIPTION, *bundles.FILES):  # by which ftlab serve prepares inputs
                if (folder / file).is_file():
                    shutil.copyfile(folder / file, partial / file)
            partial.rename(output)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    size = (output / name).stat().st_size
    print(f"{output / name}  {size / 2**20:.1f} MiB\n{found}")


def new_folder(output: str) -> Path:
    path = Path(output)
    if not path.absolute().parent.is_dir():
        raise UserError(f"output={path}: the folder {path.parent} is not there; make it first")
    if path.exists():
        raise UserError(f"output={path}: exists already; name a new folder, nothing is overwritten")
    return path


def examples(predictor: Predictor, folder: Path, trusted_modules: list[str]) -> tuple[Fields, str]:
    """Fields (b, ...) of samples of the run's test split, and what to call them; of chance where it cannot be read."""
    description, _ = bundles.read(folder, trusted_modules)
    preprocessing = predictor.preprocessing
    try:
        measured = of_bundle(None, None, None, folder, description, trusted_modules)
        samples = measured.splits.parts()[measured.split]
        raws = [samples.inputs[place] for place in range(min(SAMPLES, len(samples)))]
        ready = [one[0] for raw in raws if not isinstance(one := predictor.prepared(raw), Pieces)]
        if len(ready) < 2:
            raise UserError(f"the split {measured.split} has {len(ready)} samples")
        return preprocessing.stack(ready), f"samples of {measured.data}, {measured.split}"
    except (UserError, OSError) as error:
        blank = preprocessing.stack([preprocessing.blank()] * SAMPLES)
        numbers = torch.Generator().manual_seed(0)
        drawn = {name: at_random(value, numbers) for name, value in blank.items()}
        return drawn, f"samples of chance, since those of the run cannot be read ({error})"


def at_random(value: torch.Tensor, numbers: torch.Generator) -> torch.Tensor:
    """Numbers like those of a standardised input; what is no number stays, for not every one is an input."""
    return torch.randn(value.shape, generator=numbers) if value.is_floating_point() else value


def beside(
    folder: Path, network: Portable, predictor: Predictor, inputs: tuple[torch.Tensor, ...], found: Check, name: str
) -> None:
    """model.json, example.npz and, with ONNX, predict.py."""
    told: Mapping[str, Any] = {
        "file": name,
        "task": predictor.task.name,
        **predictor.task.spec.target.described(),
        "inputs": {
            one: {"type": str(value.dtype).removeprefix("torch."), "shape": ["b", *value.shape[1:]]}
            for one, value in zip(network.names, inputs, strict=True)
        },
        "output": OUTPUT,
        **({"threshold": predictor.task.threshold} if isinstance(predictor.task, Multilabel) else {}),
        "preprocessing": predictor.preprocessing.stored(),
        "check": found.told(),
    }
    text = json.dumps(told, indent=2, ensure_ascii=False, default=str)
    (folder / "model.json").write_text(text + "\n", encoding="utf8")
    with torch.inference_mode():
        answers = network(*(value[:SHIPPED] for value in inputs)).numpy()
    arrays = {one: value[:SHIPPED].numpy() for one, value in zip(network.names, inputs, strict=True)}
    np.savez(folder / "example.npz", **arrays, **{OUTPUT: answers})  # type: ignore[arg-type]  # names of inputs
    if name.endswith(".onnx"):
        shutil.copyfile(SCRIPT, folder / "predict.py")
