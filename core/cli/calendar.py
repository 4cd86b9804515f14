"""`outrigger calendar`: the working calendars in force, their special days, and working time explained."""

from __future__ import annotations

import calendar as months
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, cast

import click

from core.cli.printing import command, print_fields, print_json, print_table
from core.cli.session import Session
from core.model.calendar import Day
from core.model.errors import InvalidRequest, NotFound, did_you_mean
from core.model.instants import format_instant, parse_instant
from core.model.spans import parse_span
from core.time.calendar import FIRST_YEAR, LAST_YEAR, WorkingCalendar
from core.time.shifts import WEEKDAYS

calendar = click.Group("calendar", help="Working calendars: hours, holidays, make-up days 调休, working time.")

_MOST_STRETCHES = 40  # shown on a terminal; `--json` has them all


@command(calendar, "list")
@click.pass_obj
def list_calendars(session: Session, as_json: bool) -> None:
    """List the calendars in force and the units that work by them."""
    configuration = session.configuration()
    users: dict[str, list[str]] = {}
    for slug in configuration.units:
        users.setdefault(configuration.calendar_of(slug).slug, []).append(slug)
    items = [
        {
            "slug": slug,
            "zone": found.zone,
            "holidays": found.values["holidays"],
            "standard_day": _length(found.standard_day),
            "own_days": len(found.values["days"]),
            "units": users.get(slug, []),
        }
        for slug, found in _calendars(session).items()
    ]
    if as_json:
        print_json({"items": items})
    else:
        rows = [{**item, "units": ", ".join(cast("list[str]", item["units"]))} for item in items]
        print_table(rows, ("slug", "zone", "holidays", "standard_day", "own_days", "units"))


@command(calendar, "show")
@click.argument("slug")
@click.option("--year", type=click.IntRange(FIRST_YEAR, LAST_YEAR), help="The special days of a year.  [default: now]")
@click.option("--month", help="Every day of a month, such as 2026-10.")
@click.pass_obj
def show(session: Session, slug: str, year: int | None, month: str | None, as_json: bool) -> None:
    """Show a calendar: its week, and holidays, make-up days and own days of a year, or every day of a month."""
    found = _calendar(session, slug)
    if month is not None and year is not None:
        raise click.UsageError("--year and --month do not go together.")
    if month is not None:
        days = list(_days_of_month(found, month))
    else:
        year = year or found.local(session.clock.now()).year
        whole = _days(found, date(year, 1, 1), date(year, 12, 31))
        days = [day for day in whole if day.kind not in ("workday", "rest")]
    provisional = sorted({day.on.year for day in days if day.provisional})
    if as_json:
        values = {"slug": slug, **found.values, "standard_day_s": found.standard_day.total_seconds()}
        print_json({**values, "listed_days": list(map(_as_json, days)), "provisional_years": provisional})
        return
    hours = found.values["hours"]
    print_fields(
        [
            ("calendar", slug),
            ("zone", found.zone),
            ("holidays", found.values["holidays"]),
            *((name, " ".join(hours[name]) or "free") for name in WEEKDAYS),
            ("make-up days", " ".join(found.values["make_up_hours"] or ["as the weekday they replace"])),
            ("standard day", _length(found.standard_day)),
            ("overlay files", ", ".join(file["path"] for file in found.values["files"])),
        ]
    )
    click.echo()
    if days:
        print_table(list(map(_row, days)), ("date", "weekday", "kind", "name", "hours"))
    else:
        click.echo("No special days.")
    for number in provisional:
        click.echo(
            f"{number} is provisional: its official holidays and make-up days are not published yet, or not in this "
            "release. Add them as `days` or an overlay file, and the year to `confirmed`."
        )


@command(calendar, "add")
@click.argument("slug")
@click.argument("start")
@click.argument("span", nargs=-1, required=True)
@click.pass_obj
def add(session: Session, slug: str, start: str, span: tuple[str, ...], as_json: bool) -> None:
    """Tell when a span such as `8 working hours` or `24h` is over, and by which working time.

    START is a time with an offset, or as the clock shows it in the calendar's zone, such as 2026-09-30T16:30.
    """
    found = _calendar(session, slug)
    begun = _instant(found, start)
    try:
        given = parse_span(" ".join(span))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    due = given.due(begun, found)
    stretches = list(found.stretches(begun, due)) if given.working else []
    provisional = _provisional(found, begun, due) if given.working else []
    if as_json:
        print_json(
            {
                "calendar": slug, "start": format_instant(begun), "span": str(given), "due": format_instant(due),
                "due_local": found.local(due).isoformat(), "working": given.working,
                "stretches": list(map(_stretch_as_json, stretches)), "provisional_years": provisional,
            }
        )  # fmt: skip
        return
    told = f"{given} ({given.text('zh')})"
    print_fields([("start", _told(found, begun)), ("span", told), ("due", _told(found, due))])
    if given.working:
        _print_stretches(found, stretches)
    else:
        click.echo("Elapsed time: every hour counts, whatever the calendar says.")
    _warn_provisional(provisional)


@command(calendar, "between")
@click.argument("slug")
@click.argument("start")
@click.argument("end")
@click.pass_obj
def between(session: Session, slug: str, start: str, end: str, as_json: bool) -> None:
    """Tell how much working time lies between two times, and where."""
    found = _calendar(session, slug)
    first, last = _instant(found, start), _instant(found, end)
    work = found.between(first, last)
    stretches = list(found.stretches(min(first, last), max(first, last)))
    provisional = _provisional(found, min(first, last), max(first, last))
    if as_json:
        print_json(
            {
                "calendar": slug, "start": format_instant(first), "end": format_instant(last),
                "working_s": work.total_seconds(), "elapsed_s": (last - first).total_seconds(),
                "stretches": list(map(_stretch_as_json, stretches)), "provisional_years": provisional,
            }
        )  # fmt: skip
        return
    print_fields(
        [
            ("start", _told(found, first)),
            ("end", _told(found, last)),
            ("working time", _length(work)),
            ("elapsed time", _length(last - first)),
        ]
    )
    _print_stretches(found, stretches)
    _warn_provisional(provisional)


def _calendars(session: Session) -> dict[str, WorkingCalendar]:
    return cast("dict[str, WorkingCalendar]", dict(session.configuration().calendars))


def _calendar(session: Session, slug: str) -> WorkingCalendar:
    known = _calendars(session)
    if slug not in known:
        raise NotFound(f'There is no calendar "{slug}".{did_you_mean(slug, known)} Known: {", ".join(known)}.')
    return known[slug]


def _instant(found: WorkingCalendar, text: str) -> datetime:
    """Read an instant; without an offset it is what the clock on the wall shows there."""
    try:
        wall = datetime.fromisoformat(text)
        return found.instant(wall) if wall.tzinfo is None else parse_instant(text)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f'"{text[:60]}" is no time. Write 2026-09-30T16:30 as the clock shows it in {found.zone}, '
            "or with an offset: 2026-09-30T16:30:00+08:00."
        ) from None


def _days(found: WorkingCalendar, first: date, last: date) -> Iterator[Day]:
    for count in range((last - first).days + 1):
        yield found.day(first + timedelta(days=count))


def _days_of_month(found: WorkingCalendar, text: str) -> Iterator[Day]:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise InvalidRequest(f'"{text[:20]}" is no month; write it as 2026-10.') from None
    return _days(found, first, first.replace(day=months.monthrange(first.year, first.month)[1]))


def _as_json(day: Day) -> dict[str, Any]:
    return {
        "date": day.on.isoformat(), "kind": day.kind, "name": day.name,
        "hours": ["-".join(shift) for shift in day.shifts], "provisional": day.provisional,
    }  # fmt: skip


def _row(day: Day) -> dict[str, Any]:
    kind = day.kind.replace("_", "-") + (" (provisional)" if day.provisional else "")
    hours = " ".join("-".join(shift) for shift in day.shifts) or "free"
    return {"date": str(day.on), "weekday": WEEKDAYS[day.on.weekday()], "kind": kind, "name": day.name, "hours": hours}


def _provisional(found: WorkingCalendar, start: datetime, end: datetime) -> list[int]:
    years = range(found.local(start).year, found.local(end).year + 1)
    return [year for year in years if found.is_provisional(year)]


def _warn_provisional(years: list[int]) -> None:
    if years:
        told = ", ".join(map(str, years))
        click.echo(f"The official days of {told} are provisional; this may change when they are published.")


def _told(found: WorkingCalendar, at: datetime) -> str:
    local = found.local(at)
    return f"{WEEKDAYS[local.weekday()]} {local.isoformat(sep=' ')}"


def _stretch_as_json(stretch: tuple[datetime, datetime]) -> dict[str, Any]:
    start, end = stretch
    return {
        "start": format_instant(start), "end": format_instant(end), "working_s": (end - start).total_seconds()
    }  # fmt: skip


def _print_stretches(found: WorkingCalendar, stretches: list[tuple[datetime, datetime]]) -> None:
    """Print the working stretches with what has gathered after each, and why a day is special."""
    click.echo()
    done = timedelta(0)
    rows: list[dict[str, Any]] = []
    for start, end in stretches:
        done += end - start
        local, day = found.local(start), found.day(found.local(start).date())
        if len(rows) < _MOST_STRETCHES:
            rows.append(
                {
                    "date": str(local.date()),
                    "weekday": WEEKDAYS[local.weekday()],
                    "from": local.strftime("%H:%M:%S"),
                    "to": found.local(end).strftime("%H:%M:%S"),
                    "work": _length(end - start),
                    "together": _length(done),
                    "day": day.name or ("" if day.kind == "workday" else day.kind.replace("_", "-")),
                }
            )
    if rows:
        print_table(rows, ("date", "weekday", "from", "to", "work", "together", "day"))
    else:
        click.echo("No working time.")
    if len(stretches) > len(rows):
        click.echo(f"… and {len(stretches) - len(rows)} more; `--json` has them all.")


def _length(span: timedelta) -> str:
    """Return a length in hours, minutes and seconds, such as `26 h 30 min`."""
    seconds = abs(span).total_seconds()
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(f"{hours:.0f} h", hours), (f"{minutes:.0f} min", minutes), (f"{rest:.9g} s", rest)]
    told = " ".join(text for text, value in parts if value) or "0 h"
    return f"-{told}" if span < timedelta(0) else told
