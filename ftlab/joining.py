"""One of the other processes of a run on several devices: python -m ftlab.joining RUN_DIR."""

import sys
from pathlib import Path

from ftlab.training.distributed.processes import INTERRUPTED, end_with_parent


def main() -> int:
    """One of the other processes: python -m ftlab.joining RUN_DIR."""
    from ftlab.exits import guard
    from ftlab.streams import make_printable

    make_printable()
    end_with_parent()
    return guard(lambda: join(Path(sys.argv[1])))


def join(folder: Path) -> int:
    """Train as the config.yaml of the folder says. Raises: UserError if that is not as a run writes it."""
    from omegaconf import OmegaConf

    from ftlab.config import problems, stop_if
    from ftlab.resume import read_yaml
    from ftlab.run import train

    settings = read_yaml(folder / "config.yaml")
    stop_if(problems(OmegaConf.create(settings), "train"))
    try:
        train(settings, folder)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
