"""Starts and stops the demo's processes: `outrigger` commands, the server, and the receivers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploy.demo.place import ROOT, Place

READY_S = 30.0
STOP_S = 35.0
PREFERRED_PORT = 8080


class DemoFailed(Exception):
    """Something the demo needs did not work; the message says what and where to look."""


def outrigger_command() -> str:
    """Return the `outrigger` command that belongs to the running Python, or else the one on the path."""
    beside = Path(sys.executable).parent / "outrigger"
    found = str(beside) if beside.exists() else shutil.which("outrigger")
    if found is None:
        raise DemoFailed("There is no `outrigger` command here; `make demo` installs it first.")
    return found


def run_outrigger(place: Place, port: int, *arguments: str) -> Any:
    """Run one `outrigger` command to its end; return its JSON answer when it was asked for one."""
    done = subprocess.run(
        [outrigger_command(), *arguments],
        env=place.environment(port),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise DemoFailed(f"`outrigger {' '.join(arguments)}` ended with {done.returncode}:\n{words}")
    return json.loads(done.stdout) if "--json" in arguments and done.stdout.strip() else None


def free_port(preferred: int = PREFERRED_PORT) -> int:
    """Return the preferred port of the loopback address when nobody listens there, else any free one."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoFailed("No port of 127.0.0.1 is free.")


def start(place: Place, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its words in `<name>.log`."""
    with (place.directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    place.remember(**{f"{name}_pid": process.pid})
    return process


def start_receiver(place: Place) -> tuple[int, int]:
    """Start the CRM, the mailbox and the robots; return the ports they chose, HTTP and SMTP."""
    robots = json.dumps(place.robots())
    environment = {**os.environ, "DEMO_CRM_SECRET": place.secret("DEMO_WRITE_BACK_SECRET"), "DEMO_ROBOTS": robots}
    script = str(Path(__file__).with_name("receiver.py"))
    process = start(place, "receiver", [sys.executable, script, str(place.directory)], environment)
    http, smtp = (_port_in(place, process, name) for name in ("receiver.port", "mailbox.port"))
    return http, smtp


def _port_in(place: Place, process: subprocess.Popen[bytes], name: str) -> int:
    """Wait until the receiver has written a port down, and return it."""
    path = place.directory / name
    deadline = time.monotonic() + READY_S
    while not (path.exists() and path.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoFailed(f"The receiver did not start; see {place.directory / 'receiver.log'}.")
        time.sleep(0.05)
    return int(path.read_text())


def start_server(place: Place, port: int) -> subprocess.Popen[bytes]:
    """Start `outrigger serve`."""
    command = [outrigger_command(), "serve", "--host", "127.0.0.1", "--port", str(port)]
    return start(place, "server", command, place.environment(port))


def is_running(pid: int) -> bool:
    """Whether this process is there and is one of the demo's (a number may have gone to a stranger since)."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # when it is a child of ours that has ended, it is gone after this
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # somebody else's
    words = _command_line(pid)
    return "outrigger" in words or "receiver.py" in words


def _command_line(pid: int) -> str:
    if not Path("/proc/self/cmdline").exists():
        shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout
    for _ in range(20):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            is_dead = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return ""
        if words or is_dead:
            return words
        time.sleep(0.01)  # it is being started this moment, and has no words yet
    return ""


def stop(pid: int) -> None:
    """Ask a process to stop; when it does not within its time, end it and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_running(pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def stop_demo(place: Place) -> bool:
    """Stop the server first, then the receiver; return whether anything ran."""
    state = place.recall()
    if state:
        place.remember(stopping=True)
    running = [state[key] for key in ("server_pid", "receiver_pid") if key in state and is_running(state[key])]
    for pid in running:
        stop(pid)
    place.state_file.unlink(missing_ok=True)
    return bool(running)
