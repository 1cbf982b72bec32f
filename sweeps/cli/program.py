"""The program: a command is run, and whatever ends it becomes words and an exit code.

0 success, 2 a user's mistake (no traceback), 1 a fault of gelo or of the machine, 130 Ctrl-C, 143 SIGTERM and 129 SIGHUP, after saving.
"""

from __future__ import annotations

import errno
import io
import sys
import traceback
from typing import NoReturn

from models.faults import FULL, Fault, UserError
from models.secrets import redacted
from sweeps import signals
from sweeps.cli.base import RESUME, app, errors
from sweeps.listing import say
from sweeps.troubles import print_faults

_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt
PLACE_ERRORS = (  # of a user's folder or disk, not of gelo
    *(*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


def main() -> None:
    """Entry point: errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
    signals.install()
    try:
        code = app(standalone_mode=False)  # click hands the code of a typer.Exit back, it does not raise it
    except UserError as error:
        if signals.came():  # a library made something else of it
            _interrupted()
        print_faults(error, errors)
        sys.exit(2)
    except OSError as error:
        if signals.came():
            _interrupted()
        if error.errno not in PLACE_ERRORS or not error.filename:
            _print_traceback()
            sys.exit(1)
        remedy = (
            "free some room, or choose another place" if error.errno in FULL else "mend it, or choose another place"
        )
        found = error.strerror or str(error)
        print_faults(
            UserError("storage", Fault(str(error.filename), found, "a place that gelo can use", remedy)), errors
        )
        sys.exit(2)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # click's own usage errors
            error.show()
            sys.exit(2)
        if type(error).__name__ == "Abort" or signals.came():
            _interrupted()
        _print_traceback()
        sys.exit(1)
    if code == _INTERRUPTED:
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    say(errors, "interrupted; everything finished is saved" + RESUME.get("hint", ""))
    sys.exit(signals.code())


def _print_traceback() -> None:
    print(redacted(traceback.format_exc()), file=sys.stderr, end="")
