"""HubSpot: batches of thin notices, in the generic and the older form, under its three kinds of signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.host.settings import SourceSettings
from core.model.errors import ItemRejected, SignatureRefused, did_you_mean
from core.model.events import Completeness
from core.model.inbound import InboundEvent, inbound_event
from core.model.instants import from_micros
from webhooks.adapter import Adapter, Fault, InboundRequest, register_adapter
from webhooks.adapters.hubspot_tables import CREATED, KINDS, OBJECT_TYPES, PROPERTIES, STAGES
from webhooks.mapping import canonical_instant, flat, instant_fields, object_of, put
from webhooks.option_faults import field_table_faults, kind_table_faults, type_table_faults, unknown_keys
from webhooks.verifiers.known import HUBSPOT_V1, HUBSPOT_V2, HUBSPOT_V3

_KEY = ("portalId", "subscriptionId", "eventId", "objectId", "occurredAt", "propertyName")
_ASSOCIATION = ("fromObjectId", "toObjectId", "associationType", "associationRemoved")
"""What tells associations apart: their notices have no `objectId`, and an `eventId` need not be unique."""

_LATEST_MS = 7_258_118_400_000  # the year 2200


@register_adapter("hubspot")
class HubSpotAdapter(Adapter):
    """A HubSpot app's webhooks. A notice carries one property or only an id; the rest stays unknown."""

    def __init__(self, source: SourceSettings) -> None:
        super().__init__(source)
        options = source.options
        self._only_v3 = options.get("signature") == "v3"
        self._kinds = {name: KINDS[name] for name in options.get("objects", KINDS)}
        first = {kind: name for name, kind in reversed(self._kinds.items())}
        self._prefix = {name: "" if first[kind] == name else f"{name}-" for name, kind in self._kinds.items()}
        self._fields: dict[str, dict[str, list[str]]] = {}
        self._stages: dict[str, dict[str, str]] = {}
        for name in self._kinds:
            self._fields[name] = {}
            own = flat(options.get("properties", {}).get(name, {}))
            for ours, theirs in {**PROPERTIES[name], **own}.items():
                self._fields[name].setdefault(theirs, []).append(ours)
            self._stages[name] = {**STAGES.get(name, {}), **options.get("stages", {}).get(name, {})}

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> list[Fault]:
        """Return every fault of `signature`, `objects`, `properties` and `stages`."""
        faults = unknown_keys(options, ("signature", "objects", "properties", "stages"))
        if options.get("signature", "any") not in ("any", "v3"):
            faults.append({"path": "signature", "message": 'Either "v3", or "any" to take the older ones as well.'})
        objects = options.get("objects", [])
        if not isinstance(objects, (list, tuple)) or not all(isinstance(name, str) for name in objects):
            faults.append({"path": "objects", "message": f"This must be a list of some of {', '.join(KINDS)}."})
        else:
            faults += unknown_keys(dict.fromkeys(objects), KINDS, "objects.")
        faults += kind_table_faults(options.get("stages", {}), KINDS, "stages", type_table_faults)
        return faults + kind_table_faults(options.get("properties", {}), KINDS, "properties", field_table_faults)

    def verify(self, request: InboundRequest, secrets: Sequence[bytes]) -> bytes:
        """Verify version 3 where it was sent, else the version the request names, unless only 3 is wanted."""
        if self._only_v3 or request.header("X-HubSpot-Signature-v3"):
            return HUBSPOT_V3.verify(request, secrets)
        version = request.header("X-HubSpot-Signature-Version") or b"v1"
        if version == b"v2":
            return HUBSPOT_V2.verify(request, secrets)
        if version == b"v1":
            return HUBSPOT_V1.verify(request, secrets)
        raise SignatureRefused("X-HubSpot-Signature-Version names no version that is known here.")

    def split(self, document: Any) -> list[Any]:
        """Take a batch as its notices."""
        return document if isinstance(document, list) else [document]

    def type_of(self, item: Any) -> str:
        """Show a rejected notice by its subscription."""
        found = item.get("subscriptionType", item.get("eventType")) if isinstance(item, dict) else None
        return found[:80] if isinstance(found, str) else ""

    def event(self, item: Any, request: InboundRequest) -> InboundEvent:
        """Map one notice: a creation knows the id alone, a change one property more."""
        notice = object_of(item)
        name, action = self._subject(notice)
        millis = notice.get("occurredAt")
        if not isinstance(millis, int) or isinstance(millis, bool) or not 0 <= millis <= _LATEST_MS:
            raise ItemRejected("occurredAt: a time in milliseconds since 1970 is expected.")
        event_type, data, completeness = self._fact(name, action, notice)
        record_id = notice.get("newObjectId", notice.get("objectId"))
        key: tuple[str, ...] = _KEY
        if action == "associationChange":
            record_id, key = notice.get("fromObjectId", record_id), _KEY + _ASSOCIATION
        if not isinstance(record_id, (int, str)) or isinstance(record_id, bool):
            raise ItemRejected("objectId: the id of the record is expected.")
        return inbound_event(
            source=self.source.slug,
            type=event_type,
            data=data | {"id": f"{self._prefix[name]}{record_id}"},
            dedupe_key="hs:" + "|".join(str(notice.get(part, ""))[:200] for part in key),
            occurred_at=from_micros(millis * 1000),
            occurred_at_original=str(millis),
            completeness=completeness,
        )

    def _subject(self, notice: dict[str, Any]) -> tuple[str, str]:
        subscription = self.type_of(notice)
        name, _, action = subscription.partition(".")
        if name == "object":
            type_id = str(notice.get("objectTypeId", notice.get("fromObjectTypeId", "")))
            name = OBJECT_TYPES.get(type_id, f"object type {type_id[:40]}")
        if name not in self._kinds or not action:
            hint = did_you_mean(name, self._kinds)
            raise ItemRejected(f'The subscription "{subscription}" is about {name or "nothing"}, not mapped.{hint}')
        return name, action

    def _fact(self, name: str, action: str, notice: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
        kind = self._kinds[name]
        if action == "creation":
            return CREATED[name], {}, Completeness.ID_ONLY
        if action == "propertyChange":
            return self._change(name, notice)
        if action in ("deletion", "privacyDeletion", "restore"):
            return f"{kind}.updated", {"extra": {"deleted": action != "restore"}}, Completeness.DELTA
        if action == "merge":
            merged = notice.get("mergedObjectIds")
            return f"{kind}.updated", {"extra": {"merged_object_ids": merged}}, Completeness.DELTA
        if action == "associationChange" and str(notice.get("associationType", "")).endswith("_TO_COMPANY"):
            customer = None if notice.get("associationRemoved") is True else notice.get("toObjectId")
            return f"{kind}.updated", {"customer_id": customer}, Completeness.DELTA
        raise ItemRejected(f'The subscription "{self.type_of(notice)}" is not mapped; switch it off in the app.')

    def _change(self, name: str, notice: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
        kind = self._kinds[name]
        theirs, value = notice.get("propertyName"), notice.get("propertyValue")
        if not isinstance(theirs, str) or not theirs or "propertyValue" not in notice:
            raise ItemRejected("propertyName and propertyValue are expected in a change.")
        value = None if value == "" else value  # HubSpot clears a property by an empty text
        data: dict[str, Any] = {}
        ours = self._fields[name].get(theirs, [f"extra.{theirs[:200]}"])
        for path in ours:
            is_time = path in instant_fields(kind) and value is not None
            put(data, path, canonical_instant(path, value, None) if is_time else value)
        event_type = f"{kind}.updated"
        if "status" in ours and isinstance(value, str):
            event_type = self._stages[name].get(value, event_type)
        return event_type, data, Completeness.DELTA
