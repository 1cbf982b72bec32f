"""`gelo` in a process forked from one that has imported torch, Ray and MLflow already: the same program in a third of the time.

The server (this file as a program) holds third-party modules alone and has neither threads nor open connections, so that a child starts
as Python does, but for those imports. Interruptions, kills and what a command imports are tested in real processes instead.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = (
    "sklearn.linear_model",
    "scipy.stats",
    "pandas",
    "pyarrow.parquet",
    "torchvision",
    "open_clip",
    "mlflow",
    "ray.tune",
    "ray.data",
)


class Server:
    """One a test process. It starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path, limit: float
    ) -> int:
        """The exit code of `gelo ARGUMENTS` in `folder`, its output appended to `out` and `err`. Raises TimeoutError."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        assert self._process.stdin and self._process.stdout
        job = [list(arguments), str(folder), dict(environment), str(out), str(err)]
        self._process.stdin.write(json.dumps(job) + "\n")
        child = int(self._process.stdout.readline())
        ready, _, _ = select.select([self._process.stdout], [], [], limit)
        if not ready:
            os.killpg(child, signal.SIGKILL)
        code = int(self._process.stdout.readline())
        if not ready:
            raise TimeoutError(f"gelo {' '.join(arguments)} took more than {limit} s: {out.read_text()}")
        return code

    def close(self) -> None:
        """Nothing of it stays."""
        if self._process is not None:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(60)


SERVER = Server()
atexit.register(SERVER.close)


def gelo(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, limit: float = 300
) -> subprocess.CompletedProcess[str]:
    """`gelo ARGUMENTS` in `folder`, in this process's environment or another."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        for each in (out, err):
            each.touch()
        code = SERVER.run(arguments, folder, os.environ if environment is None else environment, out, err, limit)
        return subprocess.CompletedProcess(["gelo", *arguments], code, out.read_text(), err.read_text())


def main() -> None:
    """Serve jobs from the standard input; answer each with the child's number and then its exit code."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for name in HEAVY:
        importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()  # what is here stays as it is: a child's collector leaves those pages alone
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(*json.loads(line))
        answers.write(f"{child}\n")
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")


def _become(arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (path, flags) in enumerate(((os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (err, os.O_WRONLY))):
        opened = os.open(path, flags | (os.O_APPEND | os.O_CREAT if number else 0))
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv[1:], sys.path[0] = arguments, folder
    code: object = 0
    try:
        runpy.run_module("gelo", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        code if isinstance(code, int) else 0 if code is None else 1
    )  # taking all that was imported apart is a second's work


if __name__ == "__main__":
    atexit.unregister(SERVER.close)  # no server of a server
    with contextlib.suppress(KeyboardInterrupt):
        main()
