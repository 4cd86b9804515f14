"""Chinese citizens' messages: each is a complaint; an official reply resolves it at the time of the reply.

Likes and dislikes of the second file were counted later and are left out; so is the taxonomy, which names no message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from deploy.replay.book import DataSet, Labels, Outcome, Told, each, filled, text
from deploy.replay.rows import Files, RefusedRow, Row, figures, hours, instant

REPLIED, HOT = "messages_with_replies.csv.gz", "messages_hot_topics.csv.gz"
CHINA = hours(8)


def outcomes(files: Files) -> Iterator[Outcome]:
    """Yield the messages with replies, then those without."""
    yield from each(files.rows(REPLIED), replied)
    yield from each(files.rows(HOT), lambda row: (opened("TH", row),))


def replied(row: Row) -> tuple[Told, Told]:
    """Return a message and its reply."""
    message, at = opened("TR", row), _instant(row["答复时间"])
    if at < message.at:
        raise RefusedRow("the reply is older than the message")
    data = {
        "id": message.data["id"],
        "resolution": row["答复意见"].strip(),
        "resolved_at": text(at),
        "status": "resolved",
    }
    return message, Told("complaint.resolved", at, filled(data))


def opened(prefix: str, row: Row) -> Told:
    """Return the complaint that a message is."""
    body = row["留言详情"].strip()
    if not body and not row["留言主题"].strip():
        raise RefusedRow("neither subject nor text")
    at = _instant(row["留言时间"])
    data = {
        "id": f"{prefix}-{row['留言编号']}",
        "subject": row["留言主题"].strip(),
        "body": body,
        "channel": "网站",
        "opened_at": text(at),
        "status": "new",
    }
    return Told("complaint.opened", at, filled(data))


def labels(files: Files) -> Labels:
    """Return after how many days the reply came."""
    return {"days_to_reply": figures((f"TR-{row['留言编号']}", row["答复天数"]) for row in files.rows(REPLIED))}


def _instant(cell: str) -> datetime:
    form = "%Y/%m/%d %H:%M:%S" if "/" in cell else "%Y-%m-%d %H:%M:%S"
    return instant(cell, form, zone=CHINA)


SET = DataSet("complaint_zh_gov_teddy", "citizens", outcomes, "Chinese text; times are those of Beijing", labels)
