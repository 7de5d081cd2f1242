"""The modes of the command line, and what help says of them."""

from textwrap import wrap

MODES = {
    "train": "fine-tune by phases; leaves a report and a bundle",
    "check": "what is wrong with some data, before anything trains",
    "plan": "print which stage trains when, and at which rate",
    "lr-find": "try rising learning rates before a run, and suggest one",
    "evaluate": "the metrics of a bundle on some data",
    "predict": "one JSON line an image, a row of a table or a sequence",
    "compare": "which way of fine-tuning is better on some data, or which of some runs",
    "auto": "choose network, strategy and rates for some data, within a time",
    "export": "the network of a bundle as a file that runs without ftlab",
    "explain": "which parts of inputs the answers of a bundle hang on",
    "serve": "a bundle that answers over HTTP, with a page for a browser",
    "cache": "what is kept on disk between runs, listed or removed",
    "help": "the manual, page by page, and what each key means",
}
OF_TRAIN = ("train", "check", "plan", "lr-find")  # those that take the words of train


def usage() -> str:
    modes = "\n".join(f"  {name:<10}{text}" for name, text in MODES.items())
    return (
        f"Usage: ftlab MODE [key=value ...] [flags]\n\nModes:\n{modes}\n\n"
        "ftlab MODE --help lists the mode's keys with examples; ftlab help lists the manual.\n"
        'Tab completion: eval "$(ftlab -sc install=bash)"; in fish: ftlab -sc install=fish | source'
    )


def listing(mode: str) -> str:
    """The groups of a mode with the names of their options, in lines of at most 80 characters."""
    from ftlab.config import conf_dir, groups  # omegaconf: 0.1 s that a list of the modes does not need

    lines: list[str] = []
    for group in sorted(groups(mode)):
        names = sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
        lines += wrap(f"{group}: {', '.join(names)}", 80, subsequent_indent="  ") if names else []
    return "\n".join(lines)


def version() -> str:
    from importlib import metadata  # 50 ms that nothing else needs

    try:
        return metadata.version("ftlab")
    except metadata.PackageNotFoundError:
        return "(not installed)"
