"""TU Eindhoven travel declarations, permits and payments: what is submitted is a quote with an amount.

What people then did (approved, rejected, how many levels, how many days) is kept apart as the reference and never
told; nor is what followed from it (payments), nor rows about the permit behind a declaration. Handing in again after
a rejection is `quote.updated`. Amounts are euro, as the publisher perturbed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deploy.replay.book import DataSet, Kept, Labels, Outcome, Told, by_case, filled
from deploy.replay.rows import Files, RefusedRow, Row, amount, days_between, instant

FILES = {
    "DomesticDeclarations.csv.gz": ("DD", "Declaration", "(case)_Amount"),
    "InternationalDeclarations.csv.gz": ("ID", "Declaration", "(case)_Amount"),
    "PermitLog.csv.gz": ("PE", "Permit", "(case)_RequestedBudget"),
    "PrepaidTravelCost.csv.gz": ("PT", "Request For Payment", "(case)_RequestedAmount"),
    "RequestForPayment.csv.gz": ("RP", "Request For Payment", "(case)_RequestedAmount"),
}
"""File -> prefix of the ids, what its cases are about, and the column of the amount."""

UNITS = ("(case)_OrganizationalEntity", "(case)_Permit_OrganizationalEntity")


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the rows case by case, file by file."""
    for name, (prefix, subject, column) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["case"]):
            yield from case(log, prefix, subject, column)


def case(log: Iterable[Row], prefix: str, subject: str, column: str) -> Iterator[Outcome]:
    """Yield the rows of one case."""
    is_first = True
    for row in log:
        step = row["concept:name"]
        if not step.startswith(f"{subject} SUBMITTED"):
            yield RefusedRow(_why_not(step, subject))
            continue
        try:
            yield Kept((_handed_in(row, prefix, subject, column, is_first=is_first),))
        except RefusedRow as refused:
            yield refused
        else:
            is_first = False


def _handed_in(row: Row, prefix: str, subject: str, column: str, *, is_first: bool) -> Told:
    at = instant(row["time:timestamp"])
    identity = f"{prefix}-{row['case']}"
    if not is_first:
        return Told("quote.updated", at, {"id": identity, "status": "submitted again"})
    value = amount(row[column])
    data = {
        "id": identity,
        "currency": "EUR",
        "amount": value,
        "lines": [{"product": subject, "quantity": "1", "unit_price": value}],  # the document itself is the only line
        "status": "submitted",
        "extra": filled({"kind": subject, "entity": next((row[key] for key in UNITS if key in row), "")}),
    }
    return Told("quote.submitted", at, filled(data))


def _why_not(step: str, subject: str) -> str:
    if not step.startswith(subject):
        is_other = any(step.startswith(other) for other in ("Declaration", "Permit", "Request For Payment"))
        return "about another document of the trip" if is_other else "payment, trip or reminder: no step of the quote"
    if "SAVED" in step:
        return "saved and not handed in"
    return "a decision by people: kept for comparison"


def labels(files: Files) -> Labels:
    """Return what people decided, in how many rounds and levels, and how many days it took."""
    found: dict[str, dict[str, float]] = {"approved": {}, "rounds": {}, "approvals": {}, "days": {}}
    for name, (prefix, subject, _) in FILES.items():
        for log in by_case(files.rows(name), lambda row: row["case"]):
            steps = [row for row in log if row["concept:name"].startswith(subject)]
            handed = [row for row in steps if "SUBMITTED" in row["concept:name"]]
            if handed:
                _label(found, f"{prefix}-{log[0]['case']}", steps, handed)
    return found


def _label(found: dict[str, dict[str, float]], key: str, steps: Sequence[Row], handed: Sequence[Row]) -> None:
    final = [row for row in steps if "FINAL_APPROVED" in row["concept:name"]]
    found["approved"][key] = float(bool(final))
    found["rounds"][key] = float(len(handed))
    found["approvals"][key] = float(sum("APPROVED" in row["concept:name"] for row in steps))
    days = days_between([handed[0]["time:timestamp"], *(row["time:timestamp"] for row in final)])
    if days is not None:
        found["days"][key] = days


SET = DataSet(
    "approval_bpic2020",
    "approvals",
    outcomes,
    "no customer, discount or margin in the set: only the amount can route; people's decisions are the reference",
    labels,
)
