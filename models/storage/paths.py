"""The paths of `UPath` to storage elsewhere get a steady file system, in whatever way they are made; importing this makes it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fsspec
from fsspec.config import conf
from fsspec.spec import AbstractFileSystem
from upath.implementations.cloud import AzurePath, GCSPath, S3Path
from upath.implementations.memory import MemoryPath
from upath.implementations.sftp import SFTPPath
from upath.implementations.smb import SMBPath
from upath.implementations.webdav import WebdavPath
from upath.registry import get_upath_class, register_implementation

from gelo.models.storage.steady import Steady

_OPTIONS: dict[str, dict[str, Any]] = {  # the client's own tries are for parts of a file; waiting is done here
    each: {"config_kwargs": {"retries": {"mode": "standard", "max_attempts": 2}}} for each in ("s3", "s3a")
}


class _Held:
    """What makes a path's requests steady."""

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> AbstractFileSystem:
        options = {**_OPTIONS.get(protocol, {}), **conf.get(protocol, {}), **storage_options}
        return Steady(fsspec.filesystem(protocol, **{"use_listings_cache": False, **options}))


class S3(_Held, S3Path): ...


class Google(_Held, GCSPath): ...


class Azure(_Held, AzurePath): ...


class Memory(_Held, MemoryPath): ...


class Sftp(_Held, SFTPPath): ...


class Smb(_Held, SMBPath): ...


class Webdav(_Held, WebdavPath): ...


for _kind, _protocols in {
    S3: ("s3", "s3a"),
    Google: ("gs", "gcs"),
    Azure: ("abfs", "abfss", "adl", "az"),
    Memory: ("memory",),
    Sftp: ("sftp", "ssh"),
    Smb: ("smb",),
    Webdav: ("webdav", "webdav+http", "webdav+https"),
}.items():
    for _protocol in _protocols:
        register_implementation(_protocol, _kind, clobber=True)
get_upath_class.cache_clear()  # it may have been asked before
