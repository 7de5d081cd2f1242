"""Which stages no output hangs on: they would seem to train, and never get a gradient.

A walk along autograd's graph, from the outputs back to the parameters: nothing is computed backward, so it works for a
network on the meta device too, and no gradient is touched.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from ftlab.backbones.modes import in_evaluation
from ftlab.batch import Batch
from ftlab.data.base import Splits
from ftlab.data.module import collate
from ftlab.data.sampling import Item, KeyedDataset
from ftlab.errors import UserError
from ftlab.inputs.base import InputPreprocessing
from ftlab.model import Model, place_of
from ftlab.patterns import shorten
from ftlab.strategies.base import Phase


class CannotTellError(Exception):
    """Why it is not known which stages are used, in one line."""


def unused(model: Model, batch: Batch) -> frozenset[str]:
    """Addresses of the stages that no output of `batch` uses. Raises: CannotTellError as `unreached`."""
    return idle_stages(model, unreached(model, batch))


def idle_stages(model: Model, names: Collection[str]) -> frozenset[str]:
    """The stages of which all parameters are among `names`."""
    return frozenset(s.name for s in model.stages if s.parameters and set(s.parameters).issubset(names))


def unreached(model: Model, batch: Batch) -> frozenset[str]:
    """Names of the parameters that no output of `batch` hangs on; the model stays as it was, no random number is drawn.

    Raises: CannotTellError where the network does not run in evaluation as it is, or computes unseen by autograd.
    """
    with as_found(model):
        parameters = on_one_device(model)
        try:
            outputs = run(model, parameters, batch)
        except Exception as error:  # of the network's own code
            raise CannotTellError((str(error).splitlines() or [type(error).__name__])[0][:160]) from error
        reached, hidden = behind(outputs)
    found = frozenset(name for name, parameter in parameters.items() if id(parameter) not in reached)
    if idle_stages(model, found) and (hidden or not reached):
        raise CannotTellError(f"{hidden or 'the output'} is of a kind that autograd's graph does not show")
    return found


def run(model: Model, parameters: dict[str, Tensor], batch: Batch) -> Any:
    """What the model gives, its buffers untouched."""
    device = next(iter(parameters.values())).device
    buffers = {name: buffer.to(device, copy=True) for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        return functional_call(model, {**parameters, **buffers}, (batch.each(lambda tensor: tensor.to(device)),))


def on_one_device(model: Model) -> dict[str, Tensor]:
    """All parameters as leaves of a graph; beside a network without weights (meta) the head's are without as well."""
    named = dict(model.named_parameters())
    device = next(iter(named.values())).device  # the backbone's
    found = {name: p if p.device == device else torch.empty_like(p, device=device) for name, p in named.items()}
    for parameter in found.values():
        parameter.requires_grad_(parameter.is_floating_point())
    return found


@contextmanager
def as_found(model: Model) -> Iterator[None]:
    """In evaluation mode; modes, and what asks for a gradient, are put back."""
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with in_evaluation(model):
            yield
    finally:
        for parameter, requires_grad in asked:
            parameter.requires_grad_(requires_grad)


def behind(outputs: Any) -> tuple[set[int], str | None]:
    """(identities of the leaves that the tensors in `outputs` hang on, a function of which autograd sees no inside)."""
    tensors = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.requires_grad]
    found = {id(tensor) for tensor in tensors if tensor.grad_fn is None}
    stack: list[Any] = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen, hidden = set(stack), None
    while stack:
        node = stack.pop()
        if (leaf := getattr(node, "variable", None)) is not None:  # AccumulateGrad
            found.add(id(leaf))
        if isinstance(node, BackwardCFunction):  # somebody's own, such as reentrant checkpointing
            hidden = type(node).__name__
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                stack.append(following)
    return found, hidden


def check_gradients(
    phases: Sequence[Phase],
    model: Model,
    added: Collection[str],
    splits: Splits,
    preprocessing: InputPreprocessing,
) -> tuple[str, ...]:
    """The warning where it cannot be told which stages the outputs use; phases in closed form need no gradient.

    added: names of the parameters of adapters.
    Raises: UserError for a phase that trains a stage which no output uses: it would not, without a word; and for
    adapters likewise.
    """
    if not any(phase.descending for phase in phases):
        return ()
    try:
        names = unreached(model, _probe(splits, preprocessing))
    except CannotTellError as error:
        return (f"it is not known whether the outputs use every stage that trains: {error}",)
    if left := dict.fromkeys(place_of(name.partition(".lora_")[0]) for name in sorted(names & set(added))):
        raise UserError(
            f"adapters: {model.backbone.name} reads the weights of {shorten(left)} and never calls it, so nothing "
            "would change; name other layers by adapters.layers=[PATTERN,...]"
        )
    idle = idle_stages(model, names)
    for phase in phases:
        if of_no_use := [stage for stage in model.addresses if stage in phase.descending and stage in idle]:
            raise UserError(
                f"strategy, phase '{phase.name}': trains {', '.join(of_no_use)}, but no output of the network uses "
                "it, so it would never get a gradient; freeze it (strategy=phases, rate: frozen), or take it out of "
                "the network"
            )
    return ()


def _probe(splits: Splits, preprocessing: InputPreprocessing) -> Batch:
    """A batch of one: an image in which there is nothing, since a file may yet be broken, else the first training
    sample; also where its target follows, which lies nowhere in what is blank."""
    if preprocessing.pixels and not splits.target.follows:
        item: Item = preprocessing.blank(), splits.train.targets[0], 0, None
    else:
        item = KeyedDataset(splits.train, preprocessing.transform(), seed=0, target=splits.target)[None, 0]
    batch = collate([item], preprocessing, splits.target)
    assert isinstance(batch, Batch)
    return batch
