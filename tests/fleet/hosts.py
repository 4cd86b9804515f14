"""Runs the hosts of a fleet, each a role in a folder of its own; they share PostgreSQL and the broker alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.load.server import PLUGINS, Server, ServerFailed


class Host(Server):
    """One host: a web process, or workers with their sweeper and courier. Its working folder is its own.

    With a `namespace` it runs in that network namespace, where `address` is its own.
    """

    def __init__(
        self, name: str, role: str, folder: Path, url: str, config: str, broker: str, queue: str, *, workers: int = 1,
        address: str = "127.0.0.1", namespace: str | None = None, plugins: Path | None = None,
    ) -> None:  # fmt: skip
        home = folder / name
        home.mkdir()
        super().__init__(home, url, config, workers=workers)
        self.name, self.role, self._home = name, role, home
        self.address, self._namespace = address, namespace
        self._environment |= {
            "OUTRIGGER_BROKER_URL": broker,
            "OUTRIGGER_BROKER_QUEUE": queue,
            "OUTRIGGER_CONFIG": str(home / "plugins.toml"),
            "OUTRIGGER_PLUGIN_DIRS": os.pathsep.join(map(str, (PLUGINS, *([plugins] if plugins else ())))),
            "PGAPPNAME": name,  # by which PostgreSQL's own tables tell whose a connection is
        }

    def launch(self, role: str = "") -> None:
        """Start the host without waiting for it."""
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        arguments = ["worker", "--workers", str(self._workers)]
        arguments += ["--metrics-host", self.address, "--metrics-port", str(self.port)]
        if self.role == "web":
            arguments = ["web", "--host", self.address, "--port", str(self.port)]
        command = self._command(*arguments)
        if self._namespace is not None:  # becomes the command itself, so its number is the supervisor's
            command = ["ip", "netns", "exec", self._namespace, *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._home,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run a command of IT on this host and return what it printed as JSON. Raises ServerFailed."""
        done = subprocess.run(
            self._command(*arguments, "--json"), env=self._environment, cwd=self._home,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerFailed(f"`outrigger {' '.join(arguments)}` was refused: {done.stdout}{done.stderr}")
        return dict(json.loads(done.stdout))

    def apply(self) -> None:
        """Apply the host's plugins.toml, once for the whole fleet."""
        self.command("config", "apply")

    def picked_up(self, version: int) -> set[str]:
        """Return who of the host's processes say in its log that they work by this version: by their loggers."""
        found = set()
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if record.get("event") == "configuration_picked_up" and record["version"] >= version:
                    found.add(str(record["logger"]).removeprefix("outrigger."))
        return found

    @property
    def listeners(self) -> set[str]:
        """Return the loggers of the processes that pick a version up."""
        return {"process"} if self.role == "web" else {"dispatch", "fleet", "courier"}

    def freeze(self, kind: str) -> int:
        """Stop a process where it stands; return its number."""
        pid = self.pid_of(kind)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def thaw(self, pid: int) -> None:
        """Let it go on, if it was not ended meanwhile."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
