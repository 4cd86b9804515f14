"""What the doctor looks at beside this machine: whether the broker of a fleet takes the user and the password."""

from __future__ import annotations

from core.cli.finding import Finding
from core.cli.session import Session
from core.model.errors import OutriggerError


def broker(session: Session) -> list[Finding]:
    """Connect to the broker once, where workers of several hosts would use one."""
    url = session.environment.broker_url
    if url is None or session.unchecked_database.is_sqlite:
        return []
    try:
        from core.fleet.broker import reach
    except ModuleNotFoundError as missing:
        advice = "install requirements-fleet.lock, or Outrigger with its extra `fleet`"
        return [Finding("fail", "broker", f"OUTRIGGER_BROKER_URL is set, and {missing.name} is not installed", advice)]
    try:
        reach(url)
    except OutriggerError as error:
        advice = "see whether it runs, and the user, password and host in OUTRIGGER_BROKER_URL"
        return [Finding("fail", "broker", error.message, advice)]
    return [Finding("ok", "broker", "answers")]
