"""The files in a tar, told from its headers alone: read once in order, where each lies noted, nothing unpacked and nothing kept.

Python's tarfile takes the first damaged header for the end; here an archive has to end with its mark, and with nothing after it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gelo.models.faults import pass_interrupt
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.places import LITTER
from gelo.tasks.prepare.tree import Tree

LARGEST = 1 << 28  # bytes of a member
_HEADER = 1 << 16  # bytes of a member's headers, names of any length among them
_BLOCK = 512
_KINDS = (
    (b"\x1f\x8b", "gzip", "gunzip"), (b"BZh", "bzip2", "bunzip2"), (b"\xfd7zXZ", "xz", "unxz"), (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
)  # fmt: skip
_PACKED = (".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".tzst")


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a tar: its name, and the place and number of its bytes."""

    name: str
    offset: int
    size: int


@dataclass
class _Refused:
    """Names of members that are not read, by why."""

    links: list[str] = field(default_factory=list)
    large: list[str] = field(default_factory=list)


def members(tree: Tree, path: Path, shown: str) -> Iterator[Member]:
    """The files in the tar at `path`, called `shown` where something is left out; clean names: no "./", "..", or leading slash.

    Faults: no tar, compressed, cut or damaged (what stands before is read), links and devices, members above `LARGEST`.
    """
    refused = _Refused()
    try:
        with path.open("rb") as raw:
            head = raw.read(64)
        if head.startswith(b"version https://git-lfs"):
            tree.fault(path, "a pointer of Git LFS, not the tar itself", "the tar", "git lfs pull")
            return
        if kind := next((kind for kind in _KINDS if head.startswith(kind[0])), None):
            _, name, tool = kind
            how = (
                f"{tool} {path}" if path.name.lower().endswith(_PACKED) else f"{tool} < {path} > {path.stem}.plain.tar"
            )
            tree.fault(
                path, f"compressed with {name}", "a plain tar: in a compressed one no image can be found alone", how
            )
            return
        with _Headers(io.FileIO(path)) as stream, tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as tar:
            yield from _sifted(tree, tar, stream, shown, refused)
            _check_end(stream, tar.offset)
    except Exception as error:  # whatever tarfile makes of damaged bytes
        pass_interrupt(error)
        tree.fault(path, f"damaged or cut short ({error})", "a whole tar", "download or make it anew")
    fault_each(tree, path, refused.links, "links, devices or sparse files", "plain files")
    fault_each(tree, path, refused.large, "files too large", f"at most {LARGEST >> 20} MiB each")


def read_slice(path: Path | str, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`. Raises OSError where the file has become shorter."""
    with open(path, "rb") as stream:  # noqa: PTH123
        stream.seek(offset)
        data = stream.read(size)
    if len(data) != size:
        raise OSError(f"{len(data)} of {size} bytes left in {path}")
    return data


def _sifted(tree: Tree, tar: tarfile.TarFile, stream: _Headers, shown: str, refused: _Refused) -> Iterator[Member]:
    last = -1
    while (info := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        stream.room = _HEADER
        if info.size < 0 or info.offset_data <= last:
            raise tarfile.ReadError("a header that leads backwards")
        last = info.offset_data
        name = _clean(info.name)
        if info.isdir():
            continue
        if any(is_litter(part) for part in name.split("/")):
            tree.leave(f"{shown}: {name}", LITTER)
        elif not info.isreg() or info.issparse():
            refused.links.append(name)
        elif info.size > LARGEST:
            refused.large.append(name)
        else:
            yield Member(name, info.offset_data, info.size)


def _clean(name: str) -> str:
    plain = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
    return plain if plain.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in plain)


def _check_end(stream: io.BufferedReader, end: int) -> None:
    """Raises ReadError unless a block of zeros stands at `end` and nothing but zeros after it."""
    stream.seek(end)
    mark = io.BufferedReader.read(stream, _BLOCK)
    if len(mark) < _BLOCK or any(mark):
        raise tarfile.ReadError(f"no end of archive at byte {end:,}" + ("" if not mark else ", and no file either"))
    while block := io.BufferedReader.read(stream, 1 << 20):
        if block.strip(b"\0"):
            raise tarfile.ReadError(f"something after the end of the archive at byte {end:,}: two tars in one file?")


class _Headers(io.BufferedReader):
    """A tar's bytes for a reader of headers, which may be no longer than `_HEADER` for one member, whatever they say of themselves."""

    room = _HEADER

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > self.room:
            raise tarfile.ReadError("a header without end")
        self.room -= size
        return super().read(size)
