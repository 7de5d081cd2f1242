"""An exported network in place of the bundle's own.

Shapes: b batch.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ftlab.bundle import described
from ftlab.errors import UserError
from ftlab.portable.formats import FORMATS, OUTPUT, check_extra
from ftlab.portable.network import Ports
from ftlab.predictor import Pieces, Preparation, Prepared, task_of


class Exported(Preparation):
    """What `ftlab export` wrote, run by onnxruntime; inputs are prepared, and answers described, as the bundle's."""

    def __init__(self, folder: Path, trusted_modules: Sequence[str] = ()) -> None:
        """Raises: UserError for a folder without a network in ONNX."""
        check_extra("onnx")
        import onnxruntime

        file = folder / FORMATS["onnx"][1]
        if not file.is_file():
            raise UserError(
                f"bundle={folder}: there is no {file.name}; ftlab export bundle={folder} output=NEW makes one"
            )
        description = described(folder, trusted_modules)
        # The file's answers are calibrated, and once is enough.
        settings = {name: value for name, value in description.task_settings.items() if name != "temperature"}
        super().__init__(*task_of(replace(description, task_settings=settings), folder, trusted_modules))
        self.ports = Ports(self.preprocessing)
        try:
            self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each thing that may be wrong
            raise UserError(f"{file}: onnxruntime cannot read it: {str(error).splitlines()[0][:200]}") from error
        self.taken = {one.name for one in self.session.get_inputs()}

    def answers(self, ready: Sequence[Prepared | Pieces], batch_size: int, how: Any = None) -> Any:
        """As Predictor.answers; how: nothing, since no exported task writes."""
        fields, _ = self.stacked([one for one in ready if not isinstance(one, Pieces)])  # no exported task has pieces
        inputs = zip(self.ports.names, self.ports.inputs(fields), strict=True)
        given = {name: value.numpy() for name, value in inputs if name in self.taken}
        return torch.from_numpy(self.session.run([OUTPUT], given)[0])
