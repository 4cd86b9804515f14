"""Says by its exit code whether a container's Outrigger works: a web is asked, a worker's processes are counted."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8080/readyz"
FEWEST = 2
"""A worker's supervisor has at least a worker and a courier; while one is being replaced the next look finds it."""


def command_of(pid: int, proc: Path = Path("/proc")) -> list[str]:
    """Return the words of a process's command line."""
    return (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def children_of(pid: int, proc: Path = Path("/proc")) -> int:
    """Return how many living processes `pid` has started."""
    count = 0
    for status in proc.glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[:2]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        count += int(parent) == pid and state != "Z"
    return count


def fault(pid: int = 1, url: str = URL, proc: Path = Path("/proc")) -> str:
    """Return what is wrong, or an empty text."""
    if "worker" in command_of(pid, proc):
        found = children_of(pid, proc)
        return "" if found >= FEWEST else f"only {found} processes beside the supervisor"
    try:
        with urllib.request.urlopen(url, timeout=4):
            return ""
    except urllib.error.HTTPError as refused:
        return refused.read(2000).decode(errors="replace")
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(fault() or 0)
