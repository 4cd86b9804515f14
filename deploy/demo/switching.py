"""What IT does in the demo: switches a plugin off for a unit, changes a setting, goes back, and reads the trail."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deploy.demo.client import Client
from deploy.demo.place import Place
from deploy.demo.processes import run_outrigger

PLUGIN, UNIT = "quote_approval", "packaging"
SETTING, VALUE = "policies.complaint_first_response.target", "12h"
WHILE_OFF, AFTERWARDS = "QD-20", "QD-21"
LOOKS = (("config", "diff"), ("config", "history"), ("audit", "verify"))
"""What IT looks at in the end."""

PICKED_UP_S = 5.0
REASONS = {
    "on": "历史数据已导入，正式启用 the history is told, now for today's business",
    "off": "价格表更新，暂停自动审批 new price list, no approvals by rule until it is checked",
    "set": "幕墙旺季，响应提速 high season, faster answers",
    "back": "价格表已核对 the price list is checked",
}


@dataclass(frozen=True, slots=True)
class Switched:
    """What IT did and saw."""

    before: int  # the version gone back to
    skipped: list[dict[str, Any]]  # why the event of the quote sent meanwhile did not reach the plugin
    requests_while_off: int
    was_set: str  # the changed setting as the running server had it
    changes: list[str]  # the lines in which the versions before and after differ
    diff: dict[str, Any]  # plugins.toml against the version in force, at the end
    history: list[dict[str, Any]]
    verified: dict[str, Any]
    trail: list[dict[str, Any]]
    is_back: bool  # the plugin is on again and the setting as it was


def switch_on(api: Client) -> None:
    """Switch the two younger plugins on, everywhere but where plugins.toml says otherwise."""
    for plugin in ("quote_approval", "sla_escalation"):
        api.send("PATCH", f"/api/v1/plugins/{plugin}", {"enabled": True, "reason": REASONS["on"]})
    wait_for(api, "sla_escalation", UNIT, lambda found: bool(found["enabled"]))


def wait_for(api: Client, plugin: str, unit: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the running server has a plugin's settings as wanted; return them as they are then."""
    deadline = time.monotonic() + PICKED_UP_S
    while True:
        found: dict[str, Any] = api.get(f"/api/v1/units/{unit}/plugins/{plugin}")
        if is_so(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def play(place: Place, port: int, api: Client, tell: Callable[[str], None]) -> Switched:
    """Go through IT's day; `tell` sends a quote of the day and waits until it is dealt with."""

    def outrigger(*arguments: str) -> Any:
        return run_outrigger(place, port, *arguments, "--json")

    before = int(api.get("/api/v1/config/versions", limit=1)["items"][0]["number"])
    outrigger("plugins", "disable", PLUGIN, "--unit", UNIT, "--reason", REASONS["off"])
    tell(WHILE_OFF)
    skipped = skips(api, WHILE_OFF)
    while_off = len(api.get("/api/v1/approvals", quote=WHILE_OFF)["items"])
    where = ("--plugin", "sla_escalation", "--unit", "construction")
    outrigger("config", "set", SETTING, VALUE, *where, "--reason", REASONS["set"])
    changed = wait_for(api, "sla_escalation", "construction", lambda found: _target(found) == VALUE)
    changes = api.get(f"/api/v1/config/versions/{before}/diff")["diff"].splitlines()
    outrigger("config", "rollback", str(before), "--reason", REASONS["back"])
    on = wait_for(api, PLUGIN, UNIT, lambda found: bool(found["enabled"]))
    after = wait_for(api, "sla_escalation", "construction", lambda found: _target(found) != VALUE)
    with ThreadPoolExecutor(len(LOOKS)) as pool:  # each is a process of its own that mostly starts up
        looks = [pool.submit(outrigger, *words) for words in LOOKS]
        tell(AFTERWARDS)
        diff, history, verified = (look.result() for look in looks)
    return Switched(
        before=before,
        skipped=skipped,
        requests_while_off=while_off,
        was_set=_target(changed),
        changes=[line for line in changes if line[:1] in "+-" and line[:3] not in ("+++", "---") and line[1:].strip()],
        diff=diff,
        history=history["items"],
        verified=verified,
        trail=api.get("/api/v1/audit", limit=50)["items"],
        is_back=bool(on["enabled"]) and _target(after) != VALUE,
    )


def skips(api: Client, quote: str) -> list[dict[str, Any]]:
    """Return the reason why a quote's event did not reach the plugin: it was planned without, or skipped at the end."""
    event = api.get("/api/v1/events", kind="quote", record_id=quote, type="quote.submitted")["items"][0]
    detail = api.get(f"/api/v1/events/{event['id']}")
    late = [item for item in detail["deliveries"] if item["status"] == "skipped"]
    return [item for item in [*detail.get("not_delivered", []), *late] if item["plugin"] == PLUGIN]


def _target(found: dict[str, Any]) -> str:
    """Return the setting as plugins.toml gives it; nothing where the plugin's own default holds."""
    policy = found["config"].get("policies", {}).get("complaint_first_response", {})
    return str(policy.get("target", ""))
