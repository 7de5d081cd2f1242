"""Sweepers of ftlab's own, as Hydra takes them."""

import sys
from types import ModuleType

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

PLUGINS = "hydra_plugins"  # Hydra takes sweepers from modules of this name alone


def register(kind: type[Sweeper]) -> None:
    """Hydra imports all that are installed at every start; so this one is entered there when it is asked for."""
    plugins = Plugins.instance()  # has imported those that are installed
    parent = sys.modules.setdefault(PLUGINS, ModuleType(PLUGINS))
    own = sys.modules.setdefault(kind.__module__, ModuleType(kind.__module__))
    setattr(own, kind.__name__, kind)
    setattr(parent, kind.__module__.rpartition(".")[2], own)
    plugins.register(kind)
