"""What `adapters` and `parameters` make of a network before it trains: what is put in, and what never trains."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftlab.adapters import low_rank
from ftlab.adapters.parameters import Which, fixed
from ftlab.adapters.settings import AdapterSettings
from ftlab.model import Model
from ftlab.strategies.base import Phase


@dataclass(frozen=True)
class Adapted:
    """How few parameters train of a stage that does."""

    names: frozenset[str] = frozenset()  # the parameters of adapters
    keys: str = ""  # the settings that say so, as typed; empty where all parameters train


NOT_ADAPTED = Adapted()


def adapt(model: Model, adapters: AdapterSettings | None, parameters: Which, phases: Sequence[Phase]) -> Adapted:
    """Put adapters into the stages of the backbone that train in any phase, and fix what is not to train.

    Raises: UserError as `low_rank.put_into` and `parameters.fixed`.
    """
    trained = {stage for phase in phases for stage in phase.descending if stage.startswith("backbone/")}
    names = low_rank.put_into(model, adapters, trained) if adapters else frozenset()
    model.fixed = fixed(model, parameters, names)
    keys = [f"adapters={adapters.name}"] if adapters else []
    keys += [f"parameters={parameters}"] if parameters in ("bias", "norm") else []
    return Adapted(names, " ".join(keys))


def told(model: Model, adapted: Adapted) -> list[str]:
    """The line of the plan that says how much trains at most; none where whole stages do."""
    if not adapted.keys:
        return []
    most, all_ = sum(model.free_sizes().values()), sum(model.sizes().values())
    return [f"{adapted.keys}: at most {most:,} of {all_:,} parameters train ({most / all_:.2%})"]
