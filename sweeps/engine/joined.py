"""How ranks meet: torch.distributed on one address, and what its errors mean."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist

from gelo.models.training.world import World

_MEET = timedelta(minutes=10)
_STEP = timedelta(hours=24)  # rank 0 may fill a cache meanwhile; who is gone is found sooner, by `gang._watch`


@contextmanager
def joined(
    rank: int, size: int, host: str, port: int, gpus: bool = False, door: socket.socket | None = None
) -> Iterator[World]:
    """This process as a rank, until the block ends. host: rank 0's address; door: its listening socket, which it gives away; gpus: whether
    each rank trains on one of its own, as a machine with GPUs may train on CPUs.

    Listens on `host`'s interface alone. Raises torch.distributed's errors when the others do not come.
    """
    _listen_at(host if host == "127.0.0.1" else _own(host, port))
    store = dist.TCPStore(
        host, port, size, is_master=rank == 0, timeout=_MEET, wait_for_workers=False,
        master_listen_fd=door.detach() if door is not None else None,
    )  # fmt: skip
    dist.init_process_group("nccl" if gpus else "gloo", store=store, rank=rank, world_size=size, timeout=_STEP)
    try:
        yield World(rank, size)
    except BaseException:
        _leave(at_once=gpus)
        raise
    with suppress(RuntimeError):  # the work is done, whoever is gone by now
        _leave(at_once=False)


def is_of_others(error: Exception) -> bool:
    """Whether all that it says is that another rank is gone."""
    left = isinstance(error, ValueError | AssertionError) and "process group" in str(error).lower()
    return left or isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _leave(at_once: bool) -> None:
    """at_once: NCCL would wait for what the others no longer answer."""
    if not dist.is_initialized():
        return
    if at_once:
        dist.distributed_c10d._abort_process_group()
    else:
        dist.destroy_process_group()


def _own(host: str, port: int) -> str:
    """The address of this machine by which it reaches `host`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect((host, port))
        return str(asked.getsockname()[0])


def _listen_at(address: str) -> None:
    """Tell gloo, which would ask for the machine's name, and on one machine NCCL, its interface. A user's own choice stays."""
    import psutil  # Ray brings it

    for name, known in psutil.net_if_addrs().items():
        if any(each.address == address for each in known):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            if address == "127.0.0.1":
                os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={name}")
            return
