"""MLflow's client, imported with what a run on anybody's machine needs of it: no telemetry, short waits."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def before_import() -> None:
    """MLflow reads these when imported: no telemetry, machine metrics, printed addresses; a server that is away is told in
    seconds, not in four minutes: `outbox` asks it again. A user's values stay."""
    for name, value in (
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)


def client_of(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # prints the traceback of what it raises
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # tells each retry, with the address
    return MlflowClient(tracking_uri=uri)
