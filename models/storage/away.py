"""Storage that does not answer: what counts as that, how long it is waited for, and what is raised then.

Decisions: an outage is a refused or dropped connection, a silence, a 5xx or a request to slow down. "No such file" and "access denied" are
answers, and pass at once. Waits grow and are random (tenacity), so that a hundred workers do not come back in one moment. Whoever
waits says so: `heard` gets a line now and then.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from gelo.models.faults import Fault, UserError
from gelo.models.secrets import redacted

DEADLINE = 600.0  # seconds that storage is waited for by a run
BRIEF = 30.0  # the same before a run has begun, and by commands that only look: an address may be mistyped
SETTING = "GELO_STORAGE_DEADLINE"  # seconds, in the environment of the driver and of the workers; instead of DEADLINE
_SHORTEST, _LONGEST = 0.25, 15.0  # seconds between two tries, at first and later
_TELL = 15.0  # seconds between two lines

heard: list[Callable[[str], None]] = []  # told while storage is waited for
_limits: list[float] = []
_run: list[float] = []  # of the run that this process works for

_ANSWERS = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
_PASSING = {
    *(errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ESTALE),
    *(errno.EREMOTEIO, errno.EBUSY),  # what s3fs makes of 500 and of 503, "slow down" and a conflict
}
_NAMES = {  # of the classes of clients that need not be installed: botocore, aiohttp, urllib3, Google's, Azure's, paramiko
    *(
        "ConnectionError",
        "HTTPClientError",
        "ResponseParserError",
        "IncompleteReadError",
        "IncompleteRead",
        "ClientConnectionError",
    ),
    *("ClientPayloadError", "ServerDisconnectedError", "TransportError", "ServiceRequestError", "ServiceResponseError"),
    *("ProtocolError", "SSHException"),
}
_KEYLESS = {  # of the same clients: they have nothing to show
    *(
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "NoAuthTokenError",
    ),
    *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"),
}
_CODES = {  # of S3's answers that are no 5xx
    *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded"),
    *("RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "ConditionalRequestConflict"),
}  # fmt: skip
_NO_BUCKET = re.compile(
    r"(bucket|container) does not exist", re.IGNORECASE
)  # S3's and Azure's words, made a FileNotFoundError by fsspec

R = TypeVar("R")


class StorageAwayError(OSError):
    """Storage has not answered for as long as it is waited for. All that was published is whole, and a run can go on later.

    address: without secrets. seconds: how long it was asked. why: what the last try met, in a line. kind: what a trial's failure is
    called that ends so.
    """

    kind: ClassVar[str] = "storage away"

    def __init__(self, address: str, seconds: float, why: str) -> None:
        self.address, self.seconds, self.why = address, seconds, why
        super().__init__(f"{address} has not answered for {seconds:.0f} s ({why})")

    def __reduce__(self) -> tuple[type[StorageAwayError], tuple[str, float, str]]:
        """Pickle whole: the error crosses process borders under Ray."""
        return type(self), (self.address, self.seconds, self.why)


def longest(patience: float | None = None) -> float:
    """Seconds that a run waits: what the environment says, else its `patience`, else that of the run that this process works for, else
    `DEADLINE`. Raises UserError for no number."""
    given = os.environ.get(SETTING, "")
    try:
        return float(given) if given else next((each for each in (patience, *_run) if each is not None), DEADLINE)
    except ValueError:
        raise UserError("environment", Fault(SETTING, repr(given), "seconds, such as 600")) from None


def patient(seconds: float) -> None:
    """From now on this process waits so long, wherever neither the environment nor a block says otherwise."""
    _run[:] = [seconds]


@contextmanager
def waits(seconds: float) -> Iterator[None]:
    """Inside, storage is waited for so long, in every thread of this process."""
    _limits.append(seconds)
    try:
        yield
    finally:
        _limits.remove(seconds)


def is_outage(error: BaseException) -> bool:
    """Whether trying again may help, of whatever client; `StorageAwayError` says that it was tried."""
    if isinstance(error, _ANSWERS):
        return False
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, ConnectionError | TimeoutError | socket.gaierror | StorageAwayError):
            return True
        if isinstance(behind, OSError) and behind.errno in _PASSING:
            return True
        if _NAMES & {each.__name__ for each in type(behind).__mro__} or _passes(behind):
            return True
        behind = behind.__cause__
    return False


def _passes(error: BaseException) -> bool:
    """By the status or the code of an answer over HTTP, as each client keeps them."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if response.get("Error", {}).get("Code") in _CODES:
            return True
    else:
        found = (getattr(error, name, None) for name in ("status", "status_code", "code"))
        status = next((each for each in found if isinstance(each, int)), None)
    return status is not None and (status in (408, 429) or (500 <= status < 600 and status != 501))


def steadily(do: Callable[[], R], address: str) -> R:
    """What `do` returns, tried again while there is an outage. address: for messages.

    Raises StorageAwayError once it has lasted for the deadline, PermissionError with the address where the store lets nobody in,
    FileNotFoundError with the address where there is no such bucket, and whatever else `do` raises at once.
    """
    began = time.monotonic()
    told = [began]

    def tell(state: RetryCallState) -> None:
        now = time.monotonic()
        error = state.outcome.exception() if state.outcome is not None else None
        if now - told[0] >= _TELL and error is not None:
            told[0] = now
            _say(f"waiting for {address}, which has not answered for {now - began:.0f} s ({_short(error)})")

    limit = _limits[-1] if _limits else longest()
    tries = Retrying(
        retry=retry_if_exception(lambda error: is_outage(error) and not isinstance(error, StorageAwayError)),
        wait=wait_random_exponential(multiplier=_SHORTEST, max=min(_LONGEST, max(limit / 4, _SHORTEST))),
        stop=stop_after_delay(limit),
        before_sleep=tell,
        reraise=True,
    )
    try:
        result = tries(do)
    except StorageAwayError:
        raise
    except Exception as error:
        if is_outage(error):
            raise StorageAwayError(address, time.monotonic() - began, _short(error)) from None
        if isinstance(error, FileNotFoundError) and not error.filename and _NO_BUCKET.search(str(error)):
            raise FileNotFoundError(errno.ENOENT, str(error).splitlines()[0], address) from None
        if isinstance(error, PermissionError) and not error.filename:
            raise PermissionError(errno.EACCES, _short(error), address) from None
        if _KEYLESS & {each.__name__ for each in type(error).__mro__}:
            why = "no keys for it, neither in the environment nor in this machine's role"
            raise PermissionError(errno.EACCES, why, address) from None
        raise
    if told[0] != began:
        _say(f"{address} answers again, after {time.monotonic() - began:.0f} s")
    return result


def _say(text: str) -> None:
    for hear in heard:
        hear(text)


def _short(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return redacted(f"{type(error).__name__}: {line}" if line else type(error).__name__)[:200]
