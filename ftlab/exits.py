"""Exit codes: 0 done, 2 the user's input is wrong, 1 anything else, 130 Ctrl-C."""

import atexit
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from ftlab.errors import UserError, shorten


def guard(run: Callable[[], int]) -> int:
    """The exit code of `run`, with what a person should read of its error."""
    try:
        return run()
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        print(f"ftlab: {shorten(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ftlab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception:
        traceback.print_exc()
        return 1


def end_with(run: Callable[[], int]) -> NoReturn:
    """End this process with the code of `run`, once threads have ended and all that was to be done at exit is done.

    Nothing is taken down then, as mypy leaves too: to look through 4,000 modules for garbage and to free them took
    2.0 of the 7.4 seconds (CPU) of a short run, and the system takes the memory back anyway.
    """
    codes: list[int] = []
    atexit.register(_leave, codes)  # before anything else is, so it is called after all of that
    codes.append(run())
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    if not codes or sys.gettrace() or sys.getprofile():  # a tool that watches the process may write at its very end
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # Python has a word, and a code, for output that cannot be written
        return
    os._exit(codes[0])
