"""Passwords and keys in addresses and in the environment: refused where they would be kept, taken out of all that is written or printed."""

from __future__ import annotations

import os
import re
import urllib.parse
from functools import cache

from gelo.models.faults import Fault

HIDDEN = "***"
_LOGIN = re.compile(
    r"\b(\w+:/{1,2})[^/\s@'\"]+@"
)  # a path has one of the slashes; \b: a long word takes no quadratic time
_SIGNED = re.compile(
    r"(?i)([?&;\s](?:[\w-]{0,200}(?:token|secret|password|signature|credential|key|sig)[\w-]{0,200})=)[^&\s\"']+"
)
_NAME = re.compile(r"(?i)TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|ACCESS_KEY|API_KEY")
_SHORTEST = 8  # letters of a value that is looked for: a shorter one would blacken words
_INSTEAD = {
    "http": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "https": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
}


def redacted(text: str) -> str:
    """`text` without logins in addresses, signed query values and values of secret environment variables."""
    text = _SIGNED.sub(rf"\1{HIDDEN}", _LOGIN.sub(rf"\1{HIDDEN}@", text))
    for name in filter(_secret, os.environ):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN)
    return text


@cache
def _secret(name: str) -> bool:
    """Whether a variable of this name holds one; a report asks a million times."""
    return _NAME.search(name) is not None


def secret_fault(option: str, address: str) -> Fault | None:
    """Why an address must not be kept: it holds a password, or a signed query. None where it holds none."""
    shown = redacted(address)
    if shown == address:
        return None
    kind = urllib.parse.urlsplit(address).scheme.lower()
    remedy = _INSTEAD.get(kind, "give it in the environment, as the program at that address documents")
    return Fault(
        f"{option} {shown}", "a password or key in an address", "an address alone: it is saved with the sweep", remedy
    )
