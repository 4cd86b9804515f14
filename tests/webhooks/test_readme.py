"""What the README shows is run: the request by openssl and curl, the options, the adapter for a new sender."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import tomllib
from pathlib import Path

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

import webhooks
from core.host.settings import SourceSettings
from core.model.inbound import InboundEvent
from core.time.clock import SystemClock
from tests.webhooks.senders import NOW, SECRET, Server, inbound
from webhooks import ADAPTERS, check_source
from webhooks.adapter import Adapter

README = (Path(webhooks.__file__).parent / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class QuietHandler(WSGIRequestHandler):
    """Serves without a line of log for each request."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_request_in_the_readme_is_accepted_as_it_stands():
    (script,) = fenced("sh")
    assert SECRET.decode() in script
    server = Server({"website": SourceSettings("website", "standard", ("s",))}, {"s": SECRET})
    server.clock.move_to(SystemClock().now())
    listener = make_server("127.0.0.1", 0, server.app, request_handler=QuietHandler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        done = subprocess.run(
            ["sh", "-eu", "-c", script.replace("127.0.0.1:8080", f"127.0.0.1:{listener.port}")],
            capture_output=True,
            check=True,
            timeout=30,
        )
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
    answer = json.loads(done.stdout)
    assert (answer["accepted"], len(answer["event_ids"])) == (1, 1)
    (item,) = server.inbox.items
    assert isinstance(item, InboundEvent)
    assert item.data["company"] == "华东铝业"


def test_every_configuration_in_the_readme_has_no_fault():
    for text in fenced("toml"):
        for slug, table in tomllib.loads(text)["sources"].items():
            source = SourceSettings(slug, table["adapter"], tuple(table["secrets"]), options=table.get("options", {}))
            assert check_source(source) == []
            assert isinstance(ADAPTERS[source.adapter](source), Adapter)


def test_the_adapter_for_a_new_sender_in_the_readme_works():
    (code,) = fenced("python")
    assert len(code.splitlines()) < 60
    try:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        adapter = ADAPTERS["twenty"](SourceSettings("crm", "twenty", ("env:S",)))
    finally:
        ADAPTERS.pop("twenty", None)
    record = {"id": "r1", "name": "张三", "stage": "WON", "updatedAt": "2026-11-22T07:00:00Z"}
    body = json.dumps({"eventName": "opportunity.updated", "eventDate": "2026-11-22T07:00:00Z", "record": record})
    (event,) = adapter.items(body.encode(), inbound(body.encode(), at=NOW))
    assert isinstance(event, InboundEvent)
    assert (event.type, event.record_id, event.data["status"]) == ("quote.updated", "r1", "WON")


def test_every_error_code_of_the_routes_stands_in_the_readme():
    for code in (
        "webhook.unreadable",
        "webhook.signature",
        "webhook.unknown_source",
        "webhook.too_large",
        "webhook.media_type",
        "storage.unavailable",
        "storage.uncertain",
        "secret.unavailable",
        "source.misconfigured",
    ):
        assert f"`{code}`" in README
