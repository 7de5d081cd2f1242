"""Which modules are in train mode while some parameters train, and what of a graph that changes."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from inspect import isfunction
from typing import Any

from torch import fx, nn


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """In evaluation mode for a while; the mode of every module is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def training_modules(network: nn.Module, trainable_ids: set[int]) -> frozenset[nn.Module]:
    """Those that own a trainable parameter; modules without parameters (dropout) follow their parent."""
    found: set[nn.Module] = set()

    def visit(module: nn.Module, inherited: bool) -> None:
        ids = {id(parameter) for parameter in module.parameters()}
        training = bool(ids & trainable_ids) if ids else inherited
        if training:
            found.add(module)
        for child in module.children():
            visit(child, training)

    visit(network, False)
    return frozenset(found)


def varying(
    network: nn.Module, evaluation: fx.Graph, training: fx.Graph, modules: Collection[nn.Module]
) -> frozenset[str]:
    """Names of the nodes that compute something else while `modules` are in train mode, trainable or not: a dropout, a
    BatchNorm without weights, what code that asks for `self.training` does.

    `evaluation` and `training`: the graphs in the two modes.
    """
    graphs = (evaluation, training)
    said = [{node.name: call(node) for node in graph.nodes if node.op != "get_attr"} for graph in graphs]
    differ = {name for name in said[0] | said[1] if said[0].get(name) != said[1].get(name)}
    calls = [node for node in evaluation.nodes if node.op == "call_module"]
    return frozenset(differ | {node.name for node in calls if asks(network.get_submodule(str(node.target)), modules)})


def call(node: fx.Node) -> tuple[str, ...]:
    """What a node does, whatever it is given by other nodes."""
    constants = fx.map_arg((node.args, node.kwargs), lambda _: None)  # type: ignore[attr-defined]
    return node.op, str(node.target), repr(constants)


def asks(module: nn.Module, training: Collection[nn.Module]) -> bool:
    """Whether `module`, which is called as a whole, is among `training` and does something else there."""
    return any(part in training and reads_mode(type(part)) for part in module.modules())


def reads_mode(kind: type[nn.Module]) -> bool:
    """Whether the code of a class of modules reads `self.training`."""
    classes: list[Any] = [c for c in kind.__mro__ if issubclass(c, nn.Module) and c is not nn.Module]
    functions = [f for c in classes for f in vars(c).values() if isfunction(f)]
    return any("training" in f.__code__.co_names for f in functions)
