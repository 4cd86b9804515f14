"""Prints how the day's quotes were routed and decided: by rule, by people, from a link, by fifty at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from deploy.demo import findings
from deploy.demo.approving import AT_ONCE, BY_LINK, LEVELS, PARALLEL, AtOnce, ByLink, request_of
from deploy.demo.client import Client
from deploy.demo.findings import Found
from deploy.demo.printing import heading, pad

EXPECTED: Mapping[str, tuple[str, str]] = {
    "QD-01": ("returned", "incomplete"),
    "QD-02": ("approved", "low_risk"),
    "QD-03": ("approved", "low_risk"),
    "QD-04": ("returned", "incomplete"),
    "QD-05": ("approved", "low_risk"),
    "QD-06": ("approved", "tier_a"),
    "QD-07": ("pending", "everything_else"),
    "QD-08": ("pending", "everything_else"),
    "QD-09": ("pending", "deep_discount"),
    "QD-10": ("pending", "hardly_any_margin"),
    "QD-11": ("pending", "everything_else"),
    "QD-12": ("pending", "everything_else"),
    "QD-14": ("pending", "tier_a"),
    "QD-15": ("pending", "foreign_currency"),
    "QD-16": ("approved", "low_risk"),
    "QD-17": ("approved", "low_risk"),
    "QD-18": ("approved", "low_risk"),
    "QD-19": ("approved", "low_risk"),
    "QD-21": ("approved", "low_risk"),
    "QD-22": ("returned", "incomplete"),
}
"""The status and the rule of each of the day's quotes when the demo is over; QD-13 goes either way."""

STATUSES = {
    "returned": "退回 returned",
    "approved": "批准 approved",
    "pending": "审批中 in approval",
    "rejected": "驳回 rejected",
    "void": "作废 void",
}
CHANGED, ABSENT = "QD-11", "QD-12"


def print_quotes(api: Client, agreed: str, told: list[Found]) -> list[str]:
    """Print every quote of the day with its rule and whom it went to; return what is not as it should be."""
    heading("Quotes: returned, approved by rule, or sent to the right people 报价审批")
    requests = list(findings.every(api, "/api/v1/approvals"))
    newest: dict[str, Found] = {}
    for item in requests:
        newest.setdefault(item["quote"], item)  # the list is newest first
    details = {name: request_of(api, name) for name in sorted(newest)}
    _print_table(details)
    _print_counts(details)
    _print_examples(api, details, agreed)
    wrong = [
        f"{name} is {details[name]['status']} by {details[name]['rule']}, not {status} by {rule}"
        for name, (status, rule) in EXPECTED.items()
        if name in details and (details[name]["status"], details[name]["rule"]) != (status, rule)
    ]
    wrong += [f"{name} has no request" for name in EXPECTED if name not in details]
    return wrong + _wrong_examples(requests, details) + _untold(details, told)


def _print_table(details: Mapping[str, Found]) -> None:
    print("  " + pad("quote 报价", 12) + pad("status 状态", 20) + pad("rule 规则", 19) + "asked 审批人")
    for name, item in details.items():
        is_returned = item["status"] == "returned"
        asked = _names(item) or ("; ".join(_missing(item)) if is_returned else "–")
        print("  " + pad(name, 12) + pad(STATUSES[item["status"]], 20) + pad(item["rule"], 19) + asked)


def _names(item: Found) -> str:
    """Name those who were asked, level by level; a tick for who agreed."""
    levels: dict[int, list[str]] = {}
    for row in item["asked"]:
        mark = {"approved": " ✓", "rejected": " ✗"}.get(row["state"], "")
        levels.setdefault(row["level"], []).append(f"{row['name']}{mark}")
    return " → ".join(" + ".join(names) for _, names in sorted(levels.items()))


def _missing(item: Found) -> list[str]:
    return [f"{fault['zh']} {fault['en']}" for fault in item["faults"]]


def _print_counts(details: Mapping[str, Found]) -> None:
    by_status = Counter(item["status"] for item in details.values())
    by_rule = sum(item["decided_by"] == "rule" for item in details.values())
    share = 100 * by_rule // max(len(details), 1)
    print(f"\n  {', '.join(f'{number} {STATUSES.get(status, status)}' for status, number in by_status.most_common())}")
    print(f"  without a person 自动处理: {by_rule} of {len(details)}, {share} % (the business aims at 80 %)")


def _print_examples(api: Client, details: Mapping[str, Found], agreed: str) -> None:
    low = next(item for item in details.values() if item["rule"] == "low_risk")
    print(f"\n  {low['quote']} was approved by rule 自动批准: {low['reason']}")
    if LEVELS in details:
        print(f"  {LEVELS} takes two levels 两级审批: {details[LEVELS]['reason']}")
        print(f"    {agreed} agreed; then {_names(details[LEVELS]).rpartition(' → ')[2]} were asked")
    if ABSENT in details:
        print(f"  {ABSENT}: who is asked while somebody is away 代理审批")
        for row in details[ABSENT]["asked"]:
            for step in row["path"]:
                print(f"    {step}")
    voided = [item for item in _decisions(api, CHANGED) if item["outcome"] == "voided"]
    for item in voided[:1]:
        changes = "; ".join(reason["text"] for reason in item["reasons"])
        print(f"  {CHANGED} changed after it was approved 变更作废: {changes}")
        print(f"    asked anew 重新审批: {_names(details[CHANGED])}")


def _decisions(api: Client, quote: str) -> list[Found]:
    return list(findings.every(api, "/api/v1/decisions", decision="quote_approval", record_id=quote))


def _wrong_examples(requests: list[Found], details: Mapping[str, Found]) -> list[str]:
    wrong = []
    for name, paths in {
        "QD-01": {"lines.2.specification", "payment_terms"},
        "QD-04": {"valid_until"},
        "QD-22": {"lead_time_days"},
    }.items():
        found = {fault["path"] for fault in details.get(name, {"faults": []})["faults"]}
        if found != paths:
            wrong.append(f"{name} was returned for {sorted(found)}, not for {sorted(paths)}")
    rounds = [item["status"] for item in requests if item["quote"] == CHANGED]
    if rounds != ["pending", "void"]:
        wrong.append(f"{CHANGED} should have a void request and a pending one, newest first: {rounds}")
    asked = details.get(ABSENT, {"asked": []})["asked"]
    if [row["person"] for row in asked] != ["fang_yuan"] or len(asked[0]["path"]) < 2:
        wrong.append(f"{ABSENT} should have gone to the deputy fang_yuan: {[row['person'] for row in asked]}")
    levels = {row["level"] for row in details.get(LEVELS, {"asked": []})["asked"]}
    if levels != {1, 2}:
        wrong.append(f"{LEVELS} should have asked two levels, not {sorted(levels)}")
    return wrong


def _untold(details: Mapping[str, Found], told: list[Found]) -> list[str]:
    """Return the quotes whose last word never reached the CRM."""
    last: dict[str, Found] = {}
    for line in told:
        data = line["body"].get("data", {})
        is_told = line["status"] == 204 and data.get("kind") == "quote" and "status" in data.get("fields", {})
        if is_told and data["sequence"] >= last.get(data["id"], data)["sequence"]:
            last[data["id"]] = data
    words = {"approved": "approved", "returned": "returned", "pending": "in_approval", "rejected": "not_approved"}
    known = {name: data["fields"]["status"] for name, data in last.items()}
    return [
        f"the CRM knows {name} as {known.get(name, 'nothing')}, not {words[item['status']]}"
        for name, item in details.items()
        if item["status"] in words and known.get(name) != words[item["status"]]
    ]


def print_decisions(link: ByLink, once: AtOnce) -> list[str]:
    """Print what came of the link and of the decisions at once; return what is not as it should be."""
    heading("An approver decides from a link; fifty decide at once 链接审批与并发")
    print(f"  mail to {', '.join(link.mail['to'])}: {link.mail['subject']}")
    for line in link.mail["text"].strip().splitlines()[:6]:
        print(f"    {line}")
    scans = ", ".join(map(str, link.scanned))
    print(f"  a mail scanner opened the link {len(link.scanned)} times ({scans}): {BY_LINK} stayed {link.after_scan}")
    print(f"  the approver looked ({link.shown}), approved ({link.decided}): {BY_LINK} is {link.after}")
    print(f"  the same link once more 重复提交: {link.again}, refused")
    counted = ", ".join(f"{number} × {status}" for status, number in sorted(once.statuses.items()))
    print(f"\n  {PARALLEL} decisions about {AT_ONCE} at the same moment 并发审批: {counted}")
    print(f"    one counted: {AT_ONCE} is {once.after}; decisions on record: {once.taken}")
    expected: dict[str, tuple[Any, Any]] = {
        "the scanner's answers": (set(link.scanned), {200}),
        f"the status of {BY_LINK} after the scanner": (link.after_scan, "pending"),
        "the page of the link": (link.shown, 200),
        "the decision from the link": (link.decided, 200),
        "the second decision from the link": (link.again, 410),
        f"the status of {BY_LINK}": (link.after, "approved"),
        f"the {PARALLEL} decisions": (dict(once.statuses), {201: 1, 409: PARALLEL - 1}),
        f"the decisions on record about {AT_ONCE}": (once.taken, 1),
        f"whether {AT_ONCE} is decided": (once.after in ("approved", "rejected"), True),
    }
    return [f"{what}: {got} instead of {wanted}" for what, (got, wanted) in expected.items() if got != wanted]
