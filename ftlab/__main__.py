"""The processes ftlab and ftlab-train; python -m ftlab is the first."""

from typing import NoReturn

from ftlab import cli
from ftlab.exits import end_with


def main() -> NoReturn:
    end_with(cli.main)


def train() -> NoReturn:
    end_with(cli.train)


if __name__ == "__main__":
    main()
