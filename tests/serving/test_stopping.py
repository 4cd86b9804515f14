"""How a server starts and stops under a service manager and behind a proxy: told in time, refused at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest

from core.cli.place import Place
from core.cli.service_manager import READY, STOPPING, tell
from core.cli.web_process import _WebParts
from core.host.environment import read_environment
from core.model.errors import ConfigurationRefused
from tests.serving.served import CONFIG, Served, served
from tests.serving.test_supervision import MANIFEST
from wsgi import assembly

SLOW = '''
"""Takes its time."""

import time

from core.api import hookimpl


@hookimpl
def on_lead_created(event, ctx):
    """Work for a while."""
    time.sleep(1.5)
    return []
'''
BY_ADDRESS = """
[sources.desk]
adapter = "generic"
secrets = ["env:CRM_SECRET"]
[sources.desk.options]
auth = { kind = "header", name = "X-Token", networks = ["203.0.113.0/24"] }
type = "action"
types = { opened = "complaint.opened" }
id = "number"
"""
INSIDE, OUTSIDE = "203.0.113.9", "198.51.100.7"


class Manager:
    """What systemd is to a server: a datagram socket that hears of its state."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(30)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(str(tmp_path / "notify"))
    with contextlib.closing(found.socket):
        yield found


def test_a_service_manager_is_told_at_the_address_it_gave(tmp_path: Path, manager: Manager) -> None:
    assert tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert manager.heard() == "READY=1"
    abstract = f"outrigger-{tmp_path.name}-{time.monotonic_ns()}"
    with contextlib.closing(Manager("\0" + abstract).socket) as other:
        assert tell(STOPPING, {"NOTIFY_SOCKET": f"@{abstract}"})
        assert other.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative/path", "/nobody/listens/here"])
def test_where_nobody_asks_or_listens_nobody_is_told_and_nothing_fails(address: str) -> None:
    assert not tell(READY, {"NOTIFY_SOCKET": address})


def test_ready_means_ready_and_while_it_stops_new_connections_are_refused(tmp_path: Path, manager: Manager) -> None:
    folder = tmp_path / "more_plugins" / "slow"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""A plugin for a test."""\n')
    (folder / "plugin.py").write_text(SLOW)
    (folder / "plugin.toml").write_text(MANIFEST.format(name="slow"))
    config = CONFIG.replace("0.6", "5.0")
    server = Served(tmp_path, f"sqlite:///{tmp_path}/o.sqlite3", config, tmp_path / "more_plugins")
    server.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    try:
        server.start()
        assert manager.heard() == "READY=1"
        assert server.post("lead.created", "L-1")[0] == 202
        server.until(lambda: "slow" in _calls(server), "the plugin is called")
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert manager.heard() == "STOPPING=1"
        server.until(lambda: _is_refused(server.port), "connections are refused")
        assert server.process.poll() is None, "refused only when everything had ended"
        assert server.process.wait(timeout=30) == 0
        assert server.rows("SELECT status FROM deliveries WHERE plugin = 'slow'") == [("completed",)]
    finally:
        server.kill()


def _calls(server: Served) -> str:
    """Return what the worker sleeps in: its event is taken, and the delivery not written yet."""
    accepted = server.rows("SELECT count(*) FROM events WHERE status = 'accepted'")[0][0]
    return "slow" if accepted and server.get("/healthz")[0] == 200 else ""


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


def test_behind_a_proxy_the_sender_is_whom_the_proxy_names(tmp_path: Path) -> None:
    server = Served(tmp_path, f"sqlite:///{tmp_path}/o.sqlite3", CONFIG + BY_ADDRESS, None)
    server.environment["OUTRIGGER_PROXY_HOPS"] = "1"
    try:
        server.start()
        assert _from(server, INSIDE, "1") == 202
        assert _from(server, f"{OUTSIDE}, {INSIDE}", "2") == 202
        assert _from(server, f"{INSIDE}, {OUTSIDE}", "3") == 401, "what the sender wrote itself was believed"
        assert _from(server, None, "4") == 401
    finally:
        server.kill()


def _from(server: Served, forwarded: str | None, number: str) -> int:
    headers = {"Content-Type": "application/json", "X-Token": server.environment["CRM_SECRET"]}
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    with contextlib.closing(connection):
        connection.request("POST", "/webhooks/desk", json.dumps({"action": "opened", "number": number}), headers)
        return connection.getresponse().status


@pytest.mark.parametrize(("hops", "address"), [("0", "127.0.0.1"), ("1", OUTSIDE), ("2", INSIDE)])
def test_an_app_of_another_server_believes_as_many_proxies_as_it_is_told(
    sqlite_url: str, hops: str, address: str
) -> None:
    place = Place(assembly(), read_environment({"OUTRIGGER_DATABASE_URL": sqlite_url, "OUTRIGGER_PROXY_HOPS": hops}))
    stopped = threading.Event()
    parts = _WebParts(place, lambda lanes: None, stopped.is_set)
    try:
        app = parts.app(parts.writer.accept)
        seen: list[str | None] = []
        app.before_request(lambda: seen.append(flask.request.remote_addr))
        app.test_client().get("/healthz", headers={"X-Forwarded-For": f"192.0.2.1, {INSIDE}, {OUTSIDE}"})
        assert seen == [address]
    finally:
        stopped.set()
        parts.writer.close()


@pytest.mark.parametrize("text", ["-1", "one", "9", "1.5"])
def test_a_number_of_proxies_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationRefused, match="OUTRIGGER_PROXY_HOPS"):
        read_environment({"OUTRIGGER_PROXY_HOPS": text})


def test_the_file_of_a_server_that_was_stopped_is_the_whole_database(tmp_path: Path) -> None:
    file, copied = tmp_path / "outrigger.sqlite3", tmp_path / "copied.sqlite3"
    with served(tmp_path, f"sqlite:///{file}") as server:
        for number in range(5):
            assert server.post("lead.created", f"L{number}")[0] == 202
        assert server.stop() == 0
        shutil.copyfile(file, copied)
        assert not Path(f"{file}-wal").exists()
    with sqlite3.connect(copied) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE origin = 'crm'").fetchall() == [(5,)]
