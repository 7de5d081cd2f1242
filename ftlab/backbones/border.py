"""Cuts a network at its freeze border, so that what the frozen part computes can be kept.

A node of the traced graph is frozen if it owns no trainable parameter, computes the same in training, and all its
inputs are frozen. The border is the frozen values that the rest needs: the prefix computes them, the suffix goes on
from them. Nothing here knows a family of networks, and freezing need not be a plain prefix.
"""

import inspect
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import timm
import torch
from timm.layers import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn

from ftlab.backbones.folded import fast
from ftlab.backbones.modes import training_modules, varying
from ftlab.backbones.part import Part, Run
from ftlab.errors import UserError

SIZE_ATTRIBUTES = {"shape", "ndim", "dtype", "device"}
SIZE_METHODS = {"size", "dim"}
# Methods whose result shares its numbers with what it is of.
VIEWS = {"view", "reshape", "flatten", "transpose", "permute", "unsqueeze", "squeeze", "expand", "narrow", "select",
         "chunk", "split", "unbind", "unflatten", "movedim", "t"}  # fmt: skip


class Traced:
    """The graph of `network.method` in evaluation: what lies before and behind any freeze border comes from it."""

    ragged = False

    def __init__(
        self, network: nn.Module, method: str = "forward", finish: Run | None = None, pick: Run | None = None
    ) -> None:
        """`pick`: what of the output `finish` is to have. Raises: UserError where torch.fx cannot trace the network."""
        self.network, self.method, self.finish, self.pick = network, method, finish, pick
        self.graph = self._trace(())

    def _trace(self, training: Collection[nn.Module]) -> fx.Graph:
        graph = trace(self.network, self.method, training)
        if self.pick:
            output = graph.output_node()
            output.args = (self.pick(output.args[0]),)
        return graph

    def cut(self, trainable: set[str], training: Collection[nn.Module] | None = None) -> tuple[Part, Part]:
        """(prefix, suffix) around the parameters named in `trainable`.

        `training`: the modules that are in train mode while these train; None: see modes.training_modules.

        `prefix(x)` is a tuple with the values at the border, without gradient; `suffix(*values)` is finish(what the
        method gives). Branches of Python code on `self.training` are fixed by tracing, so the suffix holds two traces:
        one in eval mode, and one with the modules `training` in train mode. The frozen part runs in eval mode only:
        what draws at random in training (a dropout before the first layer that trains) is behind the border. Both parts
        look parameters and buffers up in the network at each call, so moving the network is fine.

        Raises: UserError where the training branches of the network move the border.
        """
        ids = {id(parameter) for name, parameter in self.network.named_parameters() if name in trainable}
        modules = training_modules(self.network, ids) if training is None else training
        in_training = self._trace(modules) if ids else self.graph
        moving = varying(self.network, self.graph, in_training, modules) if ids else frozenset()
        border, after = split(self.network, self.graph, ids, moving)
        training_border, training_after = split(self.network, in_training, ids, moving)
        names = [node.name for node in border]
        if names != [node.name for node in training_border]:
            raise not_cut(self.network, "it computes other values in train mode than in eval mode before the border")
        suffix = Part(names, runner(self.network, training_after), runner(self.network, after), self.finish)
        return self.prefix(names), suffix

    def prefix(self, names: Sequence[str]) -> Part:
        """What computes the values `names` of the inputs, in evaluation and without gradient."""
        evaluation = torch.no_grad()(runner(self.network, self.before(names)))
        return Part(names, evaluation, evaluation)

    def fast(self, names: Sequence[str]) -> Run:
        """As `prefix`, with the weights of now and about twice as fast where there are convolutions; see folded.py."""
        return fast(self.network, self.before(names))

    def parameters(self, names: Sequence[str]) -> frozenset[str]:
        """The parameters that the values `names` are computed by."""
        ids = {found for node in self.before(names).nodes for found in own_ids(self.network, node)}
        return frozenset(name for name, parameter in self.network.named_parameters() if id(parameter) in ids)

    def digest(self, names: Sequence[str]) -> str:
        """A hash of what computes the values `names`: the graph, and the weights and buffers of its modules."""
        graph = self.before(names)
        shared = fx.GraphModule(self.network, graph)
        state = blake2b(digest_size=16)
        state.update(
            repr((timm.__version__, shared.code, [(n, repr(m)) for n, m in shared.named_modules() if n])).encode()
        )
        update(state, shared.state_dict() | dict(shared.named_buffers()))  # also buffers that are not saved
        return state.hexdigest()

    def before(self, names: Sequence[str]) -> fx.Graph:
        nodes = {node.name: node for node in self.graph.nodes}
        wanted = [nodes[name] for name in names]
        needed, _ = upstream(wanted, set())
        inputs = {node for node in self.graph.nodes if node.op == "placeholder"}
        return copy_before(self.graph, needed | inputs, wanted)


def update(state: Any, tensors: Mapping[str, Tensor]) -> None:
    """Add names, types, shapes and bytes of `tensors` to a hash."""
    for name, tensor in tensors.items():
        state.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        state.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())


def cut(
    network: nn.Module, trainable: set[str], method: str = "forward", finish: Run | None = None
) -> tuple[Part, Part]:
    """As Traced.cut, of a network that is cut once.

    Raises: UserError where torch.fx cannot trace the network, or where its training branches move the border.
    """
    return Traced(network, method, finish).cut(trainable)


def not_cut(network: nn.Module, reason: str) -> UserError:
    return UserError(
        f"the network {type(network).__name__} cannot be cut at the freeze border: {reason}; "
        "train it with cache=off, or cache=auto, which goes without"
    )


def trace(network: nn.Module, method: str, training: Collection[nn.Module]) -> fx.Graph:
    """The graph of `network.method`; the modules `training` are traced in train mode, the others in eval mode."""
    modes = {module: module.training for module in network.modules()}
    arguments = inspect.signature(getattr(network, method)).parameters.values()
    # An optional argument left open would be traced as given: `if mask is not None` would take the wrong branch.
    closed = {a.name: a.default for a in arguments if a.default is not inspect.Parameter.empty}
    try:
        for module in modes:
            module.training = module in training
        graph = BorderTracer(method).trace(network, concrete_args=closed or None)
    except Exception as error:  # tracing runs the network's own code on stand-ins, which may fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise not_cut(network, f"torch.fx says '{reason}'") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    follow_changes(network, graph)
    return graph


def follow_changes(network: nn.Module, graph: fx.Graph) -> None:
    """Let whoever uses a value after it was changed in place use the changed one, so that no change is left out.

    Raises: UserError for a change of a part of a tensor, which is seen under other names too.
    """
    seen: set[fx.Node] = set()
    for node in graph.nodes:
        seen.add(node)
        if node.op == "call_function" and node.target is operator.setitem:
            raise not_cut(network, f"it changes a part of a tensor in place ({node.name})")
        if not changes(network, node) or not isinstance(changed := node.args[0], fx.Node):
            continue
        if (changed.op == "call_method" and changed.target in VIEWS) or changed.target is operator.getitem:
            raise not_cut(network, f"it changes a part of a tensor in place ({node.name})")
        for user in [user for user in changed.users if user not in seen]:
            user.replace_input_with(changed, node)


def changes(network: nn.Module, node: fx.Node) -> bool:
    """Whether a node changes its first argument in place."""
    match node.op:
        case "call_method":
            return str(node.target).endswith("_") and not str(node.target).endswith("__")
        case "call_function":
            return str(getattr(node.target, "__name__", "")).endswith("_") or node.kwargs.get("inplace") is True
        case "call_module":
            return getattr(network.get_submodule(str(node.target)), "inplace", False) is True
    return False


class BorderTracer(fx.Tracer):
    def __init__(self, method: str) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self.traced_func_name = method
        self._whole = tuple(get_notrace_modules())  # modules that timm declares untraceable

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        adapted = hasattr(module, "get_base_layer")  # by peft, whose code asks for what a stand-in has not
        return adapted or isinstance(module, self._whole) or super().is_leaf_module(module, name)


def split(
    network: nn.Module, graph: fx.Graph, trainable_ids: set[int], moving: Collection[str]
) -> tuple[list[fx.Node], fx.Graph]:
    """The border's nodes in order, and the graph after them; see `storable`."""
    after, border = upstream([graph.output_node()], storable(network, graph, trainable_ids, moving))
    ordered = [node for node in graph.nodes if node in border]
    return ordered, copy_after(graph, after, ordered)


def storable(network: nn.Module, graph: fx.Graph, trainable_ids: set[int], moving: Collection[str]) -> set[fx.Node]:
    """Nodes whose values are tensors that depend on the input, on no trainable parameter and on no node of `moving`,
    the names of those that compute something else in training.

    Sizes are left out: they would tie what is stored to one batch size, and the suffix can ask for them again.
    """
    frozen: dict[fx.Node, bool] = {}
    from_pixels: dict[fx.Node, bool] = {}
    for node in graph.nodes:
        inputs = node.all_input_nodes
        stays = node.name not in moving and not own_ids(network, node) & trainable_ids
        frozen[node] = stays and all(frozen[i] for i in inputs)
        from_pixels[node] = is_input(node) or (any(from_pixels[i] for i in inputs) and not asks_size(node))
    return {node for node in graph.nodes if frozen[node] and from_pixels[node] and node.op != "output"}


def is_input(node: fx.Node) -> bool:
    return node.op == "placeholder" and not node.args  # closed optional arguments have their default as args


def asks_size(node: fx.Node) -> bool:
    if node.op == "call_function" and node.target in (getattr, operator.attrgetter):
        return node.args[1] in SIZE_ATTRIBUTES
    return node.op == "call_method" and node.target in SIZE_METHODS


def own_ids(network: nn.Module, node: fx.Node) -> set[int]:
    """Identities, not names: a shared parameter has several names."""
    if node.op == "get_attr":
        return {id(operator.attrgetter(str(node.target))(network))}
    if node.op == "call_module":
        return {id(parameter) for parameter in network.get_submodule(str(node.target)).parameters()}
    return set()


def upstream(nodes: list[fx.Node], stop: set[fx.Node]) -> tuple[set[fx.Node], set[fx.Node]]:
    """What `nodes` need, themselves included, and the nodes of `stop` at which the walk ended."""
    seen, ends, stack = set(nodes), set(), list(nodes)
    while stack:
        for node in stack.pop().all_input_nodes:
            if node in stop:
                ends.add(node)
            elif node not in seen:
                seen.add(node)
                stack.append(node)
    return seen, ends


def copy_before(graph: fx.Graph, wanted: set[fx.Node], border: list[fx.Node]) -> fx.Graph:
    """The nodes `wanted`, which give the values of `border`."""
    part = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    given: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in wanted and (node.op != "placeholder" or is_input(node)):
            copied[node] = part.node_copy(node, copied.__getitem__)
            goes_on = node in border and any(user in wanted for user in node.users)
            # What comes next might change it in place.
            given[node] = part.call_method("clone", (copied[node],)) if goes_on else copied[node]
    part.output(tuple(given[node] for node in border))
    return part


def copy_after(graph: fx.Graph, wanted: set[fx.Node], border: list[fx.Node]) -> fx.Graph:
    part = fx.Graph()
    copied = {node: part.placeholder(node.name) for node in border}
    for node in graph.nodes:
        if node in wanted and node.op != "placeholder":
            copied[node] = part.node_copy(node, copied.__getitem__)
    return part


def runner(network: nn.Module, graph: fx.Graph) -> Callable[..., Tensor]:
    """The graph as a function of its inputs.

    GraphModule is only the compiler here: its code runs on the network itself, because a GraphModule keeps its own
    reference to every buffer and would go on with the old one after `network.to(device)`.
    """
    return partial(type(fx.GraphModule(network, graph)).forward, network)
