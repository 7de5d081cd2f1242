"""What a server accepts, and what it answers where it does not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from ftlab.inputs.sent import Most


@dataclass(frozen=True)
class Limits:
    megabytes: float  # of a request's body
    inputs: int  # of a request
    pixels: int  # of an image
    characters: int  # of a text
    requests: int  # at once; one more is told to come again
    receive_seconds: float  # until a request has arrived
    answer_seconds: float  # from there to its answer

    @property
    def bytes(self) -> int:
        return int(self.megabytes * 1e6)

    @property
    def most(self) -> Most:
        return Most(self.pixels, self.characters)

    def told(self) -> dict[str, Any]:
        return asdict(self)


class RefusedError(Exception):
    """A request that is not answered; `said` is for whoever sent it."""

    def __init__(self, status: int, said: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(said)
        self.status, self.said, self.headers = status, said, dict(headers)
