"""Prints what was sent and written back, and the leads and cases: the older half of the report, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deploy.demo import findings
from deploy.demo.client import Client
from deploy.demo.findings import GRADES, Found
from deploy.demo.play import Tally
from deploy.demo.printing import heading, pad
from deploy.demo.refusals import Refusal

SHOWN = ("LD-0001", "LD-0019", "LD-0036", "LD-0005", "LD-0041")
KINDS = {"complaint": "投诉案例 complaints", "won_deal": "赢单 won deals", "lost_deal": "丢单 lost deals"}


def print_sent(tallies: dict[str, Tally], refused: Sequence[tuple[Refusal, int]]) -> list[str]:
    """Print what every CRM sent and was told, and what was refused; return what is not as it should be."""
    heading("What the four CRMs sent 四个 CRM 的来信")
    print("  " + pad("source", 14) + "requests  events  accepted  duplicates  rejected")
    for name, tally in tallies.items():
        row = (tally.requests, tally.events, tally.new, tally.duplicates, tally.rejected)
        print("  " + pad(name, 14) + "{:>8}{:>8}{:>10}{:>12}{:>10}".format(*row))
    why = sum((tally.why for tally in tallies.values()), Counter[str]())
    print(f"\n  sent twice on purpose: {why['repeated']}; overtaken by a later change: {why['overtaken']};", end=" ")
    print(f"another body under a used id: {sum(tally.conflicts for tally in tallies.values())} (the first stands)")
    right = sum(status == bad.status for bad, status in refused)
    print(f"\n  refused, as it should be 拒收: {right} of {len(refused)}")
    for bad, status in refused:
        print(f"    {status} {bad.what}" + ("" if status == bad.status else f"  (expected {bad.status})"))
    wrong = [f"{bad.what}: {status} instead of {bad.status}" for bad, status in refused if status != bad.status]
    return wrong + [line for tally in tallies.values() for line in tally.unexpected]


def print_leads(api: Client, titles: dict[str, str]) -> list[str]:
    """Print some leads with grade, reasons and owner, then the grades of every unit; return what is wrong."""
    graded = findings.latest_decisions(api, "lead_grade")
    leads = {(lead["source"], lead["id"]): lead for lead in findings.every(api, "/api/v1/leads")}
    heading("Leads: graded, explained, assigned 线索评分与分配")
    for key in (("crm", name) for name in SHOWN):
        if key in graded:
            _print_lead(leads[key], graded[key], titles)
    print("  " + pad("business unit 事业部", 32) + "".join(f"{grade:>5}" for grade in GRADES) + "   leads")
    counted = findings.grades_by_unit(graded)
    for unit in (unit for unit in titles if unit in counted):
        row = "".join(f"{counted[unit][grade]:>5}" for grade in GRADES)
        print("  " + pad(titles[unit], 32) + row + f"{counted[unit].total():>8}")
    missing = [f"{source}/{name}" for (source, name) in graded if not leads[source, name]["owner"]]
    print(f"\n  leads graded: {len(graded)}; without an owner 未分配: {len(missing)}")
    _print_outcomes(api, titles)
    return [f"the lead {name} has no owner" for name in missing]


def _print_lead(lead: Found, decision: Found, titles: dict[str, str]) -> None:
    print(f"  {lead['id']}  {lead['company']}  → {titles[decision['unit']]}")
    print(f"    {decision['summary']}  ({decision['rule']})")
    facts = [reason for reason in decision["reasons"] if reason["field"] and reason["weight"]]
    for reason in sorted(facts, key=lambda reason: -abs(reason["weight"]))[:4]:
        print(f"      {reason['weight']:>+4}  {reason['text']}")
    print(f"    负责人 owner: {lead['owner']}\n")


def _print_outcomes(api: Client, titles: dict[str, str]) -> None:
    ended = findings.outcomes_by_grade(api, "open_data")
    print(f"\n  How the real leads of {titles['open_data']} ended, by the grade they had before anybody knew:")
    for grade in GRADES:
        if counts := ended.get(grade):
            print(f"    {grade}  {counts['converted']:>3} of {counts.total():>3} converted")
    print("    (UCI Bank Marketing, a sample of 60; rules of thumb, not fitted to it)")


def print_cases(api: Client, published: Sequence[Found], opened: list[str]) -> list[str]:
    """Print the cases captured and published, and what later complaints were told; return what is wrong."""
    heading("Cases: from solved complaints and decided deals 案例库")
    counts = findings.cases_by_kind(api)
    for kind, title in KINDS.items():
        stages = [f"{counts[kind, status]} {status}" for status in ("draft", "published") if counts[kind, status]]
        print(f"  {pad(title, 24)}{', '.join(stages) or 'none'}")
    for case in published:
        print(f"\n  published 已发布: {case['title']}  ({case['id']})")
        print(f"    原因 cause: {case['fields'].get('cause')}")
        print(f"    措施 fix:   {case['fields'].get('fix')}")
    wrong = [] if published else ["no case was published"]
    for decision in findings.suggestions(api, opened):
        print(f"\n  then complaint {decision['record_id']} was opened: {decision['summary']}")
        for match in decision["inputs"].get("cases", []):
            print(f"    共同之处 shares: {', '.join(match['matched'][:8])}")
        if decision["outcome"] != "found":
            wrong.append(f"nothing was suggested for {decision['record_id']}")
    return wrong


def print_order(api: Client, echoes: int) -> list[str]:
    """Print what overtaking and echoes came to; return what is wrong."""
    heading("Order and echoes 乱序与回声")
    skipped = findings.skipped(api)
    late = [event for event in skipped if event["status_reason"].startswith("superseded")]
    heard = [event for event in skipped if event["status_reason"].startswith("echo")]
    print(f"  updates that a newer one had overtaken, kept and without effect: {len(late)}")
    for event in [event for event in late if event["kind"] == "lead"][:2]:
        print(f"    {event['type']} of {event['record_id']}, {event['occurred_at'][:16]}Z: {event['status_reason']}")
    print(f"  our own values reported back by the CRM: {echoes}; recognised, and started nothing: {len(heard)}")
    return [] if len(heard) == echoes else [f"{echoes - len(heard)} echoes were not recognised"]


def print_write_back(told: Sequence[Found]) -> list[str]:
    """Print what the CRM received, from its own ledger; return what is wrong."""
    heading("Written back to the CRM 回写")
    taken = {line["id"]: line for line in told if line["status"] == 204}
    refused = {line["id"] for line in told if line["status"] == 500}
    forged = sum(not line["verified"] for line in told)
    repeated = sum(line["status"] == 204 for line in told) - len(taken)
    paths = Counter(line["path"] for line in taken.values())
    print(f"  distinct messages taken: {', '.join(f'{number} at {path}' for path, number in sorted(paths.items()))}")
    print(f"  signatures checked: {len(told)}, genuine: {len(told) - forged}; taken twice: {repeated}")
    print(f"  answered 500 on purpose: {len(refused)}; came again under the same id: {len(refused & taken.keys())}")
    example = next((line["body"] for line in taken.values() if line["path"] == "/crm"), None)
    if example:
        data = example["data"]
        print(f"  for example {data['kind']} {data['id']}: {data['fields']}")
    wrong = [f"{forged} write-backs were not genuine"] if forged else []
    return wrong + [f"the message {name} never came again" for name in sorted(refused - taken.keys())]


def print_urls(url: str, key: str, link: str, seconds: float) -> None:
    """Print where to look next; `link` is an approver's, not used yet."""
    heading("Look for yourself 请亲自看看")
    auth = f'curl -s -H "Authorization: Bearer {key}"'
    print(f"  API key (role admin, all units): {key}\n")
    print(f"  a record's journey 全程   {auth} {url}/api/v1/records/lead/LD-0001")
    print(f"  why it has its grade 理由 {auth} '{url}/api/v1/decisions?decision=lead_grade&record_id=LD-0001'")
    print(f"  search the cases 搜索     {auth} '{url}/api/v1/cases/search?q=%E5%88%92%E4%BC%A4'")
    print(f"  quotes in approval 审批   {auth} '{url}/api/v1/approvals?status=pending'")
    print(f"  clocks 时限               {auth} '{url}/api/v1/sla/clocks?state=open'")
    print(f"  people 人员               {auth} '{url}/api/v1/people/resolve?who=bu_manager&unit=construction'")
    print(f"  audit trail 审计          {auth} {url}/api/v1/audit")
    print(f"  decide a quote yourself 亲自审批 (once; in a browser)\n    {link}")
    print(f"  API reference             {url}/docs")
    print(f"  metrics                   {url}/metrics")
    print(f"\n  All of this took {seconds:.0f} seconds.")
