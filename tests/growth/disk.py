"""How much an installation has written to the disk: a figure that the machine's speed does not change."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.load.databases import Outside
from tests.load.server import Server


class Written:
    """What is written from now on: PostgreSQL's log of the whole cluster, or all that the server's processes write."""

    def __init__(self, server: Server, outside: Outside) -> None:
        self._server, self._outside = server, outside
        self._bytes, self._pages = self._now()

    def since(self) -> tuple[float, float]:
        """Return kilobytes, and how many whole pages are among them.

        PostgreSQL logs a page as a whole when it changes for the first time after a checkpoint; its processes tell how
        many about once a second. SQLite writes whole pages alone, so that number is 0 there.
        """
        written, pages = self._now()
        return (written - self._bytes) / 1024, pages - self._pages

    def _now(self) -> tuple[float, float]:
        if self._outside.kind == "sqlite":
            return sum(_written_by(pid) for pid in self._server.children().values()), 0.0
        [row] = self._outside.rows("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, wal_fpi FROM pg_stat_wal")
        return float(row[0]), float(row[1])


def _written_by(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(": ")
            if name == "write_bytes":
                return float(value)
    return 0.0
