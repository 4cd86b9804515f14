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
    faults = [f"{item['path']}: {item['message']}" for item in session.assembly.check_source(source)]
    checks: list[dict[str, object]] = [
        {"what": "adapter", "ok": not faults, "detail": "; ".join(faults) or source.adapter}
    ]
    checks += [{"what": "secret", **fitting(session, source, reference)} for reference in source.secrets]
    if source.write_back_secret:
        checks.append({"what": "write-back secret", **resolves(source.write_back_secret)})
    return checks


def fitting(session: Session, source: SourceSettings, reference: str) -> dict[str, object]:
    """Say whether a source's secret can be read here and has a form that its sender's signatures can have."""
    answer = resolves(reference)
    if not answer["ok"]:
        return answer
    fault = session.assembly.check_secret(source, resolve_secret(reference))
    if fault is None:
        return answer
    return {"ok": False, "detail": f"{reference} can be read, but no signature can ever fit: {fault}"}


def resolves(reference: str) -> dict[str, object]:
    """Say whether a secret can be read here; the secret itself is never shown."""
    try:
        size = len(resolve_secret(reference))
    except OutriggerError as error:
        return {"ok": False, "detail": error.message}
    return {"ok": True, "detail": f"{reference} can be read ({size} bytes)"}
