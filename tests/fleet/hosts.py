"""Runs the hosts of a fleet, each a role in a folder of its own; they share PostgreSQL and the broker alone."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path

from tests.load.server import Server

BROKERS = {
    "rabbitmq": os.environ.get("OUTRIGGER_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("OUTRIGGER_TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
}


def fresh_queue() -> str:
    """Name a queue that nobody else uses."""
    return f"campaign_{uuid.uuid4().hex[:12]}"


class Host(Server):
    """One host: a web process, or workers with their sweeper and courier. Its working folder is its own."""

    def __init__(
        self, name: str, role: str, folder: Path, url: str, config: str, broker: str, queue: str, *, workers: int = 1
    ) -> None:
        home = folder / name
        home.mkdir()
        super().__init__(home, url, config, workers=workers)
        self.name, self.role, self._home = name, role, home
        self._environment |= {
            "OUTRIGGER_BROKER_URL": broker,
            "OUTRIGGER_BROKER_QUEUE": queue,
            "OUTRIGGER_CONFIG": str(home / "plugins.toml"),
        }

    def launch(self, role: str = "") -> None:
        """Start the host without waiting for it."""
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        arguments = ["worker", "--workers", str(self._workers)]
        if self.role == "web":
            arguments = ["web", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(*arguments), env=self._environment, cwd=self._home,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def apply(self) -> None:
        """Apply the host's plugins.toml, once for the whole fleet."""
        subprocess.run(
            self._command("config", "apply"), env=self._environment, cwd=self._home, check=True, capture_output=True
        )

    def freeze(self, kind: str) -> int:
        """Stop a process where it stands; return its number."""
        pid = self.pid_of(kind)
        os.kill(pid, signal.SIGSTOP)
        return pid

    def thaw(self, pid: int) -> None:
        """Let it go on."""
        os.kill(pid, signal.SIGCONT)


def drop_queue(broker: str, queue: str) -> None:
    """Take a campaign's queue away from its broker."""
    import kombu

    with kombu.Connection(broker, connect_timeout=5) as connection:
        channel = connection.default_channel
        if broker.startswith("amqp"):
            channel.queue_delete(queue)
            channel.exchange_delete(queue)
        else:
            channel.client.delete(queue, f"_kombu.binding.{queue}")
