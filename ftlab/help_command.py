"""ftlab help: the manual's pages, and what each key of conf/ means. Imports no torch: it answers at once."""

import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from ftlab.config import conf_dir
from ftlab.errors import UserError
from ftlab.modes import MODES
from ftlab.yaml_text import Key, keys_in

MANUAL = Path(__file__).parent / "manual"
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)  # code, in which # begins a comment


def help_of(words: Sequence[str]) -> int:
    """Print the list of pages, a page, or what is known of a key. Raises: UserError for what is neither."""
    if len(words) > 1:
        raise UserError(f"ftlab help {' '.join(words)}: give one page or key; ftlab help lists the pages")
    if not words:
        print(listing())
        return 0
    asked = words[0].removesuffix("=")
    if asked in pages():
        show((MANUAL / f"{asked}.md").read_text(encoding="utf8"))
        return 0
    if asked in MODES:
        print(of_mode(asked))
        return 0
    found = keys_like(asked, list(keys()))
    if not found and (near := headings(asked, deep=True)):
        print("\n".join([f"{asked} is no page and no key. Pages that tell of it:", *near]))
        return 0
    if not found:
        known = {*pages(), *(key.name for key in keys()), *(key.name.rpartition(".")[2] for key in keys())}
        hint = "".join(f"did you mean '{name}'? " for name in get_close_matches(asked, known, n=1))
        raise UserError(f"ftlab help {asked}: no page and no key; {hint}pages: {', '.join(pages())}.")
    also = headings(asked, deep=False)
    print("\n".join([*(key.text for key in found), *(["", "Pages that tell of it:", *also] if also else [])]))
    return 0


def of_mode(mode: str) -> str:
    """What a mode does, and where more is said: the pages that type it, most often first."""
    typed = {page: (MANUAL / f"{page}.md").read_text(encoding="utf8").count(f"ftlab {mode}") for page in pages()}
    more = " | ".join(sorted((page for page in typed if typed[page]), key=lambda page: -typed[page])[:3])
    lines = (MODES[mode], f"its keys, with examples: ftlab {mode} --help", f"in the manual: ftlab help {more}")
    return f"ftlab {mode}: " + "\n    ".join(lines)


def pages() -> list[str]:
    return sorted(file.stem for file in MANUAL.glob("*.md"))


def headings(asked: str, deep: bool) -> list[str]:
    """The headings in which a word stands, each with what shows its page; if `deep`, else the pages that name it."""
    word = re.compile(rf"\b{re.escape(asked)}", re.IGNORECASE)
    texts = {page: (MANUAL / f"{page}.md").read_text(encoding="utf8") for page in pages()}
    lines = {page: FENCED.sub("", text).splitlines() for page, text in texts.items()}
    found = [(page, line) for page in lines for line in lines[page] if line[:1] == "#" and word.search(line)]
    titles = [(page, lines[page][0]) for page in lines if any(map(word.search, lines[page]))] if deep else []
    return [f"  ftlab help {page:<12}{line.lstrip('# ')}" for page, line in found or titles]


def listing() -> str:
    lines = []
    for page in pages():
        title = (MANUAL / f"{page}.md").read_text(encoding="utf8").partition("\n")[0].removeprefix("# ")
        lines.append(f"  {page:<12}{title}")
    hint = "ftlab help PAGE shows one, ftlab help KEY what a key means: ftlab help lr"
    return "\n".join(["Pages of the manual:", *lines, "", hint])


def show(text: str) -> None:
    """A page for a person on a terminal, as it stands for a program."""
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def keys_like(asked: str, there: Sequence[Key]) -> list[Key]:
    """The keys of that name, else those whose last part it is, else those in which it occurs."""
    for fits in (
        lambda key: key.name == asked,
        lambda key: key.name.rpartition(".")[2] == asked,
        lambda key: asked.lower() in key.name.lower(),
    ):
        if found := [key for key in there if fits(key)]:
            return found
    return []


def keys() -> Iterator[Key]:
    """Every key of every file in conf/."""
    for file in sorted(conf_dir().rglob("*.yaml")):
        place = file.relative_to(conf_dir())
        text = file.read_text(encoding="utf8")
        group = "" if place.parent == Path() or "@package _global_" in text else f"{place.parent}."
        yield from keys_in(text, group, str(place))
