"""What approvers do in the demo: decide from the link in a mail, decide at once with others, agree on a level."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.client import Client
from deploy.demo.mailbox import read_mails

BY_LINK, AT_ONCE, LEVELS, LEFT_OPEN = "QD-06", "QD-13", "QD-09", "QD-14"
"""The quotes that are decided from a link, by fifty at once, and on two levels; and one left for the reader."""

PARALLEL = 50
MAIL_S = FOLLOW_S = 15.0
_LINK = re.compile(r"http://\S+(/pages/quote-approval/decide/[A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class ByLink:
    """What came of a link: the mail it stood in, every answer, and how the request stood in between."""

    mail: Mapping[str, Any]
    scanned: tuple[int, ...]
    after_scan: str
    shown: int
    decided: int
    again: int
    after: str


@dataclass(frozen=True, slots=True)
class AtOnce:
    """What came of many decisions at once: how many got which status, and how the request stood then."""

    person: str
    statuses: Counter[int]
    after: str
    taken: int


def request_of(api: Client, quote: str) -> dict[str, Any]:
    """Return a quote's newest request with everybody who was asked. Raises RuntimeError when there is none."""
    found = api.get("/api/v1/approvals", quote=quote)["items"]
    if not found:
        raise RuntimeError(f"the quote {quote} has no request for approval")
    detail: dict[str, Any] = api.get(f"/api/v1/approvals/{found[0]['id']}")
    return detail


def mail_with_link(directory: Path, quote: str) -> tuple[Mapping[str, Any], str]:
    """Return the newest mail with a link about a quote, and the link's path. Raises RuntimeError when none comes."""
    deadline = time.monotonic() + MAIL_S
    while time.monotonic() < deadline:
        for mail in reversed(read_mails(directory)):
            link = _LINK.search(mail["text"])
            if quote in mail["subject"] and link is not None:
                return mail, link[1]
        time.sleep(0.05)
    raise RuntimeError(f"no mail with a link about {quote} has come")


def decide_by_link(api: Client, url: str, directory: Path) -> ByLink:
    """Open the link as a mail scanner does, look at it as a person does, approve, and try once more."""
    mail, path = mail_with_link(directory, BY_LINK)
    scanner, person = Client(url), Client(url)
    scanned = tuple(scanner.text(path, method).status for method in ("HEAD", "GET", "GET"))
    after_scan = request_of(api, BY_LINK)["status"]
    shown = person.text(path)
    decided = person.form(path, decision="approve", comment="按年度框架价 within the yearly agreement")
    again = person.form(path, decision="reject", comment="second thoughts")
    is_shown = shown.status == 200 and BY_LINK in shown.body.decode()
    after = request_of(api, BY_LINK)["status"]
    return ByLink(mail, scanned, after_scan, 200 if is_shown else shown.status, decided.status, again.status, after)


def decide_at_once(url: str, key: str) -> AtOnce:
    """Have fifty callers decide one request at the same moment, half of them to approve and half to reject it."""
    api = Client(url, key)
    found = request_of(api, AT_ONCE)
    person = next(row["person"] for row in found["asked"] if row["state"] == "open")
    gate, statuses = threading.Barrier(PARALLEL), Counter[int]()

    def decide(number: int) -> None:
        client = Client(url, key)
        decision = "reject" if number % 2 else "approve"
        body = {"decision": decision, "version": found["version"], "by": person, "comment": f"call {number}"}
        gate.wait()
        statuses[client.try_send("POST", f"/api/v1/approvals/{found['id']}/decisions", body).status] += 1

    run_all([threading.Thread(target=decide, args=(number,), daemon=True) for number in range(PARALLEL)])
    after = request_of(api, AT_ONCE)
    decisions = api.get("/api/v1/decisions", decision="quote_approval", record_id=AT_ONCE, limit=200)["items"]
    taken = sum(item["outcome"] in ("approved", "rejected") for item in decisions)
    return AtOnce(person, statuses, after["status"], taken)


def wait_until_followed(api: Client, quote: str) -> bool:
    """Wait until the plugin has carried out what a person decided about a quote; return whether it came to that."""
    deadline = time.monotonic() + FOLLOW_S
    while time.monotonic() < deadline:
        events = api.get("/api/v1/events", kind="quote", record_id=quote, type="quote_approval.decided")["items"]
        found = [api.get(f"/api/v1/events/{event['id']}")["deliveries"] for event in events]
        mine = [item for items in found for item in items if item["plugin"] == "quote_approval"]
        if mine and all(item["status"] == "completed" for item in mine):
            return True
        time.sleep(0.1)
    return False


def run_all(threads: Sequence[threading.Thread]) -> None:
    """Start threads and wait for all of them."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def agree_on_first_level(api: Client) -> str:
    """Have the first level of a quote with two agree; return who did."""
    found = request_of(api, LEVELS)
    asked = next(row for row in found["asked"] if row["state"] == "open")
    body = {
        "decision": "approve",
        "version": found["version"],
        "by": asked["person"],
        "comment": "战略客户 key account",
    }
    api.send("POST", f"/api/v1/approvals/{found['id']}/decisions", body)
    return str(asked["name"])
