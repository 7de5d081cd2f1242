"""The DistributedDataParallel wrap, renewed when the set of trainable parameters changes.

DDP's reducer lists the parameters that require a gradient when it is built; one that thaws later is never synchronised,
without an error. The names used here are private to Lightning: pyproject.toml bounds its version for this file, and
tests/distributed/test_ranks.py guards it.
"""

from functools import partial

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel


def skip_without_gradients(trainer: Trainer, module: LightningModule) -> None:
    """Before the first wrap: none for a module of which nothing trains (head=sklearn), which DDP refuses.

    All ranks begin with the weights of rank 0, as the wrap would see to.
    """
    trains = any(parameter.requires_grad for parameter in module.parameters())
    if isinstance(trainer.strategy, DDPStrategy) and not trains:
        trainer.strategy.configure_ddp = partial(_sync_module_states, module)  # type: ignore[method-assign]


def renew(trainer: Trainer) -> None:
    """Wrap the module again, on every rank; does nothing without DDP or before the first wrap. About 0.6 s."""
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or not isinstance(strategy.model, DistributedDataParallel):
        return
    module = strategy.lightning_module
    assert module is not None
    strategy.model = None  # the old reducer's hooks must be gone before the new one's are set
    strategy.model = strategy._setup_model(module)
    strategy._register_ddp_hooks()
