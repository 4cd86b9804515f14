"""What the doctor looks at: each check returns findings that are in order, worth a look, or failing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.cli.broker_findings import broker
from core.cli.finding import Finding
from core.cli.machine_findings import disk, write_queue
from core.cli.people_findings import people
from core.cli.session import Session
from core.cli.sources import fitting, resolves
from core.host.applying import drift
from core.host.configuration import resolve
from core.host.discovery import SLOW_IMPORT_S
from core.host.toml_document import read_text
from core.host.versions import newest
from core.model.errors import OutriggerError
from core.model.instants import format_instant
from core.store.database import WAL_SAFE_SINCE, journal_mode, sqlite_module
from core.store.migrate import pending
from core.store.reading.configuration import list_quarantines
from core.store.reading.retention import last_runs
from core.store.tables import events, leases

CLOCK_TOLERANCE = timedelta(seconds=5)


def sqlite_version(session: Session) -> list[Finding]:
    """Judge SQLite's version: 3.7.0 to 3.51.2 can lose committed data in WAL mode."""
    if not session.unchecked_database.is_sqlite:
        return []
    module = sqlite_module()
    version, safe_since = module.sqlite_version, ".".join(map(str, WAL_SAFE_SINCE))
    if module.sqlite_version_info >= WAL_SAFE_SINCE:
        detail = (
            f"{version} ({module.__name__.partition('.')[0]}); its WAL is safe, so the journal is `{journal_mode()}`"
        )
        return [Finding("ok", "SQLite", detail)]
    return [
        Finding(
            "warn", "SQLite",
            f"{version} can lose committed data in WAL mode (3.7.0 to 3.51.2 do), so the slower journal "
            f"`{journal_mode()}` is used, which is safe",
            f"for full speed install the `pysqlite3` wheel, or SQLite {safe_since} or newer",
        )
    ]  # fmt: skip


def database(session: Session) -> list[Finding]:
    """Reach the database, read back what durability rests on, look for missing migrations, and write."""
    opened = session.unchecked_database
    if session.is_absent:
        advice = "run `outrigger migrate` to make it, or set OUTRIGGER_DATABASE_URL to where it is"
        return [Finding("fail", "database", f"{opened.url.database} does not exist yet", advice)]
    shown = opened.url.render_as_string(hide_password=True)
    try:
        settings = opened.settings()
    except OutriggerError as error:
        return [Finding("fail", "database", f"{shown}: {error.message}", "nothing works without it; mend this first")]
    found = [Finding("ok", "database", f"{shown} answers: {settings.pop('database')}")]
    found += [_durable(name, value, is_sqlite=opened.is_sqlite) for name, value in settings.items()]
    missing = pending(opened, list(session.manifests().values()))
    if missing:
        found.append(Finding("fail", "migrations", f"pending: {', '.join(missing)}", "run `outrigger migrate`"))
    else:
        found.append(Finding("ok", "migrations", "all have run"))
    if not any(item.startswith("core:") for item in missing):
        found.append(_writable(session))
    return found


def _durable(name: str, value: str, *, is_sqlite: bool) -> Finding:
    text = f"{name} = {value}"
    lost = "an acknowledged event could be lost in a power cut"
    if name == "journal_mode":
        is_right = (value == "wal" and journal_mode() == "wal") or value in ("delete", "truncate", "persist")
        return Finding("ok" if is_right else "fail", "durability", text, "" if is_right else lost)
    good = ("FULL", "EXTRA") if is_sqlite else ("on", "remote_apply", "remote_write")
    if value in good:
        return Finding("ok", "durability", text)
    advice = f"{lost}; set `{name}` back" + ("" if is_sqlite else " on in postgresql.conf or for the role")
    return Finding("fail", "durability", text, advice)


def _writable(session: Session) -> Finding:
    try:
        with session.unchecked_database.write() as connection:
            row = {"name": "doctor", "epoch": 0, "holder": f"doctor {os.getpid()}", "taken_at": session.clock.now()}
            connection.execute(sa.delete(leases).where(leases.c.name == "doctor"))
            connection.execute(sa.insert(leases).values(**row))
            connection.execute(sa.delete(leases).where(leases.c.name == "doctor"))
    except OutriggerError as error:
        return Finding("fail", "writing", error.message, "look at free disk, permissions and the role's rights")
    return Finding("ok", "writing", "a write transaction was committed")


def configuration(session: Session) -> list[Finding]:
    """Check the file as a whole, and whether it is what is in force."""
    path, found = session.environment.config_path, []
    current = difference = None
    if not _core_is_missing(session):
        with session.unchecked_database.read() as connection:
            current, difference = newest(connection), drift(connection, path)
    try:
        resolve(read_text(path), session.surroundings(), before=current.resolved if current else None)
        found.append(Finding("ok", "configuration file", f"{path} is right"))
    except OutriggerError as error:
        found.append(
            Finding("fail", "configuration file", error.message, "mend it; `outrigger config check` checks again")
        )
    if difference is None:
        return found
    if current is None:
        return [*found, Finding("warn", "configuration", "nothing was applied yet", "run `outrigger config apply`")]
    detail = f"version {current.number}, applied by {current.applied_by}"
    found.append(Finding("ok", "configuration", detail))
    if difference.in_step:
        return [*found, Finding("ok", "drift", difference.text)]
    return [*found, Finding("warn", "drift", difference.text, "apply the file, or bring the changes into it")]


def _core_is_missing(session: Session) -> bool:
    """Whether the tables cannot be looked into; why is told by the check of the database."""
    try:
        return session.is_absent or any(item.startswith("core:") for item in pending(session.unchecked_database, []))
    except OutriggerError:
        return True


def secrets(session: Session) -> list[Finding]:
    """Read every secret that the version in force refers to and judge its form; none is shown."""
    current = _current(session)
    if current is None:
        return []
    found = []
    for source in current.sources.values():
        advice = "until it is right, webhooks of this source are refused; `outrigger sources test` checks again"
        for reference in source.secrets:
            found.append(_secret(f"secret of source {source.slug}", fitting(session, source, reference), advice))
        for fault in session.assembly.check_source(source):
            detail = f"{fault['path']}: {fault['message']}"
            found.append(Finding("fail", f"source {source.slug}", detail, "mend plugins.toml and apply it"))
    outgoing = [(f"write-back of {item.slug}", item.write_back_secret) for item in current.sources.values()]
    outgoing += [(f"endpoint {item.slug}", item.secret) for item in current.endpoints.values()]
    for owner, secret in outgoing:
        if secret:
            found.append(_secret(f"secret of {owner}", resolves(secret), "nothing is sent there until it can be read"))
    return found


def _secret(what: str, answer: Mapping[str, object], advice: str) -> Finding:
    is_right = bool(answer["ok"])
    return Finding("ok" if is_right else "fail", what, str(answer["detail"]), "" if is_right else advice)


def _current(session: Session) -> Any:
    try:
        return session.configuration()
    except OutriggerError:
        return None  # the configuration check has said so


def plugins(session: Session) -> list[Finding]:
    """Tell which plugins cannot run, are slow to load, or are in quarantine."""
    current, loaded = _current(session), session.plugins()
    found = []
    for name, plugin in loaded.items():
        enabled = [unit for unit in current.units if current.is_enabled(unit, name)] if current is not None else []
        where = f"on in {', '.join(enabled)}" if enabled else "off everywhere"
        if plugin.error is not None:
            advice = "mend the plugin and restart the workers" if enabled else "mend it or remove its folder"
            found.append(Finding("fail" if enabled else "warn", f"plugin {name}", plugin.error, advice))
        elif session.timings.get(name, 0) > SLOW_IMPORT_S:
            took = f"takes {session.timings[name]:.1f} s to load"
            found.append(Finding("warn", f"plugin {name}", took, "workers start that much later; import less"))
        else:
            found.append(Finding("ok", f"plugin {name}", f"{plugin.manifest.version}, {where}"))
    if current is None:
        return found
    for (unit, name), fault in session.configurations.faults.items():
        if current.is_enabled(unit, name):
            advice = "mend plugins.toml and apply it"
            if name not in loaded:
                advice = "install it, or take it out of plugins.toml and apply that"
            found.append(Finding("fail", f"plugin {name} in {unit}", fault, advice))
    with session.database.read() as connection:
        for row in list_quarantines(connection):
            if row["active"]:
                advice = f"mend it, then `outrigger plugins enable {row['plugin']} --unit {row['unit']} --reason …`"
                found.append(Finding("warn", f"quarantine of {row['plugin']} in {row['unit']}", row["reason"], advice))
    return found


def clock(session: Session) -> list[Finding]:
    """Judge the clock: a plausible year, in step with the database's, and not behind what was already stored."""
    now = session.clock.now()
    advice = "set the clock and keep it by NTP; signatures are refused and timers fire wrongly on a wrong clock"
    if not 2026 <= now.year <= 2100:
        return [Finding("fail", "clock", f"it is {format_instant(now)}, which cannot be", advice)]
    first, second = time.monotonic(), time.monotonic()
    if second < first:
        return [Finding("fail", "clock", "the monotonic clock runs backwards", "restart the machine")]
    if _core_is_missing(session):
        return [Finding("ok", "clock", format_instant(now))]
    with session.unchecked_database.read() as connection:
        latest = connection.execute(sa.select(events.c.accepted_at).order_by(events.c.seq.desc()).limit(1)).scalar()
        theirs = _database_time(connection)
    if theirs is not None and abs(theirs - session.clock.now()) > CLOCK_TOLERANCE:
        detail = f"this machine and the database disagree by {abs((theirs - now).total_seconds()):.0f} s"
        return [Finding("fail", "clock", detail, advice)]
    if latest is not None and latest > now + CLOCK_TOLERANCE:
        before = f"an event was accepted at {format_instant(latest)}: the clock went back"
        return [Finding("warn", "clock", f"it is {format_instant(now)}, but {before}", advice)]
    return [Finding("ok", "clock", format_instant(now))]


def _database_time(connection: sa.Connection) -> datetime | None:
    if connection.dialect.name == "sqlite":
        return None  # the database runs in this process and has this machine's clock
    seconds = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
    return datetime.fromtimestamp(float(seconds), UTC)


def retention(session: Session) -> list[Finding]:
    """Say on which day retention removed last, and what keeps older events."""
    if _core_is_missing(session):
        return []
    with session.unchecked_database.read() as connection:
        runs = last_runs(connection, 1)
    if not runs:
        return [Finding("ok", "retention", "nothing was removed yet")]
    day, held_by = runs[0]["day"], runs[0]["held_by"]
    if held_by:
        detail = f"on {day} removing stopped at {held_by}"
        return [Finding("warn", "retention", detail, "everything behind it is kept as long as it stands so")]
    if not runs[0]["finished_at"]:
        return [Finding("ok", "retention", f"at work on {day}")]
    return [Finding("ok", "retention", f"removed on {day} what was old enough")]


CHECKS: Sequence[Callable[[Session], list[Finding]]] = (
    database, sqlite_version, disk, write_queue, broker, configuration, secrets, people, plugins, clock, retention,
)  # fmt: skip
