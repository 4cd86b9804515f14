"""What the server's processes cost: processor time while something is measured, memory while nothing happens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from tests.load.server import Server

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Cpu:
    """The processor time of every child of a server from now on."""

    def __init__(self, server: Server) -> None:
        self._before = {name: (pid, cpu_s(pid)) for name, pid in server.children().items()}

    def used(self) -> Mapping[str, float]:
        """Return seconds by child."""
        return {name: cpu_s(pid) - before for name, (pid, before) in self._before.items()}


def memory_mb(server: Server) -> tuple[float, float]:
    """Return (RSS, PSS) of all processes in megabytes; PSS shares out what forked processes have in common."""
    rss = pss = 0
    for pid in server.processes():
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                rss += int(value.split()[0]) if name == "Rss" else 0
                pss += int(value.split()[0]) if name == "Pss" else 0
    return rss / 1024, pss / 1024
