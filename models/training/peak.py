"""The most memory that this process, or its card, held over a stretch of its life."""

from __future__ import annotations

from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def begin(device: torch.device | str) -> None:
    """Count from here. Where the system cannot forget what was before, `taken` says nothing."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        _CLEAR.write_text("5")  # Linux: the peak of the resident set is what it is now (proc(5))
    except OSError:
        return


def forget() -> None:
    """What this process did before on its card, if it used one: the room that is kept ready there, and the peak."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(0)


def card() -> tuple[int | None, int | None]:
    """(bytes that torch had reserved at the most since `begin`, bytes of the card) of this process's first card, from any of its threads;
    (None, None) before it uses one. A look does not make it use one."""
    if not torch.cuda.is_initialized():
        return None, None
    return int(torch.cuda.max_memory_reserved(0)), int(torch.cuda.get_device_properties(0).total_memory)


def taken(device: torch.device | str) -> int | None:
    """Bytes at the most since `begin`: what torch had reserved on the card, or the resident set; None where nobody knows."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    try:
        (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(line.split()[1]) if _CLEAR.exists() else None
    except (OSError, ValueError, IndexError):
        return None
