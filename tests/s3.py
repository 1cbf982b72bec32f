"""The S3-speaking server and its door as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from upath import UPath

from benchmarks.door import Door, s3


@pytest.fixture(scope="session")
def _door() -> Iterator[Door]:
    pytest.importorskip("moto", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    with s3() as door:
        yield door


@pytest.fixture
def door(_door: Door, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Door]:
    """The door, well, with what S3's clients need in the environment; no client of before is known."""
    from s3fs import S3FileSystem

    for name, value in _door.environment.items():
        monkeypatch.setenv(name, value)
    _door.ill = lambda method, path, number: ""
    S3FileSystem.clear_instance_cache()
    yield _door
    S3FileSystem.clear_instance_cache()  # nor in the next test of this process
    _door.ill = lambda method, path, number: ""


@pytest.fixture
def bucket(door: Door, request: pytest.FixtureRequest) -> UPath:
    """An empty bucket of the test's own."""
    import boto3

    name = f"gelo-{abs(hash(request.node.nodeid)) % 10**12}-{os.getpid()}"
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{door.port}").create_bucket(Bucket=name)
    door.counted()
    return UPath(f"s3://{name}/gelo")
