"""A process ends by its code, after all that was to be done, and leaves the rest to the system."""

import subprocess
import sys

BEGINS = "import atexit, os, sys, threading, time\nfrom ftlab.exits import end_with\n"
KEPT = "class Kept:\n def __del__(self, say=os.write): say(1, b'taken down\\n')\n"
RUN = """
kept = []
def run():
    one = Kept(); one.itself = one; kept.append(one)
    atexit.register(lambda: print('at exit'))
    threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()
    print('run')
    return 3
"""


def ended(*lines: str) -> tuple[int, list[str], str]:
    """The code of a new Python that runs these lines, and the lines that it writes into a pipe."""
    program = BEGINS + KEPT + RUN + "\n".join(lines)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_process_ends_by_its_code_after_threads_and_what_was_to_be_done_at_exit() -> None:
    assert ended("end_with(run)") == (3, ["run", "thread", "at exit"], "")


def test_a_process_that_is_traced_ends_as_python_ends() -> None:
    code, said, _ = ended("sys.settrace(lambda *_: None)", "end_with(run)")
    assert code == 3
    assert said == ["run", "thread", "at exit", "taken down"]


def test_an_error_that_nobody_expected_is_told_by_python() -> None:
    code, _, errors = ended("end_with(lambda: 1 // 0)")
    assert code == 1
    assert "ZeroDivisionError" in errors


def test_output_that_cannot_be_written_is_told_by_python() -> None:
    code, _, errors = ended("sys.stdout = open('/dev/full', 'w')", "end_with(run)")
    assert code != 0
    assert "No space left" in errors
