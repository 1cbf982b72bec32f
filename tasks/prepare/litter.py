"""Files and folders that archives, systems and other programs leave behind: never data, whatever reads the tree."""

from __future__ import annotations

_NAMES = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "lost+found",
        "system volume information", "__pycache__", "icon\r",
    }
)  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is a system's or an archive's own: hidden (`.DS_Store`, `._a.jpg`, `.git`) or known."""
    return name.startswith(".") or name.lower() in _NAMES
