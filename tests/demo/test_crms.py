"""The demo's CRMs: what they send is genuine to the real adapters and maps back to the facts they told."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import webhooks.adapters  # noqa: F401  (fills ADAPTERS)
from core.host.settings import SourceSettings
from core.model.errors import SignatureRefused
from core.model.inbound import InboundEvent, RejectedItem
from deploy.demo.crms import erp, hubspot, servicedesk, standard
from deploy.demo.facts import read_facts
from deploy.demo.place import TEMPLATE
from deploy.demo.stream import plan
from webhooks.adapter import ADAPTERS, InboundRequest, KeptHeaders

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
URL = "http://127.0.0.1:8080"
CRMS = {
    "crm": standard.StandardCrm("crm", SECRET),
    "erp": erp.ErpNext("erp", SECRET),
    "hubspot": hubspot.HubSpot("hubspot", SECRET, URL),
    "servicedesk": servicedesk.ServiceDesk("servicedesk", SECRET),
}
FACTS = read_facts(NOW)
SETTINGS = tomllib.loads(TEMPLATE.read_text(encoding="utf-8"))["sources"]


def receive(source, request, at=NOW):
    """Hand a request to the real adapter of this source, as the route does."""
    table = SETTINGS[source]
    settings = SourceSettings(slug=source, adapter=table["adapter"], options=table.get("options", {}))
    adapter = ADAPTERS[table["adapter"]](settings)
    inbound = InboundRequest(
        method="POST",
        url=URL + request.path,
        headers=KeptHeaders(request.headers),
        body=request.body,
        received_at=at,
    )
    return adapter.items(adapter.verify(inbound, [SECRET.encode()]), inbound)


def facts_of(source):
    return [fact for fact in FACTS if fact.source == source]


@pytest.mark.parametrize("source", CRMS)
def test_every_fact_is_genuine_and_maps(source):
    for fact in facts_of(source):
        for item in receive(source, CRMS[source].request([fact], NOW)):
            assert isinstance(item, InboundEvent), item.reason
            assert item.kind == fact.kind


@pytest.mark.parametrize("source", ["crm", "erp", "servicedesk"])
def test_what_a_crm_tells_comes_back_as_the_fact(source):
    for fact in facts_of(source):
        (event,) = receive(source, CRMS[source].request([fact], NOW))
        assert (event.type, event.record_id) == (fact.type, fact.record_id)
        assert abs(event.occurred_at - fact.at) < timedelta(milliseconds=1)
        for name, value in fact.data.items():
            if name not in ("extra", "status"):
                assert plain(event.data[name]) == plain(value), (fact.record_id, name)


def plain(value):
    """Compare instants and numbers by what they mean, not by how they are written."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and value[:2] == "20" and value.endswith("Z"):
        return datetime.fromisoformat(value)
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        return Decimal(value)
    return value


def test_hubspot_tells_an_object_as_its_creation_and_one_change_a_property():
    lead = next(fact for fact in facts_of("hubspot") if fact.type == "lead.created")
    events = receive("hubspot", CRMS["hubspot"].request([lead], NOW))
    assert sorted(event.type for event in events)[0] == "lead.created"
    assert {event.type for event in events} == {"lead.created", "lead.updated"}
    assert {"source": lead.data["source"]} in [{k: v for k, v in e.data.items() if k != "id"} for e in events]


def test_hubspot_tells_outcomes_as_life_cycle_facts():
    told = [fact for fact in facts_of("hubspot") if fact.index > 0]
    events = [receive("hubspot", CRMS["hubspot"].request([fact], NOW))[0] for fact in told]
    assert [event.type for event in events] == [fact.type for fact in told]


@pytest.mark.parametrize("source", CRMS)
def test_a_change_on_the_way_is_noticed(source):
    request = CRMS[source].request([facts_of(source)[0]], NOW)
    if source == "servicedesk":
        request = replace(request, headers={"Content-Type": "application/json"})
    else:
        request = request.tampered()
    with pytest.raises(SignatureRefused):
        receive(source, request)


def test_a_repeat_has_the_same_keys():
    for source, crm in CRMS.items():
        fact = facts_of(source)[0]
        first = receive(source, crm.request([fact], NOW))
        later = NOW + timedelta(minutes=1)
        second = receive(source, crm.request([fact], later), later)
        assert [item.dedupe_key for item in first] == [item.dedupe_key for item in second]


def test_no_two_facts_share_a_key():
    for source, crm in CRMS.items():
        keys = [(item.dedupe_key) for fact in facts_of(source) for item in receive(source, crm.request([fact], NOW))]
        assert len(keys) == len(set(keys)), source


def test_items_meant_to_be_rejected_are():
    from deploy.demo.refusals import rejected_items

    for request in rejected_items(CRMS["crm"], NOW):
        (item,) = receive("crm", request)
        assert isinstance(item, RejectedItem)


def test_the_plan_is_the_same_for_the_same_seed_and_another_for_another():
    batches = {name: crm.batch for name, crm in CRMS.items()}
    assert plan(FACTS, batches) == plan(FACTS, batches)
    assert plan(FACTS, batches) != plan(FACTS, batches, seed=8)


def test_the_plan_tells_every_fact_and_some_twice_and_some_late():
    batches = {name: crm.batch for name, crm in CRMS.items()}
    calls = plan(FACTS, batches)
    assert {fact.id for call in calls for fact in call.facts} == {fact.id for fact in FACTS}
    told = [fact.id for call in calls if call.why != "repeated" for fact in call.facts]
    assert len(told) == len(FACTS) == len(set(told))
    assert sum(call.why == "repeated" for call in calls) >= 10
    assert sum(call.why == "overtaken" for call in calls) >= 10


def test_an_overtaken_update_arrives_after_the_one_that_supersedes_it():
    batches = {name: crm.batch for name, crm in CRMS.items()}
    arrival = [fact for call in plan(FACTS, batches) for fact in call.facts if call.why != "repeated"]
    order = [fact.index for fact in arrival if fact.record_id == "LD-0002"]
    assert order.index(2) < order.index(1)
