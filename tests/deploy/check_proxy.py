"""The shipped nginx before two real web processes: what senders see of slow and large requests, and of a restart.

Run by `make deploy-check`, since it needs nginx and takes its time.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.clients import Client, Tally
from tests.deploy.proxy import PROGRAM, proxied
from tests.fleet.hosts import Host
from tests.load.databases import fresh_database, postgres_answers
from tests.load.server import configuration
from tests.load.wire import Answer, Connection, event_body, get, signed

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs nginx: apt-get install nginx-light"),
    pytest.mark.skipif(not postgres_answers(), reason="needs a PostgreSQL"),
    pytest.mark.timeout(240),
]
TOO_LARGE = 2 * 1024 * 1024
BY_ADDRESS = """
[sources.desk]
adapter = "generic"
secrets = ["env:LEDGER_SECRET"]
unit = "default"
[sources.desk.options]
auth = { kind = "header", name = "X-Token", networks = ["203.0.113.0/24"] }
type = "action"
types = { opened = "complaint.opened" }
id = "number"
"""


@dataclass
class Site:
    """nginx and the two web processes behind it."""

    port: int
    webs: list[Host]
    log: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with fresh_database("postgresql", folder) as url, contextlib.ExitStack() as stack:
        webs = [
            Host(name, "web", folder, url, configuration() + BY_ADDRESS, broker="", queue="") for name in ("a", "b")
        ]
        for web in webs:
            web._environment |= {"OUTRIGGER_PROXY_HOPS": "1"}
            stack.callback(web.end)
        webs[0].migrate()
        webs[0].apply()
        for web in webs:
            web.launch()
        for web in webs:
            web.wait_ready(patience_s=120.0)
        port = stack.enter_context(proxied(folder / "nginx", [web.port for web in webs]))
        yield Site(port, webs, folder / "nginx" / "access.log")


def post(port: int, body: bytes, *, message: str = "m-1", headers: bytes = b"") -> Answer:
    request = signed("/webhooks/crm", message, body).replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n", 1)
    return ask(port, request)


def ask(port: int, request: bytes) -> Answer:
    connection = Connection(port, patience_s=40.0)
    with contextlib.closing(connection):
        return connection.ask(request)


def test_a_webhook_passes_and_its_repetition_is_a_duplicate(site: Site) -> None:
    body = event_body("complaint.opened", "P-1", 1, 2)
    first, again = post(site.port, body), post(site.port, body)
    assert (first.status, again.status) == (202, 200)
    assert first.event_ids == again.event_ids


def test_a_body_that_is_too_large_is_refused_in_the_words_of_the_server_and_not_passed_on(site: Site) -> None:
    answer = post(site.port, b"x" * TOO_LARGE, message="large")
    assert answer.status == 413
    assert json.loads(answer.body)["code"] == "webhook.too_large"
    _until(lambda: any(line["status"] == 413 for line in _logged(site)))
    assert [line["upstream"] for line in _logged(site) if line["status"] == 413] == [""]


def test_a_sender_that_stops_in_the_middle_is_cut_off_and_holds_no_web_process(site: Site) -> None:
    """Thirty of them at once, more than a web process has threads; an ordinary sender notices nothing."""
    head = b"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", site.port), timeout=30) for _ in range(30)]
    began = time.monotonic()
    for connection in slow:
        connection.sendall(head)
    answers = []
    for number in range(50):
        started = time.monotonic()
        answer = post(site.port, event_body("complaint.opened", f"S-{number}", 1, 2), message=f"s-{number}")
        answers.append((answer.status, time.monotonic() - started))
    assert {status for status, _ in answers} == {202}
    assert max(seconds for _, seconds in answers) < 5.0
    for connection in slow:
        said = connection.recv(4096)
        assert said == b"" or b" 408 " in said
        connection.close()
    assert time.monotonic() - began < 20.0
    silent = [line for line in _logged(site) if line["status"] == 408]
    assert len(silent) == 30 and all(not line["upstream"].strip("-") for line in silent)


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_what_tells_of_the_inside_is_not_there(site: Site, path: str) -> None:
    found = get(site.port, path, patience_s=60.0)
    assert found is not None and found.status == 404
    assert (get(site.webs[0].port, path, patience_s=60.0) or found).status == 200


def test_outside_there_are_only_webhooks_links_and_life(site: Site, tmp_path: Path) -> None:
    with proxied(tmp_path / "outside", [web.port for web in site.webs], inside=["192.0.2.0/24"]) as port:
        status = {
            path: (get(port, path, patience_s=60.0) or Answer(0, b"")).status
            for path in ("/docs", "/api/v1/events", "/")
        }
        assert status == {"/docs": 404, "/api/v1/events": 404, "/": 404}
        assert (get(port, "/healthz", patience_s=60.0) or Answer(0, b"")).status == 200
        link = get(port, "/pages/quote-approval/decide/nothing", patience_s=60.0)
        assert link is not None and "<html" in link.body.decode()
    assert (get(site.port, "/docs", patience_s=60.0) or Answer(0, b"")).status == 200


def test_nobody_pretends_to_send_from_another_address(site: Site) -> None:
    body = json.dumps({"action": "opened", "number": "N-1"}).encode()
    head = (
        f"POST /webhooks/desk HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Token: {site.webs[0]._environment['LEDGER_SECRET']}\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    ).encode()
    assert ask(site.webs[0].port, head + body).status == 202, "a proxy that says so is believed"
    assert ask(site.port, head + body).status == 401, "nginx passed on what the sender wrote"


def test_a_rolling_restart_shows_no_sender_any_error(site: Site) -> None:
    tally = Tally()
    clients = [Client(number, [("127.0.0.1", site.port)], 10, 20261123, tally) for number in range(4)]
    for client in clients:
        client.start()
    stops = []
    for web in site.webs:
        _until(lambda: tally.outcomes["acknowledged"] >= 100 * (len(stops) + 1))
        stops.append(web.stop())
        _until(lambda: tally.outcomes["acknowledged"] >= 100 * (len(stops) + 1))
        before = _taken(site, web)
        web.launch()
        web.wait_ready(patience_s=120.0)
        # As the unit waits before systemd goes on: until then nginx would take both for away.
        _until(functools.partial(_takes_more, site, web, before))
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(timeout=20)
    print(f"\n{tally.outcomes['acknowledged']} acknowledged over two restarts; stops took {[s for _, s in stops]}")
    assert set(tally.outcomes) == {"acknowledged"}
    assert tally.contradictions == []
    assert [code for code, _ in stops] == [0, 0]


def test_when_no_web_process_is_left_senders_are_told_to_come_again(site: Site) -> None:
    for web in site.webs:
        web.stop()
    answer = post(site.port, event_body("complaint.opened", "P-9", 1, 2), message="m-9")
    assert (answer.status, json.loads(answer.body)["code"]) == (503, "not_ready")
    for web in site.webs:
        web.launch()
    for web in site.webs:
        web.wait_ready(patience_s=120.0)
    _until(lambda: post(site.port, event_body("complaint.opened", "P-9", 1, 2), message="m-9").status == 202)


def _until(condition: object, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _taken(site: Site, web: Host) -> int:
    """Count the requests that nginx passed on to a web process alone and that it took."""
    wanted = (f"127.0.0.1:{web.port}", "202")
    return [(line["upstream"], line["upstream_status"]) for line in _logged(site)].count(wanted)


def _takes_more(site: Site, web: Host, before: int) -> bool:
    return _taken(site, web) > before


def _logged(site: Site) -> list[dict[str, str]]:
    return [json.loads(line) for line in site.log.read_text(encoding="utf-8").splitlines()]
