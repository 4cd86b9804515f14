"""Purchase orders of a coatings maker, 2018: an item is an order that changes, is paid or deleted.

One case of each variant and no frequencies: every variant counts once. There are no amounts and vendors. What happened
before the item was created, and a step that repeats the one before, tell nothing new; approvals by people (releases,
`SRM: …` steps) are kept for comparison. Times before 2017 and after 2019 are slips in the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, text
from deploy.replay.rows import Files, RefusedRow, Row, instant

FILE = "bpic2019_one_trace_per_variant.csv.gz"
CREATED = "Create Purchase Order Item"
DECISIONS = ("Change Approval for Purchase Order", "Release Purchase Order", "SRM: ")
YEARS = range(2017, 2020)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows case by case."""
    for log in by_case(files.rows(FILE), lambda row: row["case:concept:name"]):
        yield from case(log)


def case(log: Iterable[Row]) -> Iterator[Outcome]:
    """Yield the rows of one order."""
    before: str | None = None
    is_paid = False
    for row in log:
        step = row["concept:name"]
        why_not = _why_not(step, before)
        if why_not:
            yield RefusedRow(why_not)
            continue
        try:
            told = _told(row, is_first=before is None, is_paid=is_paid)
        except RefusedRow as refused:
            yield refused
        else:
            before, is_paid = step, is_paid or told.type == "order.paid"
            yield Kept((told,))


def _why_not(step: str, before: str | None) -> str:
    if step.startswith(DECISIONS):
        return "a decision by people: kept for comparison"
    if before is None and step != CREATED:
        return "before the order was placed"
    return "repeats the step before" if step == before else ""


def _told(row: Row, *, is_first: bool, is_paid: bool) -> Told:
    at, step, identity = (
        instant(row["time:timestamp"], years=YEARS),
        row["concept:name"],
        f"PO-{row['case:concept:name']}",
    )
    if is_first:
        return Told("order.placed", at, {"id": identity, "status": "placed"})
    if step == "Clear Invoice" and not is_paid:
        return Told("order.paid", at, {"id": identity, "status": "paid", "paid_at": text(at)})
    if step == "Delete Purchase Order Item":
        return Told("order.cancelled", at, {"id": identity, "status": "cancelled"})
    return Told("order.updated", at, {"id": identity, "status": step.casefold()})


def labels(files: Files) -> Labels:
    """Return which orders needed people's approval, and which were deleted."""
    approved: dict[str, float] = {}
    deleted: dict[str, float] = {}
    for log in by_case(files.rows(FILE), lambda row: row["case:concept:name"]):
        names = [row["concept:name"] for row in log]
        key = f"PO-{log[0]['case:concept:name']}"
        approved[key] = float(any(name.startswith(DECISIONS) for name in names))
        deleted[key] = float("Delete Purchase Order Item" in names)
    return {"approval_steps": approved, "deleted": deleted}


SET = DataSet(
    "approval_bpic2019_po",
    "purchasing",
    outcomes,
    "one case per variant, each counted once: shares are not those of the business; no amounts",
    labels,
)
