"""Bodies from strangers: too large, cut short, malformed, random; the server refuses them and stays as it was."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.inbound import RejectedItem
from tests.webhooks.senders import encode, signed, sources_of_every_kind, standard_headers, standard_server
from webhooks.adapter import FAILED

LEAD = encode({"type": "lead.created", "data": {"id": "L-1", "name": "张三"}})
EVERY = sources_of_every_kind()


class CountingStream:
    """A body that says how much of it was read."""

    def __init__(self, size: int) -> None:
        self.left, self.read_bytes = size, 0

    def read(self, size: int = -1) -> bytes:
        count = self.left if size < 0 else min(size, self.left)
        self.left -= count
        self.read_bytes += count
        return b"x" * count

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)

    def readinto(self, buffer: bytearray) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("announced", [True, False])
def test_fifty_megabytes_are_refused_without_being_read(announced):
    server = standard_server()
    stream = CountingStream(50_000_000)
    environ: dict[str, object] = {
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    if announced:
        del environ["HTTP_TRANSFER_ENCODING"]
        environ["CONTENT_LENGTH"] = "50000000"
    answer = server.client.post("/webhooks/crm", environ_overrides=environ)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (413, "webhook.too_large")
    assert stream.read_bytes <= (0 if announced else 1_048_576 + 65_536)


def test_a_body_of_exactly_the_limit_is_read():
    server = standard_server()
    body = b'{"type": "lead.created", "data": {"id": "1", "note": "' + b"x" * 200_000 + b'"}}'
    body += b" " * (1_048_576 - len(body))
    assert server.post(body, standard_headers(body)).status_code == 202
    assert server.post(body + b" ", standard_headers(body)).status_code == 413


def test_a_body_shorter_than_announced_is_refused():
    server = standard_server()
    environ = {"wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "500"}
    answer = server.client.post("/webhooks/crm", environ_overrides=environ)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, "webhook.unreadable")


MALFORMED = {
    "nothing": b"",
    "truncated": LEAD[:-3],
    "text behind": LEAD + b"x",
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "nested 100,000 objects deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested 33 deep": b"[" * 33 + b"]" * 33,
    "5,000 digits": b'{"type": "lead.created", "data": {"id": ' + b"9" * 5_000 + b"}}",
    "5,000 decimals": b'{"type": "lead.created", "data": {"id": "1", "budget": 0.' + b"9" * 5_000 + b"}}",
    "1e999999": b'{"type": "lead.created", "data": {"id": "1", "budget": 1e999999}}',
    "NaN": b'{"type": "lead.created", "data": {"id": "1", "budget": NaN}}',
    "-Infinity": b'{"budget": -Infinity}',
    "duplicate keys": b'{"type": "lead.created", "type": "lead.lost", "data": {"id": "1"}}',
    "NUL": b'{"type": "lead.created", "data": {"id": "1\\u0000"}}',
    "raw NUL": b'{"type": "lead.created", "data": {"id": "1\x00"}}',
    "lone surrogate": b'{"type": "lead.created", "data": {"id": "\\ud800"}}',
    "UTF-16": LEAD.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + LEAD,
    "not UTF-8": b'{"type": "\xff"}',
    "10,001 keys": encode({str(number): 1 for number in range(10_001)}),
    "a huge string": b'{"type": "' + b"x" * 300_000 + b'"}',
    "a huge key": b'{"' + b"x" * 300_000 + b'": 1}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_an_unreadable_body_gets_400_and_leaves_nothing_behind(name):
    server = standard_server()
    answer = server.post(MALFORMED[name], standard_headers(MALFORMED[name]))
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, "webhook.unreadable")
    assert len(answer.data) < 4_096
    assert server.inbox.items == []


def test_an_unsigned_unreadable_body_is_not_even_read():
    server = standard_server()
    assert server.post(MALFORMED["NaN"], {"Content-Type": "application/json"}).status_code == 401


KEYS = st.sampled_from(
    ["type", "data", "id", "timestamp", "version", "doctype", "event", "name", "modified", "docstatus", "status",
     "items", "subscriptionType", "objectId", "objectTypeId", "occurredAt", "propertyName", "propertyValue", "rows",
     "a", "b", "t", "x", "y", "z", "extra", "contact", "lines", "amount", "valid_till", "deal_value"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["lead.created", "quote.updated", "Lead", "Quotation", "Issue", "on_submit", "Lost", "object.propertyChange",
     "deal.propertyChange", "deal.merge", "ticket.creation", "0-5", "0-136", "2026-11-22 08:00:00", "1e999999",
     "amount", "dealstage", "createdate", "", "2026-02-30", "99999999999999999999", "9999-12-31", "0001-01-01"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WORDS | st.text(max_size=8) | st.floats(
        allow_nan=False, allow_infinity=False, min_value=-1e20, max_value=1e20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(source=st.sampled_from(["standard", "frappe", "hubspot", "generic"]), document=JSON)
def test_whatever_an_authentic_sender_sends_is_stored_or_refused_and_never_breaks_the_server(source, document):
    server = EVERY
    body = json.dumps(document).encode("utf-8", "surrogatepass")
    answer = server.post(body, signed(source, body), source=source)
    assert answer.status_code in (200, 202, 400), answer.data
    assert not [item for item in EVERY.inbox.items if isinstance(item, RejectedItem) and FAILED in item.reason]
    EVERY.inbox.items.clear()
    assert len(answer.data) < 100_000


@settings(max_examples=200, deadline=None)
@given(source=st.sampled_from(["standard", "frappe", "hubspot", "generic"]), body=st.binary(max_size=200))
def test_random_bytes_never_break_the_server(source, body):
    assert EVERY.post(body, signed(source, body), source=source).status_code in (200, 202, 400)
    assert EVERY.post(body, {}, source=source).status_code == 401
