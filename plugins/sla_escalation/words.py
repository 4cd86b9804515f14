"""Words for people, in Chinese and English: of instants, spans of time, states and steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from core.api import Calendar

STATES = {
    "running": ("计时中", "running"),
    "paused": ("暂停", "paused"),
    "breached": ("已超时，仍未完成", "breached, still open"),
    "met": ("按时完成", "met"),
    "missed": ("超时完成", "missed"),
    "cancelled": ("已取消", "cancelled"),
    "handed_over": ("已移交", "handed over"),
}
STEPS = {
    "started": ("开始计时", "started"),
    "taken_over": ("接手计时", "taken over"),
    "paused": ("暂停", "paused"),
    "resumed": ("恢复计时", "resumed"),
    "moved": ("到期时间变更", "due moved"),
    "retargeted": ("适用政策变更", "another policy applies"),
    "recomputed": ("重新计算", "recomputed"),
    "warned": ("预警", "warned"),
    "breached": ("超时", "breached"),
    "escalated": ("升级", "escalated"),
    "withdrawn": ("撤回超时通知", "breach withdrawn"),
    "met": ("按时完成", "met"),
    "missed": ("超时完成", "missed"),
    "cancelled": ("取消", "cancelled"),
    "handed_over": ("移交其他事业部", "handed over"),
}


def local(at: datetime, calendar: Calendar) -> str:
    """Write an instant by the clock on the wall of the calendar, to the second where that matters.

    An hour that the clocks there show twice is told with its offset.
    """
    wall = calendar.local(at)
    is_twice = wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()
    return wall.strftime("%Y-%m-%d %H:%M:%S" if wall.second else "%Y-%m-%d %H:%M") + (
        f" {wall.isoformat()[-6:]}" if is_twice else ""
    )


def both(text: Mapping[str, str] | str) -> str:
    """Write a text of both languages in one line; rows of old code hold it so already."""
    return text if isinstance(text, str) else f"{text['zh']} / {text['en']}"


def length(span: timedelta, language: str, *, working: bool = False, exact: bool = False) -> str:
    """Write a length of time: "1 d 3 h 20 min", or in `zh` "1 天 3 小时 20 分"; below a minute in seconds.

    Working time is told in hours, since a working day is not 24 of them. With `exact` seconds are told as well, so that
    parts add up to their sum.
    """
    seconds = round(span.total_seconds())
    minus, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    days, hours = (0, seconds // 3600) if working else divmod(seconds // 3600, 24)
    parts = [(days, ("天", "d")), (hours, ("小时", "h")), (seconds // 60 % 60, ("分", "min"))]
    if seconds < 60:
        parts = [(seconds, ("秒", "s"))]
    elif exact:
        parts.append((seconds % 60, ("秒", "s")))
    word = 0 if language == "zh" else 1
    said = [f"{number} {words[word]}" for number, words in parts if number]
    return minus + (" ".join(said) or f"0 {parts[-1][1][word]}")
