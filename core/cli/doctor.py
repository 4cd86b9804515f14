"""`outrigger doctor`: says what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import click
import sqlalchemy as sa

from core.cli import findings
from core.cli.finding import Finding
from core.cli.output import as_letter
from core.cli.printing import command, print_json, safe
from core.cli.session import Session
from core.model.errors import OutriggerError

_root = click.Group("operate")

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@command(_root, "doctor")
@click.pass_obj
def doctor(session: Session, as_json: bool) -> None:
    """Examine database, disk, broker, configuration, secrets, plugins and clock; exit with 1 when something fails."""
    found = examine(session)
    failed = [item for item in found if item.level == "fail"]
    if as_json:
        print_json({"ok": not failed, "findings": [item.as_json() for item in found]})
    else:
        for item in found:
            click.echo(f"{MARKS[item.level]}  {item.what}: {safe(item.detail)}")
            if item.advice:
                click.echo(f"      -> {safe(item.advice)}")
        warned = sum(item.level == "warn" for item in found)
        click.echo(f"{len(found) - len(failed) - warned} in order, {warned} to look at, {len(failed)} failing.")
    if failed:
        raise click.exceptions.Exit(1)


def examine(session: Session) -> list[Finding]:
    """Return every finding; a check that cannot be made says so and does not hide the others.

    Several checks may meet the same obstacle, such as a database that is away: it is told once.
    """
    found: list[Finding] = []
    told: set[str] = set()
    for check in findings.CHECKS:
        try:
            found += check(session)
        except Exception as error:
            # The doctor looks at broken installations: whatever a check meets is a finding, not its own end.
            if isinstance(error, (OutriggerError, sa.exc.DBAPIError)):
                detail = as_letter(error).message
            else:
                detail = f"could not be examined: {type(error).__name__}: {error}"
            if not any(detail in before for before in told):
                found.append(Finding("fail", check.__name__.replace("_", " "), detail))
        told |= {item.detail for item in found}
    return found
