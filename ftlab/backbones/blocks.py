"""Networks that run like blocks one after the other, cut between two of them without a graph.

torch.fx cannot follow the code of transformers. So the part before the freeze border is the network itself, stopped
where the first block that trains begins; and the part behind it is the network itself once more, with the blocks before
left out. What every block is given beside the hidden states (masks, positions) is computed again, which costs next to
nothing and would be larger to keep than to make.

Shapes: b batch, t tokens, c channels.
"""

import copy
from collections.abc import Collection, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from ftlab.backbones.border import update
from ftlab.backbones.part import Part, Run


class Reached(Exception):  # noqa: N818  # no error: how a run ends early
    """The block before which a run is to end, with what it was given."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


class Instead(nn.Module):
    """Stands in a block's place, and has what others read of that."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stood_for = [block]  # in a list, so that its parameters are not registered here

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.stood_for[0], name)


class Stop(Instead):
    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Any:
        raise Reached(hidden)


class Skip(Instead):
    """more: how many things a block gives beside the hidden states, in a tuple with them; None: these alone."""

    def __init__(self, block: nn.Module, more: int | None) -> None:
        super().__init__(block)
        self.more = more

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Any:
        return hidden if self.more is None else (hidden, *[None] * self.more)


class Enter(Instead):
    """Begins here, with what a cache gives."""

    given: Tensor | None = None

    def forward(self, hidden: Tensor, *more: Any, **named: Any) -> Any:
        return self.stood_for[0](self.given, *more, **named)


class Blocks:
    """As backbones.border.Traced: values at a border are the inputs, and the hidden states (b, t, c) behind them."""

    ragged = True  # every value has a position of the sample in its second dimension

    def __init__(
        self,
        network: nn.Module,
        path: str,
        after: Collection[str],
        more: int | None,
        inputs: Sequence[str],
        run: Run,
        depths: Sequence[int] = (),
    ) -> None:
        """path: of the ModuleList; after: names of the parameters that are used behind the last block; more: see Skip;
        inputs: names of what `run` takes beside a network, to give hidden states (b, t, c); depths: how many blocks are
        before the layers below (rising) whose hidden states come with those, (b, t, layers * c)."""
        self.network, self.path, self.after, self.more = network, path, set(after), more
        self.inputs, self.run, self.depths = tuple(inputs), run, tuple(depths)
        self.blocks = list(network.get_submodule(path).children())

    def cut(self, trainable: set[str], training: Collection[nn.Module] | None = None) -> tuple[Part, Part]:
        """(prefix, suffix) around the parameters named in `trainable`; see Traced.cut."""
        frozen = self._frozen(trainable)
        before = () if frozen is None else (*(depth for depth in self.depths if depth < frozen), frozen)
        names = (*self.inputs, *(f"{self.path}.{number}" for number in before))
        suffix = partial(self._go_on, frozen)
        return self.prefix(names), Part(names, suffix, suffix)

    def _frozen(self, trainable: set[str]) -> int | None:
        """How many blocks lie before the border; one more than there are where what is behind them is frozen too; None
        where what comes before all blocks trains, or is shared by them."""
        inside = tuple(f"{self.path}.{number}." for number in range(len(self.blocks)))
        if any(not name.startswith(inside) and name not in self.after for name in trainable):
            return None
        for number, start in enumerate(inside):
            if any(name.startswith(start) for name in trainable):
                return number
        return len(self.blocks) + (not trainable)

    def _number(self, names: Sequence[str]) -> int:
        return max((int(name.rpartition(".")[2]) for name in names if name not in self.inputs), default=0)

    def prefix(self, names: Sequence[str]) -> Part:
        run = torch.no_grad()(partial(self._begin, names))
        return Part(names, run, run)

    def fast(self, names: Sequence[str]) -> Run:
        return torch.no_grad()(partial(self._begin, names))  # type: ignore[no-any-return]

    def _begin(self, names: Sequence[str], *inputs: Tensor) -> tuple[Tensor, ...]:
        found = dict(zip(self.inputs, inputs, strict=True))
        numbers = {name: self._number([name]) for name in names if name not in found}
        if numbers:
            rising = sorted(set(numbers.values()))
            parts = self._hidden(rising, inputs).chunk(len(rising), -1)
            found |= {name: parts[rising.index(number)] for name, number in numbers.items()}
        return tuple(found[name] for name in names)

    def _hidden(self, numbers: Sequence[int], inputs: Sequence[Tensor]) -> Tensor:
        """(b, t, numbers * c): hidden states before the blocks of these numbers, which rise."""
        *below, last = numbers
        return with_below(partial(self._before, last), self.blocks, below)(*inputs)  # type: ignore[no-any-return]

    def _before(self, number: int, *inputs: Tensor) -> Tensor:
        if number > len(self.blocks):
            return self.run(self.network, *inputs)  # type: ignore[no-any-return]
        try:
            last = self._with({number: Stop(self.blocks[number])}) if number < len(self.blocks) else None
            return self._before_the_end(inputs) if last is None else self.run(last, *inputs)  # type: ignore[no-any-return]
        except Reached as reached:
            return reached.hidden

    def _before_the_end(self, inputs: Sequence[Tensor]) -> Tensor:
        """What the last block gives."""
        seen: list[Any] = []
        hook = self.blocks[-1].register_forward_hook(lambda module, given, found: seen.append(found))
        try:
            self.run(self.network, *inputs)
        finally:
            hook.remove()
        return seen[-1][0] if isinstance(seen[-1], tuple) else seen[-1]

    def _go_on(self, number: int | None, *values: Tensor) -> Any:
        inputs, states = values[: len(self.inputs)], values[len(self.inputs) :]
        depths = [depth for depth in self.depths if number is None or depth >= number]
        behind = with_below(partial(self._behind, number, *states[-1:]), self.blocks, depths)
        return torch.cat([*states[:-1], behind(*inputs)], -1)

    def _behind(self, number: int | None, *values: Tensor) -> Tensor:
        """values: the hidden states before the block `number`, where there is one, and the inputs."""
        if number is None:
            return self.run(self.network, *values)  # type: ignore[no-any-return]
        hidden, *inputs = values
        if number > len(self.blocks):
            return hidden
        others: dict[int, nn.Module] = {place: Skip(self.blocks[place], self.more) for place in range(number)}
        if number < len(self.blocks):
            others[number] = enter = Enter(self.blocks[number])
            enter.given = hidden
        else:
            others[number - 1] = enter = Enter(Skip(self.blocks[-1], self.more))
            enter.given = hidden
        return self.run(self._with(others), *inputs)  # type: ignore[no-any-return]

    def _with(self, others: dict[int, nn.Module]) -> nn.Module:
        """The network with other modules in the place of some blocks; all else is shared with it."""
        blocks = [others.get(place, block) for place, block in enumerate(self.blocks)]
        top = shallow(self.network)
        parent = top
        *above, last = self.path.split(".")
        for name in above:
            parent._modules[name] = shallow(parent._modules[name])
            parent = parent._modules[name]
        listed = shallow(parent._modules[last])
        listed._modules = {str(place): block for place, block in enumerate(blocks)}
        parent._modules[last] = listed
        return top

    def parameters(self, names: Sequence[str]) -> frozenset[str]:
        """The parameters that the values `names` are computed by."""
        number = self._number(names)
        if all(name in self.inputs for name in names):
            return frozenset()
        behind = tuple(f"{self.path}.{place}." for place in range(number, len(self.blocks)))
        late = () if number > len(self.blocks) else self.after
        return frozenset(n for n, _ in self.network.named_parameters() if not n.startswith(behind) and n not in late)

    def digest(self, names: Sequence[str]) -> str:
        """A hash of what computes the values `names`: the settings, and the weights and buffers before the border."""
        own = self.parameters(names)
        state = blake2b(digest_size=16)
        state.update(repr((tuple(names), repr(self.network), str(getattr(self.network, "config", "")))).encode())
        tensors = {name: p for name, p in self.network.named_parameters() if name in own}
        update(state, tensors | dict(self.network.named_buffers()))
        return state.hexdigest()


def with_below(run: Run, blocks: Sequence[nn.Module], depths: Sequence[int]) -> Run:
    """`run`, which gives hidden states (b, t, c), with those before some of the blocks: (b, t, (depths + 1) * c)."""

    def whole(*inputs: Tensor) -> Tensor:
        seen: dict[int, Tensor] = {}

        def look(depth: int, module: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen[depth] = given[0]

        hooks = [blocks[depth].register_forward_pre_hook(partial(look, depth)) for depth in depths]
        try:
            last = run(*inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([*(seen[depth] for depth in depths), last], -1) if depths else last

    return whole


def shallow(module: Any) -> Any:
    """A copy that shares all parts, of which others may be put in."""
    made = copy.copy(module)
    made._modules = dict(module._modules)
    return made
