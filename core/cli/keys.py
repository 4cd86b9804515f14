"""`outrigger keys`: make, list and revoke API keys."""

from __future__ import annotations

import click

from core.cli.parts import person, session
from core.cli.printing import command, print_json, print_table, safe
from core.model.errors import InvalidRequest, did_you_mean
from core.web.auth import ROLES
from core.web.keys import ALL_UNITS, ApiKeys

keys = click.Group("keys", help="API keys: make, list, revoke.")


@command(keys, "create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="reader", show_default=True)
@click.option("--unit", "units", multiple=True, help="Only this unit; several times for several.  [default: all]")
@click.pass_context
def create(ctx: click.Context, name: str, role: str, units: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print its token, which is shown this once and kept nowhere."""
    found = session(ctx)
    if units and ALL_UNITS not in units:
        known = found.configuration().units
        for unit in units:
            if unit not in known:
                raise InvalidRequest(f'There is no unit "{unit[:80]}".{did_you_mean(unit, known)}')
    made = ApiKeys(found.database, found.clock)
    token, key = made.create(name, role=role, units=units or (ALL_UNITS,), created_by=person())
    if as_json:
        print_json({**key, "token": token})
        return
    click.echo(token)
    click.echo(f"{key['id']}: {role}, units {', '.join(key['units'])}. The token is not shown again.", err=True)


@command(keys, "list")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List every key, revoked ones included."""
    found = session(ctx)
    rows = ApiKeys(found.database, found.clock).list()
    if as_json:
        print_json({"items": rows})
    elif rows:
        shown = [{**row, "units": ", ".join(row["units"])} for row in rows]
        print_table(shown, ("id", "name", "role", "units", "created_at", "created_by", "revoked_at"))
    else:
        click.echo("There are no keys yet; make one with `outrigger keys create NAME`.")


@command(keys, "revoke")
@click.argument("key_id", metavar="ID")
@click.pass_context
def revoke(ctx: click.Context, key_id: str, as_json: bool) -> None:
    """Make a key useless from the next request on."""
    found = session(ctx)
    ApiKeys(found.database, found.clock).revoke(key_id, by=person())
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"{safe(key_id)} is revoked.")
