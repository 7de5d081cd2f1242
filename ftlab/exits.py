"""Exit codes: 0 done, 2 the user's input is wrong, 1 anything else, 130 Ctrl-C."""

import os
import sys
import traceback
from collections.abc import Callable

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
