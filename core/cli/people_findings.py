"""What the doctor looks at for people: channels they are reached by, roles nobody holds today, calendars, links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date

from core.cli.finding import Finding
from core.cli.session import Session
from core.cli.sources import resolves
from core.host.settings import ChannelSettings, Configuration
from core.model.errors import OutriggerError
from core.people.shown import holders_of

LINK_KEY = "OUTRIGGER_SECRET_KEY"
SHORTEST_KEY = 32
_SECRETS = {"smtp": ("password",), "wecom_bot": ("url",), "webhook": ("secret",)}


def people(session: Session) -> list[Finding]:
    """Say what would keep people from being reached; nothing where no configuration is in force."""
    try:
        current = session.configuration()
    except OutriggerError:
        return []  # the configuration check has said so
    today = session.clock.now()
    found = _no_channels(current)
    found += [item for channel in current.channels.values() for item in _channel(channel)]
    found += _roles(current, {unit: current.calendar_of(unit).local(today).date() for unit in current.units})
    found += _calendars(current, today.year)
    return found + _link_key()


def _no_channels(current: Configuration) -> list[Finding]:
    if current.channels:
        return []
    advice = 'add one, such as [channels.mail] with kind = "smtp", and name it in the `channels` of people'
    return [Finding("warn", "channels", "there are no [channels]: nobody is reached by mail or chat", advice)]


def _channel(channel: ChannelSettings) -> Iterator[Finding]:
    for name in _SECRETS.get(channel.kind, ()):
        reference = channel.options.get(name)
        if reference:
            answer, what = resolves(reference), f"{name} of channel {channel.slug}"
            advice = "" if answer["ok"] else "nobody is reached by this channel until it can be read"
            yield Finding("ok" if answer["ok"] else "fail", what, str(answer["detail"]), advice)


def _roles(current: Configuration, days: dict[str, date]) -> list[Finding]:
    """Warn of roles that nobody holds today: whoever asks for one gets those who stand in."""
    empty = []
    for role in current.directory.roles:
        for unit, day in days.items():
            for place, holders in holders_of(current.directory, role, [unit], day).items():
                if not holders:
                    empty.append(role if place == "*" else f"{role} in {place}")
    if not empty:
        return []
    detail = f"nobody holds today: {', '.join(dict.fromkeys(empty))}"
    return [Finding("warn", "people", detail, "`outrigger people resolve ROLE --unit UNIT` says who is asked instead")]


def _calendars(current: Configuration, year: int) -> list[Finding]:
    """Warn of calendars in use whose holidays of this year are not known for sure."""
    used = {current.calendar_of(unit).slug: current.calendar_of(unit) for unit in current.units}
    unsure = sorted(slug for slug, calendar in used.items() if calendar.day(date(year, 12, 31)).provisional)
    if not unsure:
        return []
    detail = f"the official holidays of {year} are not in this release for: {', '.join(unsure)}"
    return [Finding("warn", "calendars", detail, "upgrade, or enter the notice's days and set `confirmed`")]


def _link_key() -> list[Finding]:
    if LINK_KEY not in os.environ and f"{LINK_KEY}_FILE" not in os.environ:
        return []
    answer = resolves(f"env:{LINK_KEY}")
    is_long = answer["ok"] and len(os.environ.get(LINK_KEY, " " * SHORTEST_KEY)) >= SHORTEST_KEY
    if is_long:
        return [Finding("ok", "key of links", str(answer["detail"]))]
    detail = str(answer["detail"]) if not answer["ok"] else f"{LINK_KEY} is shorter than {SHORTEST_KEY} characters"
    return [
        Finding("fail", "key of links", detail, "links in messages cannot be made; `openssl rand -hex 32` makes one")
    ]
