"""Runs a real `outrigger serve` with the ledger plugins, knows its processes by its log, and kills them if asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.load.wire import SECRET, get

PLUGINS = Path(__file__).parent / "plugins"
LEDGERS = ("ledger_first", "ledger_second", "ledger_third")
ROOT = Path(__file__).parents[2]
READY_S = 30.0
STOP_S = 35.0


class ServerFailed(Exception):
    """The server did not do what it was told; the message carries the end of its log."""


def configuration(*, rows: bool = True, decisions: bool = True, every: int = 0) -> str:
    """Return a plugins.toml with one source and the three ledgers, the shipped plugins switched off."""
    text = '[sources.crm]\nadapter = "standard"\nsecrets = ["env:LEDGER_SECRET"]\nunit = "default"\n'
    # A killed worker is not its plugin's fault here, and a campaign kills more often than quarantine forgives.
    text += "[dispatch]\ncrashes_to_quarantine = 1000\nmax_attempts = 50\n"
    for name in ("lead_scoring", "case_capture"):
        text += f"[plugins.{name}]\nenabled = false\n"
    for name in LEDGERS:
        text += f"[plugins.{name}]\nenabled = true\n[plugins.{name}.config]\n"
        text += f"rows = {str(rows).lower()}\ndecisions = {str(decisions).lower()}\nevery = {every}\n"
    return text


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One installation: a folder, a database, a port; started, killed and started again."""

    def __init__(
        self, folder: Path, url: str, config: str, *, workers: int | None = None, plugins: Path = PLUGINS
    ) -> None:
        self.address, self.port = "127.0.0.1", free_port()
        self.log = folder / "server.log"
        self._workers = workers
        self._config = folder / "plugins.toml"
        self._config.write_text(config, encoding="utf-8")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OUTRIGGER_")},
            "OUTRIGGER_DATABASE_URL": url,
            "OUTRIGGER_CONFIG": str(self._config),
            "OUTRIGGER_PLUGIN_DIRS": str(plugins),
            "LEDGER_SECRET": SECRET,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def _command(self, *arguments: str) -> list[str]:
        script = Path(sys.executable).with_name("outrigger")
        head = [str(script)] if script.exists() else [sys.executable, "-c", "import wsgi; wsgi.main()"]
        return [*head, *arguments]

    def migrate(self) -> None:
        """Make the tables. Raises ServerFailed."""
        self.run("migrate")

    def run(self, *arguments: str) -> str:
        """Run a command of this installation and return what it printed. Raises ServerFailed."""
        done = subprocess.run(
            self._command(*arguments), env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr or done.stdout
            raise ServerFailed(f"`outrigger {' '.join(arguments)}` ended with {done.returncode}:\n{said}")
        return done.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of this installation that runs beside the server, and do not wait for it."""
        return subprocess.Popen(
            self._command(*arguments), env=self._environment, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def apply(self) -> None:
        """Apply plugins.toml, for processes that do not do so themselves. Raises ServerFailed."""
        done = subprocess.run(
            self._command("config", "apply"), env=self._environment, cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerFailed(f"`outrigger config apply` ended with {done.returncode}:\n{done.stderr or done.stdout}")

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every process of this installation."""
        return self._environment

    def start(self, role: str = "serve") -> float:
        """Start the server and return how many seconds it took until it was ready. Raises ServerFailed."""
        began = time.monotonic()
        self.launch(role)
        self.wait_ready()
        return time.monotonic() - began

    def launch(self, role: str = "serve") -> None:
        """Start the server (or one role of it alone) without waiting for it."""
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        arguments = [role, "--host", "127.0.0.1", "--port", str(self.port)]
        if self._workers is not None and role == "serve":
            arguments += ["--workers", str(self._workers)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(*arguments), env=self._environment, cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_ready(self, *, patience_s: float = READY_S) -> None:
        """Wait until /readyz says 200. Raises ServerFailed."""
        deadline = time.monotonic() + patience_s
        while True:
            answer = get(self.port, "/readyz", host=self.address)
            # Until the web process of a killed server is gone it may answer in the place of the new one.
            if answer is not None and answer.status == 200 and self.children():
                return
            if self._process is not None and self._process.poll() is not None:
                raise ServerFailed(f"`outrigger serve` ended with {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                said = answer.body.decode(errors="replace") if answer else "nobody answers"
                raise ServerFailed(f"not ready after {patience_s:.0f} s: {said}\n{self.log_tail()}")
            time.sleep(0.005)

    def children(self) -> dict[str, int]:
        """Return the child processes by name, as the supervisor's log tells them."""
        found: dict[str, int] = {}
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            for line in log:
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict) and record.get("event") == "started" and "child" in record:
                        found[str(record["child"])] = int(record["pid"])
        return found

    def pid_of(self, kind: str) -> int:
        """Return the process of this kind: supervisor, or the child whose name begins so. Raises ServerFailed."""
        if kind == "supervisor":
            assert self._process is not None
            return self._process.pid
        for name, pid in self.children().items():
            if name.startswith(kind):
                return pid
        raise ServerFailed(f"the server's log names no child {kind}:\n{self.log_tail()}")

    def processes(self) -> list[int]:
        """Return every process of the server."""
        return [self.pid_of("supervisor"), *self.children().values()]

    def kill(self, kind: str) -> int:
        """End one process without warning; return its number. A supervisor takes the others with it."""
        pid = self.pid_of(kind)
        os.kill(pid, signal.SIGKILL)
        if kind == "supervisor":
            assert self._process is not None
            self._process.wait()
        return pid

    def wait_replaced(self, kind: str, pid: int, *, patience_s: float = READY_S) -> None:
        """Wait until the supervisor has put another process in the place of `pid`. Raises ServerFailed."""
        deadline = time.monotonic() + patience_s
        while self.pid_of(kind) == pid:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{kind} was not started again:\n{self.log_tail()}")
            time.sleep(0.005)

    def stop(self) -> tuple[int, float]:
        """Ask the server to stop; return its exit code and how long it took. Raises ServerFailed."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        try:
            code = self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.end()
            raise ServerFailed(f"the server did not stop within {STOP_S:.0f} s:\n{self.log_tail()}") from None
        return code, time.monotonic() - began

    def end(self) -> None:
        """End whatever still runs; for the way out after a failure."""
        if self._process is not None and self._process.poll() is None:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
