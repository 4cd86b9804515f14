"""What the doctor looks at on this machine beside an SQLite database: its disk, and the queue of those who write."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

from core.cli.finding import Finding, Level
from core.cli.session import Session

LOW_DISK = 0.05
NO_DISK = 0.01
STUCK_S = 3.0


def disk(session: Session) -> list[Finding]:
    """Look at the free disk where an SQLite database lies."""
    if not session.unchecked_database.is_sqlite:
        return []
    folder = Path(str(session.unchecked_database.url.database)).resolve().parent
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total
    text = f"{usage.free / 2**30:.1f} GiB free ({share:.1%}) at {folder}"
    if share < LOW_DISK:
        level: Level = "fail" if share < NO_DISK else "warn"
        return [Finding(level, "disk", text, "free space; a full disk is answered to CRMs with 503")]
    return [Finding("ok", "disk", text)]


def write_queue(session: Session) -> list[Finding]:
    """Look at the write queue of SQLite: whether a server runs, and whether a writer is stuck in it."""
    if not session.unchecked_database.is_sqlite:
        return []
    base = str(session.unchecked_database.url.database)
    running = _is_held(Path(f"{base}.serve"), patience_s=0)
    found = [
        Finding("ok", "server", "a server works on this database" if running else "no server works on this database")
    ]
    if _is_held(Path(f"{base}.turn.write"), patience_s=STUCK_S):
        advice = f"a process may be stopped in the middle of a write; `fuser {base}.turn.write` names it"
        detail = (
            f"the processes that write take turns by a lock on {base}.turn.write, and for {STUCK_S:.0f} s "
            "it was never free"
        )
        return [*found, Finding("warn", "write queue", detail, advice)]
    return [*found, Finding("ok", "write queue", "free")]


def _is_held(path: Path, *, patience_s: float) -> bool:
    """Return whether a lock file stays locked for so long."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    deadline = time.monotonic() + patience_s
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return True
                time.sleep(0.01)
    finally:
        os.close(descriptor)
