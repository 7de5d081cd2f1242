"""A person's own nn.Module as a backbone."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ftlab.backbones.base import Backbone, Features
from ftlab.backbones.stages import listed_stages
from ftlab.backbones.weights import Loaded
from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing

USUAL = ("images", "vectors", "tokens")  # the fields that a module is given of what is shipped


class ModuleBackbone(Backbone):
    """Wraps `module`; its output (b, c, h, w) is maps, (b, t, c) tokens, (b, c) one vector."""

    def __init__(
        self,
        module: nn.Module,
        stages: Mapping[str, Sequence[str]],
        num_features: int,
        preprocessing: InputPreprocessing | None = None,
    ) -> None:
        """`stages` maps stage names, input end first, to prefixes of module or parameter names.

        Raises: UserError if a parameter is in no stage or in two, or a prefix matches nothing.
        """
        super().__init__()
        self.model = module
        self.name = type(module).__name__
        self.stages = listed_stages(module, stages, "model")
        self.num_features = num_features
        self.default_pool = "average"
        self.preprocessing = preprocessing
        self.loaded = Loaded("the user's own module")

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return (the_input(batch),)

    def features(self, output: Tensor) -> Features:
        return as_features(output)


def the_input(batch: Batch) -> Tensor:
    """Images, vectors or tokens, whatever lies beside them; of other inputs the only field.

    Raises: UserError where none of these is there, and it is not one field.
    """
    names = [name for name in USUAL if name in batch.inputs][:1] or list(batch.inputs)
    if len(names) == 1:
        return batch.inputs[names[0]]
    held = ", ".join(batch.inputs) or "no inputs"
    raise UserError(f"A module is given images, vectors, tokens or the only field of a batch; this one holds {held}.")


def as_features(output: Tensor) -> Features:
    """Raises: UserError for an output that is not a tensor of 2, 3 or 4 dimensions."""
    match getattr(output, "ndim", None):
        case 4:
            return Features(maps=output)
        case 3:
            return Features(tokens=output)
        case 2:
            return Features(vector=output)
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise UserError(f"A backbone must give (b, c, h, w), (b, t, c) or (b, c); this one gave {shape}.")
