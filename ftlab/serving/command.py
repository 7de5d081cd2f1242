"""`ftlab serve`: a bundle that answers over HTTP."""

import asyncio
import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftlab.config import plainly
from ftlab.errors import UserError
from ftlab.portable.formats import FORMATS
from ftlab.portable.running import Exported
from ftlab.predictor import load
from ftlab.run import required

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart",
          "prometheus_client": "prometheus-client"}  # fmt: skip
TOKEN = 16  # characters of one at least


def serve(config: Any) -> None:
    """Until it is told to end. Raises: UserError for what cannot be served; KeyboardInterrupt after Ctrl-C."""
    for module, package in NEEDED.items():
        if find_spec(module) is None:
            raise UserError(f"ftlab serve needs {package}: pip install 'ftlab[serve]'")
    from ftlab.serving.app import application
    from ftlab.serving.counters import Counters
    from ftlab.serving.documented import told
    from ftlab.serving.engine import tried
    from ftlab.serving.gate import Access
    from ftlab.serving.limits import Limits
    from ftlab.serving.listening import LOOPBACK, address_of, bound, server
    from ftlab.serving.service import Service

    settings = plainly(config, resolve=True)
    folder, host, limits = Path(required(settings, "bundle")), settings["host"], Limits(**settings["limits"])
    local = host in LOOPBACK
    names = (*LOOPBACK, *settings["allowed_hosts"]) if local or settings["allowed_hosts"] else ()
    access = Access(token_of(settings["token_file"]), names, tuple(settings["allowed_origins"]))
    with bound(host, settings["port"]) as listening:
        engine = engine_of(folder, settings)
        tried(engine)
        counters = Counters()
        service = Service(
            engine, limits, counters, settings["max_batch"], settings["max_wait_ms"] / 1000, settings["num_workers"]
        )
        facts = told(engine, limits, settings["engine"], metadata.version("ftlab"))
        if not local and access.token is None:
            print(f"host={host}: anyone who reaches it may ask; token_file= sets a token", file=sys.stderr)
        address = address_of(host, listening)
        said = f"{folder} answers at {address} (task={engine.task.name}, engine={settings['engine']}); Ctrl-C ends it"
        app = application(service, access, counters, facts)
        running = server(app, limits.receive_seconds, settings["end_seconds"])
        asyncio.run(running.answer(listening, lambda: print(said, flush=True)))
    if running.interrupted:
        raise KeyboardInterrupt


def engine_of(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Raises: UserError for a folder that the engine cannot run."""
    trusted, file = settings["trusted_modules"], FORMATS["onnx"][1]
    if settings["engine"] == "onnx":
        return Exported(folder, trusted)
    if (folder / file).is_file():
        raise UserError(f"bundle={folder}: holds an exported network, {file}; engine=onnx runs it")
    return load(folder, None, settings["accelerator"], trusted)


def token_of(file: str | None) -> str | None:
    """The text of a file, which no list of processes shows. Raises: UserError for none, or a short one."""
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="utf8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"token_file={file}: cannot be read ({error})") from None
    if len(token) < TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        make = "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        raise UserError(f"token_file={file}: a token has {TOKEN} characters or more, none of them blank; {make}")
    return token
