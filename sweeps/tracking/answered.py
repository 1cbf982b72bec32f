"""What a tracking store answers when it does not do what it is asked, in a user's words: later it may, or it refuses."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from gelo.models.faults import Fault, UserError
from gelo.models.secrets import redacted
from gelo.sweeps.tracking.store import SQLITE, AwayError

# Codes below 500 that say nothing of what was asked: MLflow calls errors of a database that goes down so, and a store may be put back to
# before a run was made.
_LATER = ("BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")
_SAVED = "all results are saved"
_REST = "resume the sweep, which logs the rest"


class Stored(Protocol):
    uri: str


S = TypeVar("S", bound=Stored)
P = ParamSpec("P")
R = TypeVar("R")


def answered(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """`method`, which raises AwayError where the store does not answer any more, or with an error of its own, and UserError for what a
    server refuses."""

    @wraps(method)
    def asked(self: S, *args: P.args, **options: P.kwargs) -> R:
        from mlflow.exceptions import MlflowException

        try:
            return method(self, *args, **options)
        except MlflowException as error:
            if error.error_code in _LATER or error.get_http_status_code() >= 500:
                raise _away(self.uri, error) from error
            if self.uri.startswith(SQLITE):
                raise  # nobody stands between: a fault of gelo
            expected, remedy = "a server that takes what it is sent", f"{_SAVED}; mend its rights or limits and {_REST}"
            raise UserError("tracking", Fault(_named(self.uri), _told(error), expected, remedy)) from error

    return asked


@contextmanager
def uploading(uri: str) -> Iterator[None]:
    """Inside, files go to where the store keeps artifacts: whatever that place's own library raises is AwayError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise _away(uri, error) from error


def _away(uri: str, error: Exception) -> AwayError:
    remedy = f"{_SAVED}; {'see to it' if uri.startswith(SQLITE) else 'bring the server back'} and {_REST}"
    return AwayError("tracking", Fault(_named(uri), _told(error), "an answer", remedy))


def _named(uri: str) -> str:
    database = uri.removeprefix(SQLITE)
    return database if database != uri else f"MLflow server at {urllib.parse.urlsplit(uri).hostname}"


def _told(error: Exception) -> str:
    return redacted((str(error).splitlines() or [type(error).__name__])[0])
