"""Plays the demo: four CRMs send at once, mistakes and forgeries among it, then a case is published and used."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.demo.client import Answer, Client
from deploy.demo.crms.erp import ErpNext
from deploy.demo.crms.hubspot import HubSpot
from deploy.demo.crms.request import Crm
from deploy.demo.crms.servicedesk import ServiceDesk
from deploy.demo.crms.standard import StandardCrm
from deploy.demo.facts import Fact, text_of
from deploy.demo.place import Place
from deploy.demo.refusals import Refusal, contradiction, refusals, rejected_items
from deploy.demo.stream import Call, plan

PATIENCE = 10
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Tally:
    """What one CRM sent and what it was told."""

    requests: int = 0
    events: int = 0
    new: int = 0
    duplicates: int = 0
    rejected: int = 0
    conflicts: int = 0
    why: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def note(self, answer: Answer, why: str = "told") -> None:
        """Count one answer; anything but 200 and 202 is unexpected here."""
        self.requests += 1
        self.why[why] += 1
        if answer.status not in (200, 202):
            self.unexpected.append(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
            return
        body = answer.json()
        self.events += len(body["event_ids"])
        self.new += body["accepted"]
        self.duplicates += body["duplicates"]
        self.rejected += body["rejected"]
        self.conflicts += body.get("conflicts", 0)


def now() -> datetime:
    """Return the time; the demo is a driver, and so may ask the system."""
    return datetime.now(UTC)


class Stage:
    """The four CRMs and the server they send to."""

    def __init__(self, place: Place, url: str) -> None:
        self.url = url
        self.crm = StandardCrm("crm", place.secret("DEMO_CRM_SECRET"))
        self.crms: dict[str, Crm] = {
            "crm": self.crm,
            "erp": ErpNext("erp", place.secret("DEMO_ERP_SECRET")),
            "hubspot": HubSpot("hubspot", place.secret("DEMO_HUBSPOT_SECRET"), url),
            "servicedesk": ServiceDesk("servicedesk", place.secret("DEMO_SERVICEDESK_TOKEN")),
        }
        self.tallies = {name: Tally() for name in self.crms}

    def send(self, facts: Sequence[Fact], progress: Progress) -> None:
        """Send facts as planned, every CRM over a connection of its own and all of them at once."""
        calls = plan(facts, {name: crm.batch for name, crm in self.crms.items()})
        done = Counter(dict.fromkeys(self.crms, 0))  # every key is there before the threads count
        threads = [
            threading.Thread(
                target=self._tell, args=(name, [call for call in calls if call.source == name], done), daemon=True
            )
            for name in self.crms
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            progress(done.total(), len(calls))
            next((thread for thread in threads if thread.is_alive()), threads[0]).join(0.1)
        progress(done.total(), len(calls))

    def _tell(self, name: str, calls: Sequence[Call], done: Counter[str]) -> None:
        client, crm, tally = Client(self.url), self.crms[name], self.tallies[name]
        try:
            for call in calls:
                tally.note(_insist(client, crm, call), call.why)
                done[name] += 1
        except (OSError, http.client.HTTPException) as error:
            tally.unexpected.append(f"{name} could not go on: {error}")

    def misbehave(self, facts: Sequence[Fact]) -> list[tuple[Refusal, int]]:
        """Send what must be refused; return each with the status it got."""
        samples = {name: next(fact for fact in facts if fact.source == name) for name in self.crms}
        client = Client(self.url)
        return [(bad, client.post(bad.request).status) for bad in refusals(self.crm, self.crms, samples, now())]

    def send_unmappable(self, facts: Sequence[Fact]) -> None:
        """Send authentic items that do not map, and another body under an id that was used before."""
        client, tally = Client(self.url), self.tallies["crm"]
        for request in rejected_items(self.crm, now()):
            tally.note(client.post(request), "unmappable")
        first = next(fact for fact in facts if fact.source == "crm" and fact.type == "lead.created")
        tally.note(client.post(contradiction(self.crm, first, now())), "contradiction")

    def echo(self, told: Sequence[Mapping[str, Any]], limit: int = 8) -> int:
        """Report values that were written back as changes of the CRM's own, as CRMs do; return how many."""
        client, tally = Client(self.url), self.tallies["crm"]
        newest: dict[str, Mapping[str, Any]] = {}
        for line in told:
            data = line["body"].get("data", {})
            is_ours = line["path"] == "/crm" and line["status"] == 204 and data.get("kind") == "lead"
            if is_ours and data["sequence"] >= newest.get(data["id"], data)["sequence"]:
                newest[data["id"]] = data
        for data in list(newest.values())[:limit]:
            body = {"type": "lead.updated", "timestamp": text_of(now()), "data": {"id": data["id"], **data["fields"]}}
            tally.note(client.post(self.crm.message(f"echo-{data['id']}", body, now())), "echo")
        return min(len(newest), limit)


def _insist(client: Client, crm: Crm, call: Call) -> Answer:
    """Send one request, and again a little later while the server says that it cannot store it now."""
    for _ in range(PATIENCE):
        answer = client.post(crm.request(call.facts, now()))
        if answer.status != 503:
            break
        time.sleep(1)
    return answer


def publish(api: Client, record_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Review and publish the cases of these complaints, as a person with the API would; return them."""
    published = []
    for record_id in record_ids:
        for case in api.get("/api/v1/cases", record_id=record_id, kind="complaint")["items"]:
            path = f"/api/v1/cases/{case['id']}"
            seen = api.send("POST", f"{path}/review", {"version": case["version"], "reason": "内容属实 checked"})
            step = {"version": seen["version"], "reason": "可供复用 worth sharing"}
            published.append(api.send("POST", f"{path}/publish", step))
    return published


def at_present(facts: Sequence[Fact]) -> list[Fact]:
    """Return a later act's facts at their time: the newest of them now, whatever the acts before took."""
    last = max(fact.at for fact in facts)
    late = now() - last
    return [replace(fact, at=fact.at + late - timedelta(seconds=1)) for fact in facts]
