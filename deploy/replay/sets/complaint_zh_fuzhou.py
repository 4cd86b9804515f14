"""Fuzhou river-works complaints with their official replies; the set knows days and no hours.

A complaint is taken at nine in the morning; its reply comes at five in the afternoon, so many days later as the set
says. Where it does not say, the complaint stays open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploy.replay.book import DataSet, Labels, Outcome, Told, each, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, hours, instant, number

FILE = "complaints.csv.gz"
CHINA = hours(8)
MOST_DAYS = 3650


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the complaints."""
    return each(files.rows(FILE), complaint)


def complaint(row: Row) -> tuple[Told, ...]:
    """Return a complaint and its reply."""
    day = instant(row["时间"], "%Y-%m-%d", zone=CHINA, what="时间")
    if not row["投诉件内容"].strip() and not row["标题"].strip():
        raise RefusedRow("neither subject nor text")
    at = day + timedelta(hours=9)
    identity = f"FZ-{row['id']}"
    data = {
        "id": identity,
        "subject": row["标题"].strip(),
        "body": row["投诉件内容"].strip(),
        "category": row["性质"].strip(),
        "channel": row["信息来源"].strip(),
        "opened_at": text(at),
        "status": "new",
        "extra": filled({"river": row["河流"].strip() if row["河流"].strip() != "无" else ""}),
    }
    told = (Told("complaint.opened", at, filled(data)),)
    days, reply = number(row["最终回复天数"]), row["回复1"].strip()
    if days is None or not 0 <= days <= MOST_DAYS or not reply:
        return told
    answered = day + timedelta(days=days, hours=17)
    end = {"id": identity, "resolution": reply, "resolved_at": text(answered), "status": "resolved"}
    return (*told, Told("complaint.resolved", answered, end))


def labels(files: Files) -> Labels:
    """Return after how many days the final reply came."""
    return {"days_to_reply": figures((f"FZ-{row['id']}", row["最终回复天数"]) for row in files.rows(FILE))}


SET = DataSet("complaint_zh_fuzhou", "citizens", outcomes, "Chinese text; days without hours", labels)
