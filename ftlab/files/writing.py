"""Files of a run, written whole or not at all, and the report read back."""

import json
import math
import os
from pathlib import Path
from typing import Any

from ftlab.errors import UserError

SCHEMA_VERSION = 1
NAMED_AT_MOST = 10  # a diverged run has hundreds of figures that are not finite; the count is told in any case


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` as JSON, atomically; floats that are not finite become null and are named in data["warnings"].

    Raises: TypeError for values that JSON does not know; an old file is then left as it was.
    """
    lost: list[str] = []
    finite = _finite(data, "", lost)
    if lost:
        finite["warnings"] = [*finite.get("warnings", []), _lost_warning(lost)]
    # ASCII: a file name that is not UTF-8 holds lone surrogates, which only escapes can carry.
    write_text(path, json.dumps(finite, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader, or a power cut, finds the old file or the whole new one."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """As `write_text`."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_report(run_dir: Path) -> dict[str, Any]:
    """The report.json of a run.

    Raises: UserError when the folder holds none, or one that cannot be read.
    """
    path = Path(run_dir) / "report.json"
    if not path.is_file():
        raise UserError(f"No report.json in '{run_dir}'; accepted: the folder of a run that has ended.")
    report = read_json(path)
    version = report.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"'{path}' has schema_version {version}; accepted: {SCHEMA_VERSION}; read it with its own ftlab."
        )
    return report


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises: UserError when it is broken or not an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: bad JSON, or bytes that are not UTF-8
        raise UserError(f"'{path}' cannot be read ({error}); accepted: the file as ftlab wrote it.") from error
    if not isinstance(data, dict):
        raise UserError(f"'{path}' holds a {type(data).__name__}; accepted: a JSON object, as ftlab wrote it.")
    return data


def _finite(value: Any, name: str, lost: list[str]) -> Any:
    """A copy without floats that are not finite; their names are added to `lost`."""
    if isinstance(value, dict):
        return {key: _finite(item, f"{name}.{key}" if name else str(key), lost) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, f"{name}[{place}]", lost) for place, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        lost.append(f"{name} ({value})")
        return None
    return value


def _lost_warning(lost: list[str]) -> str:
    rest = len(lost) - NAMED_AT_MOST
    names = ", ".join(lost[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
    return f"{len(lost)} not finite, written as null: {names}."
