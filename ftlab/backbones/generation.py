"""How a decoder writes a text: which token is taken next, and when it ends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ftlab.errors import UserError, choices


@dataclass(frozen=True)
class Generation:
    """None: as the network's own settings have it, which of most are the surest token each time, and no penalty."""

    beams: int | None = None  # beginnings that are followed at once; 1: the surest token each time (greedy)
    length_penalty: float | None = None  # power of its length that a text's log probability is divided by; beams only
    no_repeat: int | None = None  # tokens in a row that come only once; 0: any may come again
    max_tokens: int | None = None  # of a text, its end among them; None: as many as were trained

    def over(self, given: Mapping[str, Any]) -> Self:
        """With what is `given` in place of its own; None changes nothing. One beam takes back a length penalty that
        is not given with it.

        Raises: UserError for a setting that is none, or a value that it does not take.
        """
        from ftlab.settings import mismatch  # pydantic: a quarter of a second

        known = asdict(self)
        for name, value in given.items():
            if name not in known:
                raise UserError(f"generation.{name}={value}: no such setting; {choices(name, known)}")
            if wrong := mismatch(f"generation.{name}", value, [None]):
                raise UserError(f"generation.{name}={value}: {wrong}")
        said = {name: value for name, value in given.items() if value is not None}
        if said.get("beams") == 1:  # which does without the penalty of what was to be followed in several ways
            said = {"length_penalty": None, **said}
        return replace(self, **said)

    def asked(self, longest: int) -> dict[str, Any]:
        """As transformers' GenerationConfig has them. longest: tokens, where nothing else is said."""
        said = {
            "num_beams": self.beams,
            "length_penalty": self.length_penalty,
            "no_repeat_ngram_size": self.no_repeat,
        }
        found = {name: value for name, value in said.items() if value is not None}
        return {**found, "max_new_tokens": self.max_tokens or longest, "max_length": None, "do_sample": False}
