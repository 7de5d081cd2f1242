"""The proof that all ranks hold the same weights: a checksum of each parameter, compared after every epoch."""

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from ftlab.training.distributed.gather import gathered
from ftlab.training.finetuner import FineTuner

WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # bytes of an element to a type of that size


def checksums(module: nn.Module) -> Tensor:
    """(p,) int64: for each of p parameters the sum of its elements' bits, read as whole numbers."""
    parameters = [p.detach().contiguous() for p in module.parameters()]
    return torch.stack([p.view(WHOLE[p.element_size()]).sum(dtype=torch.int64) for p in parameters])


class EqualRanks(Callback):
    """Ends a run whose ranks have drifted apart: from then on it would train something that nobody asked for."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: FineTuner) -> None:  # type: ignore[override]
        if trainer.world_size == 1:
            return
        all_ranks = gathered(checksums(pl_module.model))  # (ranks, p)
        apart = (all_ranks != all_ranks[0]).any(dim=0).nonzero().flatten().tolist()
        if apart:
            names = [name for name, _ in pl_module.model.named_parameters()]
            raise RuntimeError(
                f"the ranks hold different weights after epoch {trainer.current_epoch + 1}, phase "
                f"'{pl_module.running.name}': {len(apart)} of {len(names)} parameters, the first is {names[apart[0]]}. "
                "This is a defect of ftlab, not of your settings: please report it with config.yaml and this message."
            )
