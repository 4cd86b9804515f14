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


def family(leader: int) -> list[int]:
    """Return every process of the session that `leader` began."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if name.isdigit() and os.getsid(int(name)) == leader:
                found.append(int(name))
    return found


def family_cpu_s(leader: int) -> float:
    """Return the processor time of a session's processes so far."""
    return sum(cpu_s(pid) for pid in family(leader))


def family_rss_mb(leader: int) -> float:
    """Return the resident memory of a session's processes, shared pages counted for each."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family(leader))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


class Cpu:
    """The processor time of every child of a server from now on."""

    def __init__(self, server: Server) -> None:
        self._before = {name: (pid, cpu_s(pid)) for name, pid in server.children().items()}

    def used(self) -> Mapping[str, float]:
        """Return seconds by child."""
        return {name: cpu_s(pid) - before for name, (pid, before) in self._before.items()}


def memory_by_child(server: Server) -> Mapping[str, float]:
    """Return PSS in megabytes of the supervisor and of every child."""
    processes = {"supervisor": server.pid_of("supervisor"), **server.children()}
    return {name: _memory_kb(pid)["Pss"] / 1024 for name, pid in processes.items()}


def _memory_kb(pid: int) -> Mapping[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}


def memory_mb(server: Server) -> tuple[float, float]:
    """Return (RSS, PSS) of all processes in megabytes; PSS shares out what forked processes have in common."""
    rss = pss = 0
    for pid in server.processes():
        with contextlib.suppress(FileNotFoundError):
            found = _memory_kb(pid)
            rss, pss = rss + found["Rss"], pss + found["Pss"]
    return rss / 1024, pss / 1024
