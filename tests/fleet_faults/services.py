"""A PostgreSQL cluster, a RabbitMQ node and a Redis of the campaign's own, so that stopping them disturbs nobody."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import kombu
import psycopg

from tests.load.server import free_port

START_S = 90.0


class ServiceFailed(Exception):
    """A service is not installed or did not start; the message says which, and what it said."""


def _as(user: str) -> list[str]:
    """Return the command's head that runs it as a user who is not root, when we are root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


def _own_folder(parent: Path, name: str, user: str) -> Path:
    folder = parent / name
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
    return folder


def _until(is_there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_S
    while not is_there():
        if time.monotonic() > deadline:
            raise ServiceFailed(f"{what} did not answer within {START_S:.0f} s")
        time.sleep(0.05)


class Postgres:
    """A cluster with `fsync` on, in a folder of its own."""

    def __init__(self, parent: Path, address: str, net: str) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise ServiceFailed("PostgreSQL's server is not installed: apt-get install postgresql")
        self._bin = found[-1].parent
        self._folder = _own_folder(parent, "postgresql", "postgres")
        self._address, self.port = address, free_port()
        self._pg("initdb", "-D", str(self._folder / "data"), "-U", "postgres", "--auth=trust", "--encoding=UTF8")
        with (self._folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as file:
            file.write(f"host all all {net} trust\n")
        with (self._folder / "data" / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write(
                f"listen_addresses = '{address}'\nport = {self.port}\nunix_socket_directories = '{self._folder}'\n"
                "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nmax_connections = 400\n"
            )
        self.url = f"postgresql+psycopg://postgres@{address}:{self.port}/postgres"

    def start(self) -> None:
        """Start the cluster; it has recovered when this returns."""
        self._pg("pg_ctl", "start", "-w", "-t", str(int(START_S)), "-D", str(self._folder / "data"),
                 "-l", str(self._folder / "log"))  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is a crash: nothing is written out, and the next start recovers from the log."""
        self._pg("pg_ctl", "stop", "-m", mode, "-D", str(self._folder / "data"))

    def end(self) -> None:
        """Stop it if it runs."""
        with contextlib.suppress(ServiceFailed):
            self.stop()

    def is_up(self) -> bool:
        """Whether it takes connections."""
        try:
            with psycopg.connect(host=self._address, port=self.port, user="postgres", connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _pg(self, program: str, *arguments: str) -> None:
        with (self._folder.parent / "services.log").open("ab") as log:
            done = subprocess.run(
                [*_as("postgres"), str(self._bin / program), *arguments],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
            )  # fmt: skip
        if done.returncode:
            raise ServiceFailed(f"{program} ended with {done.returncode}; see services.log and postgresql/log")


class Broker(Protocol):
    """A broker that can be stopped, killed and started again."""

    url: str

    def start(self) -> None:
        """Start it; it answers when this returns."""
        ...

    def stop(self) -> None:
        """Stop it as an operator would."""
        ...

    def kill(self) -> None:
        """End it without warning."""
        ...


class _Process:
    """A service that is one process."""

    url = ""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        return None

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self._process = subprocess.Popen(
            self._command(), env=self._environment(), cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _until(self._answers, type(self).__name__)

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except Exception:  # which one it is differs with the broker
            return False
        return True

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid(), how)
        self._process.wait(timeout=60)
        self._process = None


class RabbitMQ(_Process):
    """A node with a name, ports and folders of its own; it shares the machine's port mapper."""

    def __init__(self, parent: Path, address: str) -> None:
        super().__init__()
        self._server = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if not self._server.exists():
            raise ServiceFailed("RabbitMQ is not installed: apt-get install rabbitmq-server")
        self._folder = _own_folder(parent, "rabbitmq", "rabbitmq")
        self._port, self._name = free_port(), f"faults{os.getpid()}@localhost"
        settings = self._folder / "rabbitmq.conf"
        settings.write_text(f"listeners.tcp.1 = {address}:{self._port}\nloopback_users = none\n", encoding="ascii")
        settings.chmod(0o644)
        self.url = f"amqp://guest:guest@{address}:{self._port}//"

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8", "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(free_port()), "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia", "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }  # fmt: skip

    def _command(self) -> list[str]:
        return [*_as("rabbitmq"), str(self._server)]

    def _pid(self) -> int:
        return int((self._folder / "pid").read_text(encoding="ascii"))


class Redis(_Process):
    """A Redis that writes everything to its log, in a folder of its own."""

    def __init__(self, parent: Path, address: str) -> None:
        super().__init__()
        if shutil.which("redis-server") is None:
            raise ServiceFailed("Redis is not installed: apt-get install redis-server")
        self._folder, self._address, self._port = _own_folder(parent, "redis", "redis"), address, free_port()
        self.url = f"redis://{address}:{self._port}/0"

    def _command(self) -> list[str]:
        return [
            *_as("redis"), "redis-server", "--bind", self._address, "--port", str(self._port), "--dir",
            str(self._folder), "--appendonly", "yes", "--protected-mode", "no",
        ]  # fmt: skip

    def _pid(self) -> int:
        # `runuser` waits for its child and passes SIGTERM on, but not SIGKILL.
        with kombu.Connection(self.url) as connection:
            return int(connection.default_channel.client.info("server")["process_id"])


BROKERS: dict[str, Callable[[Path, str], RabbitMQ | Redis]] = {"rabbitmq": RabbitMQ, "redis": Redis}
