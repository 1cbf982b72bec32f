"""The program: a command is run, and whatever ends it becomes words and an exit code.

0 success, 2 a user's mistake (no traceback), 1 a fault of gelo or of the machine, 130 Ctrl-C, 143 SIGTERM and 129 SIGHUP, after saving;
75 a sweep whose results are whole while MLflow, which was away, lacks some: a resume brings it those.
"""

from __future__ import annotations

import errno
import io
import sys
import traceback

from rich.text import Text

from gelo.models import registered
from gelo.models.faults import FULL, Fault, UserError, is_full
from gelo.models.secrets import redacted
from gelo.models.storage.away import BRIEF, StorageAwayError, longest, waits
from gelo.sweeps.cli.base import RESUME, app, errors
from gelo.sweeps.engine import signals
from gelo.sweeps.stages.troubles import print_faults
from gelo.sweeps.terminal.listing import say

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
    if _left_out not in registered.heard:
        registered.heard.append(_left_out)
        for fault in registered.broken:
            _left_out(fault)
    try:
        with waits(min(BRIEF, longest())):  # a run waits longer, once it has begun
            code = app(standalone_mode=False)  # click hands the code of a typer.Exit back, it does not raise it
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:  # after a signal, whatever a library has made of it
        code = _INTERRUPTED if signals.came() or type(error).__name__ == "Abort" else _told(error)
    if code == _INTERRUPTED:
        say(errors, "interrupted; everything finished is saved" + RESUME.get("hint", ""))
        code = signals.code()
    sys.exit(code if isinstance(code, int) else 0)


def _left_out(fault: Fault) -> None:
    """Say what of another distribution could not be taken, in one line: nobody asked for it, so it is no error of the command."""
    errors.print(Text(redacted(f"left out: {fault}")), highlight=False, soft_wrap=True)


def _elsewhere(error: OSError) -> bool:
    """Whether a whole store is missing, not a file of gelo's on this machine."""
    return error.errno == errno.ENOENT and "://" in str(error.filename)


def _told(error: Exception) -> int:
    """Say what went wrong, in the `except` block of `error`; the exit code."""
    if isinstance(error, UserError):
        print_faults(error, errors)
    elif isinstance(error, OSError) and error.filename and (error.errno in PLACE_ERRORS or _elsewhere(error)):
        remedy = "free some room" if error.errno in FULL else "mend it"
        found, expected = error.strerror or str(error), "a place that gelo can use"
        fault = Fault(str(error.filename), found, expected, f"{remedy}, or choose another place")
        print_faults(UserError("storage", fault), errors)
    elif is_full(error):  # whichever: not each library says
        lines = str(error).strip().splitlines()
        told = next((line.strip() for line in lines if is_full(RuntimeError(line))), lines[-1])
        fault = Fault("a disk", f"full ({told})", "room to write", "free some (df -h says where), then type it again")
        print_faults(UserError("storage", fault), errors)
    elif isinstance(error, StorageAwayError):
        say(errors, Text.assemble(("storage", "bold"), ": ", (redacted(str(error)), "red")))
        say(errors, "everything finished is saved" + RESUME.get("hint", "; try again when it answers"))
        return 1
    elif hasattr(error, "exit_code") and hasattr(error, "show"):  # click's own usage errors
        error.show()
    else:
        print(redacted(traceback.format_exc()), file=sys.stderr, end="")
        return 1
    return 2
