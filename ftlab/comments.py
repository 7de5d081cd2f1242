"""What each key of a file of conf/ means, as the comment on its line says it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<value>.*?)(?:\s+#\s*(?P<comment>.*))?$")


@dataclass(frozen=True)
class Key:
    """A line of a file in conf/."""

    name: str  # dotted, as it is typed
    value: str  # as it is written
    comment: str
    file: str  # below conf/

    @property
    def text(self) -> str:
        default = f"{self.name}: {self.value}" if self.value else self.name
        return f"{default}\n    {self.comment or 'see the file'}\n    in conf/{self.file}"


def keys_in(text: str, group: str, file: str) -> Iterator[Key]:
    """group: what stands before the names, with its point."""
    above: list[tuple[int, str]] = []  # indentation and name of the mappings that a line lies in
    for line in text.splitlines():
        found = LINE.match(line)
        if not found or line.lstrip().startswith(("#", "-")):
            continue
        indent = len(found["indent"])
        above = [one for one in above if one[0] < indent]
        name = ".".join([*(name for _, name in above), found["key"]])
        above.append((indent, found["key"]))
        if name.split(".")[0] not in ("defaults", "hydra") and found["key"] != "_target_":
            yield Key(group + name, found["value"].strip(), found["comment"] or "", file)


def meaning(folder: Path, place: str, target: str | None) -> str:
    """Of a key of the option of that `_target_`, after a semicolon; nothing where no comment is found."""
    group = place.partition(".")[0]
    for file in sorted((folder / group).glob("*.yaml")):
        text = file.read_text(encoding="utf8")
        if target and re.search(rf"^_target_: {re.escape(target)}$", text, re.MULTILINE):
            return next((f"; {key.comment}" for key in keys_in(text, f"{group}.", file.name) if key.name == place), "")
    return ""
