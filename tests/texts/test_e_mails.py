"""The e-mails of the benchmark: what is taken of a message, and that a frozen network tells spam from the rest."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.benchmarks import spam
from tests.benchmarks.board.base import named, ours
from tests.benchmarks.board.every import SETS

PLAIN = "Subject: won!\nX-Spam: yes\nContent-Type: text/plain; charset=latin-1\n\nDear jo.e@x-y.org,\n  you \xe9 won"
PARTS = """Content-Type: multipart/alternative; boundary=BB

--BB
Content-Type: text/html

<html><head><title>no</title></head><body>Buy <b>now</b><script>var x</script></body></html>
--BB--
"""


def test_of_a_message_its_body_is_taken_as_it_is_seen_without_headers_and_addresses():
    assert spam.body(PLAIN) == "Dear ADDRESS, you \xe9 won"
    assert spam.body(PARTS) == "Buy now"


def test_a_body_that_is_there_twice_or_empty_is_counted_and_left_out(tmp_path: Path):
    given = {"spam-1": [PLAIN, PARTS, PLAIN], "easy-ham-1": ["Subject: empty\n\n \n", "Subject: hi\n\nSee you"]}
    with tarfile.open(tmp_path / "pack.tgz", "w:gz") as tar:
        for group, several in given.items():
            for number, text in enumerate(several):
                file = tmp_path / "one.json"
                file.write_text(json.dumps({"group": group, "text": text}))
                tar.add(file, f"package/data/{group}/{number}.json")
    said = spam.write(tmp_path / "pack.tgz", tmp_path / "spam.jsonl")
    assert said == {"spam": 2, "ham": 1, "double": 1, "empty": 1}
    lines = [json.loads(line) for line in (tmp_path / "spam.jsonl").read_text().splitlines()]
    assert {line["text"]: line["label"] for line in lines} == {
        "See you": "ham",
        spam.body(PLAIN): "spam",
        "Buy now": "spam",
    }


@pytest.mark.slow
@pytest.mark.skipif(not spam.FILE.is_file(), reason="python -m tests.benchmarks.spam fetches the e-mails by npm")
def test_a_frozen_network_tells_spam_by_a_hundred_e_mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    board = named(SETS, "spam 100")
    board.write(tmp_path)
    found = ours("strategy=closed_form")(board, 0)
    assert found > 0.8  # seven of ten are no spam
