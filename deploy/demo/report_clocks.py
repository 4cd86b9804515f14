"""Prints how the day's promises stand, why one clock stands where it stands, and who was reached how."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from deploy.demo import findings
from deploy.demo.client import Client
from deploy.demo.findings import Found
from deploy.demo.mailbox import read_mails
from deploy.demo.printing import heading, pad
from deploy.demo.robot import PER_MINUTE, read_robots

EXPECTED: Mapping[tuple[str, str], tuple[str, frozenset[str]]] = {
    ("CD-01", "complaint_first_response"): ("met", frozenset()),
    ("CD-01", "complaint_resolution"): ("met", frozenset()),
    ("CD-02", "complaint_first_response"): ("running", frozenset({"warn"})),
    ("CD-03", "complaint_first_response"): ("breached", frozenset({"warn", "breach", "level"})),
    ("CD-04", "complaint_resolution"): ("paused", frozenset()),
    ("CD-05", "quality_solution"): ("running", frozenset()),
    ("CD-06", "complaint_resolution"): ("running", frozenset()),
    ("CD-08", "complaint_resolution"): ("running", frozenset()),
    ("OD-01", "order_delay_notice"): ("running", frozenset()),
    ("OD-02", "order_delay_notice"): ("met", frozenset()),
}
"""The state of some clocks when the demo is over, and what people were told of each; no weekday changes them."""

EXPLAINED = ("CD-07", "complaint_first_response")
"""The clock that is explained in full: it runs in the plant's working hours."""

ESCALATED = "CD-03"
"""The complaint nobody has answered."""

UNKNOWN = "电话坐席-1"
"""An owner who is not in the directory."""

ROUNDABOUT = (
    ("QD-04", "lu.jingchuan@demo.example", "负责人已离职，转其上级 its owner has left, so to the manager"),
    ("QD-22", "zhou.mingyuan@demo.example", "负责人不在通讯录 its owner is no person, so to who stands behind all"),
)
"""Quotes of which somebody else than the owner is told, the address, and why."""

STATES = ("met", "missed", "running", "paused", "breached", "cancelled")


def print_clocks(api: Client, titles: dict[str, str]) -> list[str]:
    """Print the clocks by policy and the explanation of one; return what is not as it should be."""
    heading("Clocks: promises kept, running and broken 时限")
    clocks = list(findings.every(api, "/api/v1/sla/clocks"))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clock in clocks:
        counts[clock["policy"]][clock["state"]] += 1
    print("  " + pad("policy 政策", 32) + "".join(f"{state:>10}" for state in STATES))
    for policy, found in sorted(counts.items()):
        print("  " + pad(policy, 32) + "".join(f"{found[state] or '·':>10}" for state in STATES))
    by_name = {(clock["record_id"], clock["clock"]): clock for clock in clocks}
    print()
    for clock in (by_name[key] for key in EXPECTED if key in by_name):
        due = f", due {clock['due_at'][:16]}Z" if clock["due_at"] and clock["state"] != "met" else ""
        print(f"  {clock['record_id']} {clock['title']['zh']} {clock['title']['en']}: {clock['state']}{due}")
    told = [(clock, item) for clock in clocks for item in clock["told"] if item["to"]]
    print()
    for clock, item in told:
        what = {"warn": "预警 warned", "breach": "超时 breached", "level": "升级 escalated"}[item["kind"]]
        name = "" if item["kind"] == "breach" else f" {item['name']}"
        print(f"  {clock['record_id']} {clock['title']['zh']}: {what}{name} → {', '.join(item['to'])}")
    _explain(api, by_name.get(EXPLAINED), titles)
    wrong = [] if EXPLAINED in by_name else [f"{EXPLAINED[0]} has no clock {EXPLAINED[1]}"]
    for key, (state, kinds) in EXPECTED.items():
        clock = by_name.get(key, {"state": "not there", "told": []})
        heard = frozenset(item["kind"] for item in clock["told"])
        if (clock["state"], heard) != (state, kinds):
            wrong.append(f"the clock {key[1]} of {key[0]} is {clock['state']} and told {sorted(heard)}, not {state}")
    return wrong


def _explain(api: Client, clock: Found | None, titles: dict[str, str]) -> None:
    """Print one clock's own explanation, in Chinese and below it in English."""
    if clock is None:
        return
    unit = titles[clock["unit"]]
    print(f"\n  A service lead asks: why does {clock['record_id']} ({unit}) stand where it stands? 服务主管询问")
    detail = api.get(f"/api/v1/sla/clocks/{clock['id']}")
    for language in ("zh", "en"):
        print()
        for line in detail["explanation"]:
            print(f"    {line[language]}")


def print_people(api: Client, directory: Path) -> list[str]:
    """Print how many messages reached whom, and what was held back and why; return what is not as it should be."""
    heading("People reached 通知到人")
    messages = list(findings.every(api, "/api/v1/outbox", effect="notify"))
    mails, robots = read_mails(directory), read_robots(directory)
    sent = Counter(item["target"] for item in messages if item["status"] == "sent")
    kept = Counter({"mail": len(mails), **Counter(line["robot"] for line in robots)})
    for channel in sorted(sent | kept):
        print(f"  {pad(channel, 16)} sent {sent[channel]:>3}, kept by the receiver {kept[channel]:>3}")
    boxes = Counter(address.partition("@")[0] for mail in mails for address in mail["to"])
    print(f"  most mails 收件最多: {', '.join(f'{name} {number}' for name, number in boxes.most_common(5))}")
    templates = Counter(
        f"{item['plugin']}: {item['type'].partition('.')[2]}" for item in messages if item["status"] == "sent"
    )
    print(f"  about 内容: {', '.join(f'{number} {name}' for name, number in templates.most_common())}")
    for quote, address, why in ROUNDABOUT:
        print(f"  {quote}: {why} → {address}")
    held = Counter((item["status"], item["reason"]) for item in messages if item["status"] != "sent")
    for (status, reason), number in held.most_common():
        print(f"  {number} {status} 未发送: {reason}")
    print("\n  for example, in the service group 服务群:")
    example = next((line["content"] for line in robots if ESCALATED in line["content"]), "")
    for text in example.splitlines():
        print(f"    {text}")
    wrong = [
        f"{channel}: {sent[channel]} sent, {kept[channel]} received"
        for channel in sent | kept
        if sent[channel] != kept[channel]
    ]
    repeated = [name for name, number in Counter(mail["message_id"] for mail in mails).items() if number > 1]
    wrong += [f"the mail {name} came twice" for name in repeated]
    if not example:
        wrong.append(f"no robot was told of {ESCALATED}")
    if not any(status == "suppressed" and UNKNOWN in (reason or "") for status, reason in held):
        wrong.append(f"messages for {UNKNOWN}, whom nobody knows, do not say why they went to nobody")
    for quote, address, why in ROUNDABOUT:
        if [mail["to"] for mail in mails if quote in mail["subject"]] != [[address]]:
            wrong.append(f"the mail about {quote} should have gone to {address}, since {why}")
    if max(Counter(line["robot"] for line in robots).values(), default=0) > PER_MINUTE:
        wrong.append("a robot was sent more than it takes in a minute")
    open_ = [item for item in messages if item["status"] in ("retryable", "discarded")]
    return wrong + [f"the message {item['id']} did not go out: {item['reason']}" for item in open_]
