"""Where what is kept between runs lies: values of frozen stages, what checks of data found."""

import os
from pathlib import Path


def root() -> Path:
    """Where all of it lies: $FTLAB_CACHE, else $XDG_CACHE_HOME/ftlab, else ~/.cache/ftlab."""
    own = os.environ.get("FTLAB_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(user) / "ftlab"
