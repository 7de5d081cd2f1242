"""What sweepers of our own have in common: how Hydra makes them, and how their errors end."""

import sys
from abc import abstractmethod

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ftlab.exits import guard


class OwnSweeper(Sweeper):
    config: DictConfig
    launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Errors end here: Hydra would print its own text and exit with 1."""
        code = guard(lambda: self.run(arguments))
        if code:
            sys.exit(code)

    @abstractmethod
    def run(self, arguments: list[str]) -> int:
        """All jobs; arguments: what was typed. Returns: the exit code. Raises: UserError."""
