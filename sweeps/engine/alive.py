"""Whether this machine's part of Ray lives: Ray's own calls would wait on where it does not, or end the program without a word."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.markup import escape

from gelo.sweeps.terminal.progress import Display

SILENT = 180.0  # seconds for which Ray's head may say nothing
_LOOK, _DEAD, _TELL = 2.0, 20.0, 30.0  # seconds


def gone(resume: str) -> str:
    """What is said then."""
    return f"[red]Ray is gone[/red] from this machine; everything finished is saved. Go on with: {escape(resume)}"


@contextmanager
def last_words(resume: str) -> Iterator[Callable[[], object]]:
    """Whatever ends this program while the block runs, one line says how to go on: by a shell that waits for the end of its input.

    A kill, by the kernel too, leaves a program no time for it; and Ray's own library ends it where objects cannot be read any more.
    Yields what is called where the line is not needed any more.
    """
    line = f"gelo is gone: it was killed, or Ray's part of this machine died; everything finished is saved. Go on with: {resume}"
    script = 'read -r over || printf "%s\\n" "$1" >&2'
    heir = subprocess.Popen(["sh", "-c", script, "sh", line], stdin=subprocess.PIPE, start_new_session=True)
    over = partial(heir.communicate, b"over\n")
    try:
        yield over
    finally:
        if heir.returncode is None:
            over()


def of_a_dead_machine(error: BaseException | None) -> bool:
    """Whether an error came of the death of Ray on this machine; which one it is follows from who notices first.

    An actor or an owner that is lost may have been lost alone: the head is asked then, which sees a death a few seconds later. An error
    that was made a message of its own (`from None`) stays that message.
    """
    from ray import exceptions

    while error is not None:
        if isinstance(error, (exceptions.LocalRayletDiedError, exceptions.RaySystemError)):
            return True
        if isinstance(error, exceptions.RayError) and not isinstance(error, exceptions.RayTaskError):
            return not _lives()
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _lives() -> bool:
    """Whether Ray's head sees this machine for `_DEAD` seconds."""
    mine, until = _this_machine(), time.monotonic() + _DEAD
    while (left := until - time.monotonic()) > 0:
        found: list[bool] = []

        def ask(found: list[bool] = found) -> None:
            found.append(_sees(mine))

        asking = threading.Thread(target=ask, daemon=True)  # a question to a dead head is never answered
        asking.start()
        asking.join(left)
        if found != [True]:
            return False
        time.sleep(_LOOK)
    return True


def _this_machine() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()


def _sees(machine: str) -> bool:
    import ray

    return any(node["NodeID"] == machine and node["Alive"] for node in ray.nodes())


def watch(over: threading.Event, display: Display, resume: str, told_so: Callable[[], object]) -> None:
    """End the program when Ray's head has said for `_DEAD` seconds that this machine's part of it is dead, or nothing for `SILENT`.

    told_so: called once that is said. Time in which the program itself was stopped, or the machine slept, is not counted.
    """
    mine = _this_machine()
    last = {"answer": time.monotonic(), "alive": time.monotonic()}

    def look() -> None:
        alive = _sees(mine)
        last["answer"] = time.monotonic()
        if alive:
            last["alive"] = last["answer"]

    asking, turn, told = threading.Thread(), time.monotonic(), 0.0
    while not over.wait(_LOOK):
        pause = max(0.0, time.monotonic() - turn - 2 * _LOOK)
        turn, last["answer"], last["alive"] = time.monotonic(), last["answer"] + pause, last["alive"] + pause
        if not asking.is_alive():  # a question to a dead head is never answered
            asking = threading.Thread(target=look, daemon=True)
            asking.start()
        silent, answered = turn - last["answer"], last["answer"] - last["alive"]
        told = min(told, silent)  # it answers again
        if silent - told > _TELL:
            told = silent
            display.say(
                f"waiting for Ray's head, which has not answered for {silent:.0f} s; at the longest {SILENT:.0f} s"
            )
        if (silent > SILENT or answered > _DEAD) and not over.is_set():
            display.say(gone(resume))
            told_so()
            os._exit(1)
