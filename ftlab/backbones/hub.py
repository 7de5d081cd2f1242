"""timm's hub, or one clear sentence within seconds where there is no network."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ftlab.errors import UserError

WAYS_OUT = "Ways out: backbone.weights=FILE (a file you have), or backbone.pretrained=false (random weights)."
PATIENCE_SECONDS = 5.0  # to open one connection; the hub's own client tries for 46 seconds before it gives up
FILES = ("model.safetensors", "pytorch_model.bin")  # of weights, on the hub
CLIENTS = ("huggingface_hub", "httpx", "httpcore", "requests", "urllib")  # packages whose errors mean the network


@contextmanager
def reach(name: str) -> Iterator[None]:
    """Around a download of the weights of `name`.

    Where the hub cannot be reached, its client works offline meanwhile: weights that were downloaded before still
    load, others fail at once.

    Raises: UserError for every failure of the network or the hub.
    """
    from huggingface_hub import constants

    offline_before = constants.HF_HUB_OFFLINE
    reachable = not offline_before and can_connect(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = not reachable
    try:
        yield
    except Exception as error:
        if not is_of_network(error):
            raise
        raise UserError(f"The weights of '{name}' {why(reachable, offline_before, error)}. {WAYS_OUT}") from error
    finally:
        constants.HF_HUB_OFFLINE = offline_before


@contextmanager
def cache_only() -> Iterator[None]:
    """Nothing is downloaded meanwhile; what was downloaded before still loads."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def downloaded(owner: str) -> list[str]:
    """Names of an owner's networks on the hub whose weights lie in the local cache."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except (CacheNotFound, ValueError):
        return []
    owned = [one for one in repositories if one.repo_type == "model" and one.repo_id.startswith(f"{owner}/")]
    whole = [one for one in owned if any(f.file_name in FILES for version in one.revisions for f in version.files)]
    return sorted(one.repo_id.partition("/")[2] for one in whole)


def why(reachable: bool, offline: bool, error: Exception) -> str:
    if offline:
        return "are not in the local cache, and HF_HUB_OFFLINE forbids a download"
    if not reachable:
        return "cannot be downloaded: there is no network, or the hub does not answer"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"cannot be downloaded: the hub refused ({reason})"


def can_connect(url: str) -> bool:
    """Behind a proxy only the client itself can tell, so the answer is yes."""
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    address = urlsplit(url)
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def is_of_network(error: BaseException) -> bool:
    homes = {kind.__module__.split(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or any(home.startswith(CLIENTS) for home in homes)
