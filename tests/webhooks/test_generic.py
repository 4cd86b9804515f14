"""The `generic` adapter: senders described in plugins.toml alone."""

from __future__ import annotations

import base64
import hmac
import tomllib
from typing import Any

import pytest

from core.host.settings import SourceSettings
from core.model.errors import ConfigurationRefused, SignatureRefused
from core.model.inbound import InboundEvent, RejectedItem
from tests.webhooks.senders import NOW, encode, inbound, mapped, one_event, one_rejected
from webhooks import ADAPTERS, check_source

OPTIONS = tomllib.loads("""
type = "event"
id = "lead.id"
event_id = "message"
version = "lead.updated"
occurred_at = "at"
timezone = "Asia/Shanghai"
types = { "lead.new" = "lead.created", "lead.edit" = "lead.updated", "offer.sent" = "quote.submitted" }
[fields]
company = "lead.firm"
"contact.email" = "lead.mail"
contact.phone = "lead.phones[0]"
created_at = "lead.born"
amount = "lead.sum"
products = "lead.wants"
""")

BODY: dict[str, Any] = {
    "event": "lead.new",
    "message": "m-1",
    "at": "2026-11-22 15:30:00",
    "lead": {
        "id": 17,
        "firm": "华东铝业",
        "mail": "a@example.com",
        "phones": ["138"],
        "born": "2026-11-22",
        "wants": ["6061"],
        "updated": "2026-11-22T15:30:00+08:00",
        "score": 1.5,
    },
    "tags": ["展会"],
}


def test_expressions_map_a_body_and_what_none_of_them_reads_is_kept_in_extra():
    event = one_event("generic", BODY, OPTIONS)
    assert (event.type, event.record_id, event.dedupe_key) == ("lead.created", "17", "m-1")
    assert event.occurred_at.isoformat() == "2026-11-22T07:30:00+00:00"
    same_instant = {**BODY, "lead": {**BODY["lead"], "updated": "2026-11-22T07:30:00Z"}}
    assert event.version == one_event("generic", same_instant, OPTIONS).version
    assert event.data == {
        "id": "17",
        "company": "华东铝业",
        "contact": {"email": "a@example.com", "phone": "138"},
        "created_at": "2026-11-21T16:00:00Z",
        "products": ["6061"],
        "extra": {"lead": {"score": "1.5"}, "tags": ["展会"]},
    }


def test_a_field_the_sender_left_out_is_not_nulled_and_one_it_sent_as_null_is():
    body = {"event": "lead.edit", "lead": {"id": 1, "mail": None}}
    assert one_event("generic", body, OPTIONS).data == {"id": "1", "contact": {"email": None}}


def test_one_bad_item_of_a_batch_does_not_cost_the_others():
    options = {"items": "rows", "type": "'complaint.opened'", "id": "no", "fields": {"subject": "title"}}
    good, bad, text, last = mapped(
        "generic", {"rows": [{"no": 1, "title": "划伤"}, {"title": "x"}, "text", {"no": 2}]}, options
    )
    assert isinstance(good, InboundEvent)
    assert isinstance(last, InboundEvent)
    assert (good.record_id, last.record_id) == ("1", "2")
    assert isinstance(bad, RejectedItem)
    assert bad.raw == '{"title":"x"}'
    assert "finds no id" in bad.reason
    assert isinstance(text, RejectedItem)
    assert "not a JSON object" in text.reason


def test_the_envelope_gives_each_item_what_stands_once_in_the_body():
    options = {
        "items": "ids",
        "envelope": ["module", "operation"],
        "type": "join('.', [module, operation])",
        "types": {"Leads.insert": "lead.created", "Cases.update": "complaint.updated"},
        "id": "value",
        "completeness": "id_only",
        "auth": {"kind": "body", "name": "token"},
    }
    items = mapped("generic", {"module": "Leads", "operation": "insert", "ids": ["a", "b"], "token": "s3cret"}, options)
    assert [item.record_id for item in items if isinstance(item, InboundEvent)] == ["a", "b"]
    assert all("s3cret" not in str(item) for item in items)
    (rejected,) = mapped("generic", {"module": "X", "ids": 5, "token": "s3cret"}, options)
    assert isinstance(rejected, RejectedItem)


def test_the_token_in_a_body_is_never_stored():
    options = {"type": "'lead.created'", "id": "id", "auth": {"kind": "body", "name": "auth.token"}}
    document = {"id": "1", "auth": {"token": "s3cret", "by": "crm"}}
    assert one_event("generic", document, options).data == {"id": "1", "extra": {"auth": {"by": "crm"}}}
    assert "s3cret" not in str(one_rejected("generic", {"auth": {"token": "s3cret"}}, options))
    assert "s3cret" not in str(one_rejected("generic", {"auth": {"token": "s3cret"}}, {**options, "items": "rows"}))


def test_without_an_event_id_equal_updates_collapse_and_different_ones_do_not():
    options = {"type": "'lead.updated'", "id": "id", "fields": {"city": "city"}}
    first = one_event("generic", {"id": 1, "city": "苏州"}, options)
    again = one_event("generic", {"id": 1, "city": "苏州"}, options)
    other = one_event("generic", {"id": 1, "city": "无锡"}, options)
    assert first.dedupe_key == again.dedupe_key != other.dedupe_key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": "lead.nwe"}, 'Did you mean "lead.new"?'),
        ({"event": None}, "finds no type"),
        ({"event": ["a"]}, "neither a text nor a whole number"),
        ({"at": "soon"}, "options.occurred_at"),
        ({"lead": {"id": 1, "wants": "6061"}}, "lead.products"),
        ({"lead": {"id": 1, "born": "31.12.2026"}}, "lead.created_at"),
    ],
)
def test_an_item_that_does_not_map_says_which_option_did_not_fit(change, reason):
    assert reason in one_rejected("generic", {**BODY, **change}, OPTIONS).reason


def test_an_expression_that_cannot_run_on_an_item_rejects_the_item():
    item = one_rejected("generic", {"id": 1, "n": "x"}, {"type": "'lead.created'", "id": "abs(n)"})
    assert item.reason.startswith("options.id: `abs(n)` cannot be worked out")


def test_amounts_that_an_expression_computes_stay_decimals():
    options = {"type": "'quote.submitted'", "id": "id", "fields": {"amount": "to_number(sum)"}}
    assert one_event("generic", {"id": 1, "sum": "10.25"}, options).data["amount"] == "10.25"


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "options.type"),
        ({"type": "a", "id": "b.", "fields": {}}, "options.id"),
        ({"type": "a", "id": "b", "fields": {"contact.mail": "c"}}, "options.fields.contact.mail"),
        ({"type": "a", "id": "b", "fields": {"company": "c["}}, "options.fields.company"),
        ({"type": "a", "id": "b", "fields": ["c"]}, "options.fields"),
        ({"type": "a", "id": "b", "types": {"x": "lead.craeted"}}, "options.types.x"),
        ({"type": "a", "id": "b", "typs": {}}, "options.typs"),
        ({"type": "a", "id": "b", "timezone": "Asia/Shanghia"}, "options.timezone"),
        ({"type": "a", "id": "b", "envelope": "module"}, "options.envelope"),
        ({"type": "a", "id": "b", "auth": "token"}, "options.auth"),
        ({"type": "a", "id": "b", "auth": {"kind": "hamc"}}, "options.auth.kind"),
        ({"type": "a", "id": "b", "auth": {"kind": "hmac"}}, "options.auth.name"),
        ({"type": "a", "id": "b", "auth": {"kind": "hmac", "name": "X", "digest": "md5"}}, "options.auth.digest"),
        ({"type": "a", "id": "b", "auth": {"kind": "hmac", "name": "X", "content": "x"}}, "options.auth.content"),
        (
            {"type": "a", "id": "b", "auth": {"kind": "hmac", "name": "X", "timestamp_header": "T"}},
            "options.auth.timestamp_header",
        ),
        ({"type": "a", "id": "b", "auth": {"kind": "network", "networks": ["10.0.0.1/8"]}}, "options.auth.networks"),
        ({"type": "a", "id": "b", "auth": {"kind": "network"}}, "options.auth.networks"),
        ({"type": "a", "id": "b", "auth": {"kind": "header", "nmae": "X"}}, "options.auth.nmae"),
    ],
)
def test_faults_of_the_options_are_found_before_they_are_applied(options, path):
    source = SourceSettings("crm", "generic", ("env:TOKEN",), options=options)
    assert path in [fault["path"] for fault in check_source(source)]
    with pytest.raises(ConfigurationRefused):
        ADAPTERS["generic"](source)


def test_a_source_needs_a_known_adapter_and_secrets_that_are_references():
    (fault,) = check_source(SourceSettings("crm", "standrad"))
    assert fault == {"path": "adapter", "message": 'There is no adapter "standrad". Did you mean "standard"?'}
    (fault,) = check_source(SourceSettings("crm", "standard"))
    assert fault["path"] == "secrets"
    (fault,) = check_source(SourceSettings("crm", "standard", ("hunter2-hunter2",)))
    assert fault["path"] == "secrets[0]"
    assert "hunter2" not in fault["message"]
    (fault,) = check_source(SourceSettings("crm", "standard", ("env:A",), options={"x": 1}))
    assert fault["path"] == "options.x"
    network = {"type": "a", "id": "b", "auth": {"kind": "network", "networks": ["192.0.2.0/24"]}}
    assert check_source(SourceSettings("crm", "generic", options=network)) == []


SIGNED = {
    "kind": "hmac",
    "name": "X-Sig",
    "digest": "sha512",
    "encoding": "base64",
    "prefix": "v0=",
    "content": "{timestamp}:{method}:{url}:{body}",
    "timestamp_header": "X-Time",
    "networks": ["192.0.2.0/24"],
}


def test_a_configured_hmac_covers_what_its_content_says():
    options = {"type": "'lead.created'", "id": "id", "auth": SIGNED}
    adapter = ADAPTERS["generic"](SourceSettings("crm", "generic", ("env:TOKEN",), options=options))
    body, at = encode({"id": 1}), str(int(NOW.timestamp()))
    url = "https://outrigger.example.com/webhooks/crm?a=%3A"
    content = f"{at}:POST:{url}:".encode() + body
    signature = "v0=" + base64.b64encode(hmac.digest(b"k", content, "sha512")).decode()
    headers = {"X-Sig": signature, "X-Time": at}
    assert adapter.verify(inbound(body, headers, url=url), [b"k"]) == body
    for refused in (
        inbound(body, headers, url=url + "x"),
        inbound(body, headers, url=url, remote_addr="203.0.113.5"),
        inbound(body + b" ", headers, url=url),
        inbound(body, {**headers, "X-Sig": signature[3:]}, url=url),
        inbound(body, {"X-Sig": signature}, url=url),
    ):
        with pytest.raises(SignatureRefused):
            adapter.verify(refused, [b"k"])


def test_without_an_auth_table_a_bearer_token_is_expected():
    adapter = ADAPTERS["generic"](SourceSettings("crm", "generic", options={"type": "a", "id": "b"}))
    assert adapter.verify(inbound(b"{}", {"Authorization": "Bearer t"}), [b"t"]) == b"{}"
    with pytest.raises(SignatureRefused):
        adapter.verify(inbound(b"{}", {"Authorization": "Bearer "}), [b"t"])
