"""One name in five places: an event's type, its hook, the class of its data, its example and its heading."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import core.model
from core.host import hookspecs
from core.model.errors import ItemRejected
from core.model.events import EVENT_TYPES, PAYLOADS, Completeness, event_id, kind_of, lane_of
from core.model.inbound import inbound_event
from core.model.instants import parse_instant
from core.model.records import KINDS, TimerDue, UnitChange
from core.model.schemas import builder_for, validate_record
from core.testing.events import event_from_body

EXAMPLES = Path(core.model.__file__).parent / "examples"
README = Path(__file__).parents[2] / "plugins" / "README.md"
SENT = [name for name, item in EVENT_TYPES.items() if item.kind is not None]

EVENT_ID = "evt_71315c14b199cbc743432e7cc30f8f38"
LANES = [88, 206, 116, 226, 65, 215]


def example(name: str) -> dict[str, Any]:
    return json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_type_has_a_hook_a_class_an_example_and_a_heading(name: str) -> None:
    item = EVENT_TYPES[name]
    assert item.name == name and re.fullmatch(r"[a-z]+\.[a-z_]+", name)
    hook = getattr(hookspecs, item.hook)
    assert item.hook == "on_" + name.replace(".", "_") and hook.__doc__
    assert PAYLOADS[name] is (KINDS[item.kind] if item.kind else {"timer.due": TimerDue}.get(name, UnitChange))
    assert example(name)["type"] == name
    assert f"{item.hook}(event, ctx)" in README.read_text(encoding="utf-8")
    assert item.summary.endswith(".")


def test_nothing_but_the_canonical_types_has_an_example() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == set(EVENT_TYPES)


def test_every_hook_for_an_event_maps_back_to_its_type() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("on_")} - {"on_event", "on_own_event"}
    assert hooks == {item.hook for item in EVENT_TYPES.values()}


@pytest.mark.parametrize("name", SENT)
def test_an_example_is_what_a_crm_may_send(name: str) -> None:
    body = example(name)
    assert set(body) == {"type", "timestamp", "data"}
    fields = dict(body["data"])
    event = inbound_event(
        source="crm", type=name, version=fields.pop("version"), completeness=fields.pop("completeness", None),
        data=fields, dedupe_key="1", occurred_at=parse_instant(body["timestamp"]),
    )  # fmt: skip
    assert event.kind == EVENT_TYPES[name].kind
    assert validate_record(event.kind, event.data) == event.data
    record = builder_for(KINDS[event.kind])(event.data)
    assert record.id == fields["id"]
    unmapped = set(fields) - set(KINDS[event.kind].__dataclass_fields__)
    assert not unmapped, "an example shows the vocabulary; what it does not know belongs into its extra"


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_example_reads_as_the_event_a_handler_sees(name: str) -> None:
    event = event_from_body(example(name))
    assert event.type == name and isinstance(event.data, PAYLOADS[name])
    assert event.record_id == example(name)["data"]["id"]


def test_the_examples_use_every_field_of_the_records_a_crm_sends() -> None:
    used: dict[str, set[str]] = {}
    for name in SENT:
        used.setdefault(name.partition(".")[0], set()).update(example(name)["data"])
    ours = {"score", "grade"}  # set by plugins, not by a CRM
    for kind, record in KINDS.items():
        missing = set(record.__dataclass_fields__) - used[kind] - ours
        assert missing <= {"extra", "currency", "industry", "region", "version"}, f"{kind}: {missing}"


def test_an_unknown_type_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ItemRejected, match=r'Did you mean "complaint.opened"'):
        kind_of("complaint.opend")


@pytest.mark.parametrize(
    "name", ["timer.due", "record.unit_changed", "lead_scoring.graded", "lead", "", "lead.created "]
)
def test_a_crm_may_send_canonical_types_alone(name: str) -> None:
    with pytest.raises(ItemRejected, match="no event type a CRM may send"):
        kind_of(name)


def test_an_opening_fact_is_taken_as_full_and_others_as_deltas() -> None:
    found = {
        name: inbound_event(
            source="crm", type=name, data={"id": "1"}, dedupe_key="1", occurred_at=parse_instant("2026-01-01T00:00:00Z")
        ).completeness
        for name in SENT
    }
    full = {name for name, completeness in found.items() if completeness is Completeness.FULL}
    assert full == {"lead.created", "quote.submitted", "order.placed", "complaint.opened"}


def test_an_event_keeps_the_id_and_the_lane_that_earlier_releases_gave_it() -> None:
    assert event_id("erp", "message-1") == EVENT_ID
    assert [lane_of("erp", "lead", f"L{number}") for number in range(6)] == LANES


def test_ids_of_two_sources_never_meet() -> None:
    assert event_id("a", "b\x1fc") != event_id("a\x1fb", "d") and event_id("erp", "1") != event_id("crm", "1")


def test_lanes_are_used_evenly() -> None:
    counts = [0] * 256
    for number in range(25_600):
        counts[lane_of("erp", "lead", f"LEAD-{number}")] += 1
    assert min(counts) > 50 and max(counts) < 160
