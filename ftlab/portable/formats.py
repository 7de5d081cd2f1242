"""Files of a network that run without ftlab."""

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.portable.network import first_line

OUTPUT = "answers"
Runner = Callable[[Sequence[Tensor]], Tensor]  # the file, run on inputs (b, ...), as whoever uses it would


def check_extra(written: str) -> None:
    """Before anything is computed. Raises: UserError where what writes the format is not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime") if written == "onnx" else ():
        if find_spec(name) is None:
            raise UserError(f"format=onnx needs {name}: pip install 'ftlab[export]'")


def onnx(program: torch.export.ExportedProgram, names: Sequence[str], path: Path) -> Runner:
    """Raises: UserError for an operator that ONNX has not. `check_extra` comes before."""
    import onnxruntime

    for name in ("onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.WARNING)  # else each weight that is stored once is told
    try:
        made = torch.onnx.export(program, input_names=list(names), output_names=[OUTPUT], verbose=False)
        assert made is not None
        made.save(str(path))
    except Exception as error:
        way = "format=torch_export writes it without ONNX"
        raise UserError(f"this network cannot be written as ONNX: {first_line(error)}; {way}") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken = [one.name for one in session.get_inputs()]  # an input that decides nothing is left out

    def run(inputs: Sequence[Tensor]) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True) if name in taken}
        return torch.from_numpy(np.asarray(session.run([OUTPUT], given)[0]))

    return run


def torch_export(program: torch.export.ExportedProgram, names: Sequence[str], path: Path) -> Runner:
    torch.export.save(program, path)
    module = torch.export.load(path).module()

    def run(inputs: Sequence[Tensor]) -> Tensor:
        with torch.inference_mode():
            return module(*inputs)  # type: ignore[no-any-return]

    return run


FORMATS = {"onnx": (onnx, "model.onnx"), "torch_export": (torch_export, "model.pt2")}
