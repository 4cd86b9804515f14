"""Tests of the port at which a worker host tells its counters."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys

import pytest

from core import metrics
from core.web.counters_server import serve_counters
from core.web.server import open_socket


@pytest.fixture(scope="module")
def port() -> int:
    """The port of a server of counters that runs."""
    listener = open_socket("127.0.0.1", 0)
    serve_counters(listener)
    return int(listener.getsockname()[1])


def ask(port: int, method: str, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    connection.close()
    return found


def test_counters_are_told_as_prometheus_reads_them(port: int) -> None:
    metrics.on_effect_sent("", effect="told_by_a_worker_host")
    status, kind, text = ask(port, "GET", "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'outrigger_outbox_total{effect="told_by_a_worker_host",result="sent"} 1.0' in text
    assert ask(port, "HEAD", "/metrics") == (200, kind, "")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/metrics/x"), ("POST", "/metrics"), ("GET", "/api/v1")]
)
def test_nothing_else_is_there(port: int, method: str, path: str) -> None:
    status, _, text = ask(port, method, path)
    assert status == 404 and "Ask for /metrics" in text


def test_a_worker_whose_port_is_taken_says_so_and_does_not_start(database_url: str) -> None:
    assert outrigger(database_url, "migrate").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = outrigger(database_url, "worker", "--metrics-port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr and "--metrics-host and --metrics-port" in done.stderr


def outrigger(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import wsgi; wsgi.main()", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "OUTRIGGER_DATABASE_URL": database_url}, timeout=60,
    )  # fmt: skip
