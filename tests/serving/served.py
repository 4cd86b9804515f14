"""Starts a real `outrigger serve` in a folder of its own, talks to it as a CRM, and looks at its database."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.store.database import Database

SECRET = "whsec_" + base64.b64encode(b"an outrigger test secret, 32 byt").decode()
PROJECT = Path(__file__).resolve().parents[2]

CONFIG = """
[dispatch]
hook_time_limit_s = 0.6
egress_allow = ["127.0.0.0/8"]

[sources.crm]
adapter = "standard"
secrets = ["env:CRM_SECRET"]

[units.new_energy]
title = "新能源事业部"
match = { industry = ["ev", "photovoltaic"] }
"""


class Served:
    """One running server."""

    def __init__(self, folder: Path, database_url: str, config: str, plugins: Path | None, workers: int = 1) -> None:
        self.folder = folder
        self.database_url = database_url
        self.workers = workers
        self.config = folder / "plugins.toml"
        if not self.config.exists():
            self.config.write_text(config)
        self.environment = {
            **os.environ,
            "OUTRIGGER_DATABASE_URL": database_url,
            "OUTRIGGER_CONFIG": str(self.config),
            "OUTRIGGER_PLUGIN_DIRS": str(plugins) if plugins else "",
            "CRM_SECRET": SECRET,
            "PYTHONPATH": str(PROJECT),
        }
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._messages = 0

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one `outrigger` command in this server's environment."""
        return subprocess.run(
            [sys.executable, "-m", "wsgi", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        if not self.database_url.startswith("sqlite"):
            migrated = self.command("migrate")
            assert migrated.returncode == 0, migrated.stderr
        with self.log.open("ab") as log:
            began = self.log.stat().st_size
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wsgi", "serve", "--port", "0", "--workers", str(self.workers)],
                env=self.environment, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

        def port() -> int:
            for line in self.log.read_bytes()[began:].decode(errors="replace").splitlines():
                if line.startswith("Outrigger listens on"):
                    return int(line.rpartition(":")[2])
            return 0

        self.port = self.until(port, "the server says its port")
        self.until(lambda: self.get("/readyz")[0] == 200, "the server is ready")

    def stop(self) -> int:
        """Stop gracefully; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=35)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)

    def until(self, condition: Callable[[], Any], what: str, limit_s: float = 30.0) -> Any:
        """Poll until the condition is true, and return it; fails with the log when it never is."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                found = condition()
                if found:
                    return found
            time.sleep(0.02)
        raise AssertionError(f"waited {limit_s} s in vain until {what}\n{self.log.read_text()[-4000:]}")

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """GET a path of the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def post(self, type: str, record_id: str, *, message: str | None = None, **fields: Any) -> tuple[int, Any]:
        """Send one event as a Standard Webhooks sender."""
        self._messages += 1
        message = message or f"msg-{self._messages}"
        body = json.dumps({"type": type, "data": {"id": record_id, **fields}}, ensure_ascii=False).encode()
        stamp = str(int(time.time()))
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        digest = hmac.new(key, b".".join((message.encode(), stamp.encode(), body)), hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("POST", "/webhooks/crm", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database directly."""
        database = Database(self.database_url)
        try:
            with database.read() as connection:
                return [tuple(row) for row in connection.execute(sa.text(statement))]
        finally:
            database.close()

    def children(self) -> dict[str, int]:
        """Return the newest process id of every child, from the supervisor's log."""
        found = {}
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                record = json.loads(line)
                if record.get("event") == "started" and record.get("logger") == "outrigger.supervisor":
                    found[record["child"]] = record["pid"]
        return found


@contextlib.contextmanager
def served(
    folder: Path, database_url: str, *, config: str = CONFIG, plugins: Path | None = None, workers: int = 1
) -> Iterator[Served]:
    """Run a server for the time of a test."""
    server = Served(folder, database_url, config, plugins, workers)
    try:
        server.start()
        yield server
    finally:
        server.kill()
