"""Compiles the recorder and runs a process under it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
ROOT = Path(__file__).parents[2]


class NoRecorder(Exception):
    """The recorder cannot be had on this machine; the message says what is missing."""


def build(folder: Path) -> Path:
    """Compile the shim into `folder` and return the library. Raises NoRecorder."""
    if not sys.platform.startswith("linux"):
        raise NoRecorder("the power-cut recorder needs Linux (LD_PRELOAD and /proc)")
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoRecorder("the power-cut recorder needs a C compiler; install gcc, or name yours in CC")
    library = folder / "powercut.so"
    command = [compiler, "-O2", "-fPIC", "-shared", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoRecorder(f"the power-cut recorder does not compile:\n{done.stderr}")
    return library


def record(library: Path, folder: Path, log: Path, *, mode: str, synchronous: str | None, seconds: float) -> str:
    """Run the inbox and the dispatcher for `seconds` on a database in `folder`; return what they printed."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "POWERCUT_DIR": str(folder),
        "POWERCUT_LOG": str(log),
        "POWERCUT_MODE": mode,
        "POWERCUT_SYNCHRONOUS": synchronous or "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.powercut.workload", str(folder / "outrigger.sqlite3"), str(seconds)],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NoRecorder(f"the recorded run failed:\n{done.stderr[-3000:]}")
    return done.stdout
