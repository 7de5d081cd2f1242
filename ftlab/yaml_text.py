"""YAML as we read and write it: a key twice is an error, and 1e-1 is a number, as in Hydra's files."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")  # YAML 1.1 wants a point and a sign
MERGE = "tag:yaml.org,2002:merge"  # <<, whose keys those of the mapping itself may replace
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


class Dumper(yaml.SafeDumper):
    """Puts texts into quotes that Loader would take for numbers."""


for _reader_or_writer in (Loader, Dumper):
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


def dumped(content: Any) -> str:
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True)
