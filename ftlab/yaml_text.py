"""YAML as we read and write it: a key twice is an error, and 1e-1 is a number, as in Hydra's files.

And what the comments of conf/ say of its keys.
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")  # YAML 1.1 wants a point and a sign
MERGE = "tag:yaml.org,2002:merge"  # <<, whose keys those of the mapping itself may replace
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<value>.*?)(?:\s+#\s*(?P<comment>.*))?$")
FIRST = list("-+.0123456789")


class Loader(yaml.SafeLoader):
    """Plain values only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = self.construct_object(key, deep=True) if key.tag != MERGE else None
            if name is None or not isinstance(name, Hashable):  # PyYAML itself refuses what cannot be a key
                continue
            if name in seen:
                said = f"the key '{name}' is given twice"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


class QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """For conf/, which tests hold to be sound: eight times as fast where PyYAML has its part in C."""


class Dumper(yaml.SafeDumper):
    """Puts texts into quotes that Loader would take for numbers."""


for _reader_or_writer in (Loader, QuickLoader, Dumper):
    _reader_or_writer.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, FIRST)


def loaded(text: str) -> Any:
    """Raises: ValueError that names the line, for what is no YAML, would make objects, or has a key twice."""
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"line {mark.line + 1}: {error.problem}" if mark else str(error.problem)) from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def quickly_loaded(file: Path) -> Any:
    """A file of conf/."""
    return yaml.load(file.read_text(encoding="utf8"), QuickLoader)  # a SafeLoader


def dumped(content: Any) -> str:
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True)


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
