"""`outrigger sources`: the CRM connections there are, and whether one of them could work."""

from __future__ import annotations

import click

from core.cli.printing import command, print_fields, print_json, print_table
from core.cli.session import Session
from core.host.secrets import resolve_secret
from core.host.settings import SourceSettings
from core.model.errors import NotFound, OutriggerError, did_you_mean

sources = click.Group("sources", help="CRM connections: list them, test one.")


def webhook_url(public_url: str, slug: str) -> str:
    """Return the URL a CRM sends to."""
    return f"{public_url}/webhooks/{slug}"


@command(sources, "list")
@click.pass_obj
def list_(session: Session, as_json: bool) -> None:
    """List the sources with the URL each CRM sends to."""
    rows = [
        {
            "source": item.slug,
            "adapter": item.adapter,
            "unit": item.unit,
            "webhook_url": webhook_url(session.environment.public_url, item.slug),
            "write_back_url": item.write_back_url,
        }
        for item in session.configuration().sources.values()
    ]
    if as_json:
        print_json({"items": rows})
    elif rows:
        print_table(rows, ("source", "adapter", "unit", "webhook_url", "write_back_url"), widest=80)
    else:
        click.echo("There are no sources; add a [sources.<name>] to plugins.toml and run `outrigger config apply`.")


@command(sources, "test")
@click.argument("name", metavar="SOURCE")
@click.pass_obj
def test(session: Session, name: str, as_json: bool) -> None:
    """Check a source: its adapter, its options, and whether its secrets can be read here."""
    known = session.configuration().sources
    if name not in known:
        raise NotFound(f'There is no source "{name}".{did_you_mean(name, known)}')
    source = known[name]
    checks = _checks(session, source)
    failed = [item for item in checks if not item["ok"]]
    url = webhook_url(session.environment.public_url, name)
    if as_json:
        print_json({"source": name, "webhook_url": url, "ok": not failed, "checks": checks})
    else:
        click.echo(f"The CRM sends to {url}")
        print_fields((f"{'ok' if item['ok'] else 'FAIL':<4} {item['what']}", item["detail"]) for item in checks)
    if failed:
        raise click.exceptions.Exit(1)


def _checks(session: Session, source: SourceSettings) -> list[dict[str, object]]:
    checks: list[dict[str, object]] = []
    check = session.assembly.adapters.get(source.adapter)
    if check is None:
        near = did_you_mean(source.adapter, session.assembly.adapters)
        checks.append({"what": "adapter", "ok": False, "detail": f'there is no adapter "{source.adapter}".{near}'})
    else:
        faults = [str(item.get("message", item) if isinstance(item, dict) else item) for item in check(source.options)]
        checks.append({"what": "adapter", "ok": not faults, "detail": "; ".join(faults) or source.adapter})
    for reference in secret_references(source):
        checks.append({"what": "secret", **resolves(reference)})
    if not source.secrets:
        checks.append(
            {"what": "secret", "ok": True, "detail": "none is configured; the adapter decides what that means"}
        )
    return checks


def secret_references(source: SourceSettings) -> list[str]:
    """Return every secret a source refers to."""
    return [*source.secrets, *([source.write_back_secret] if source.write_back_secret else [])]


def resolves(reference: str) -> dict[str, object]:
    """Say whether a secret can be read here; the secret itself is never shown."""
    try:
        size = len(resolve_secret(reference))
    except OutriggerError as error:
        return {"ok": False, "detail": error.message}
    return {"ok": True, "detail": f"{reference} can be read ({size} bytes)"}
