"""`outrigger case-capture …`: look through the case library and take its steps from the command line."""

from __future__ import annotations

import getpass
from collections.abc import Callable

import click

from core.api import InvalidRequest, current_desk, hookimpl, print_json, print_table

from . import cases
from .models import Case
from .reading import Filters, as_json, list_cases, search_cases
from .rules import FIELDS
from .states import CaseStatus

_json = click.option("--json", "as_json_text", is_flag=True, help="Print JSON.")
_actor = click.option("--as", "who", default=lambda: "cli:" + getpass.getuser(), help="Who does it.")
_version = click.option("--version", type=int, help="The version you read; refused when it changed since.")
_reason = click.option("--reason", default="", help="Why.")


@click.group(name="case-capture")
def group() -> None:
    """Cases drafted from complaints and deals: review, publish, search."""


@hookimpl
def register_commands() -> click.Group:
    """Contribute `outrigger case-capture …`."""
    return group


@group.command(name="list")
@click.option("--unit")
@click.option("--kind", type=click.Choice(list(FIELDS)))
@click.option("--status", type=click.Choice([str(status) for status in CaseStatus]))
@click.option("--doubtful", is_flag=True, default=None, help="Only cases a person should look at again.")
@click.option("--cursor", help="Where the next page begins, as the last one said.")
@click.option("--limit", type=click.IntRange(1, 200), default=50)
@_json
def list_command(
    unit: str | None,
    kind: str | None,
    status: str | None,
    doubtful: bool | None,
    cursor: str | None,
    limit: int,
    as_json_text: bool,
) -> None:
    """List cases, the last changed first."""
    filters = Filters(unit=unit, kind=kind, status=status, doubtful=doubtful)
    with current_desk().read() as session:
        page, following = list_cases(session, filters, cursor=cursor, limit=limit)
    if as_json_text:
        print_json({"items": [as_json(case) for case in page], "next": following})
        return
    rows = [{**as_json(case), "doubt": "!" if case.doubt else ""} for case in page]
    print_table(rows, ("id", "status", "doubt", "kind", "version", "title"))
    click.echo(f"{len(page)} cases" + (f"; more with --cursor {following}" if following else ""))


@group.command()
@click.argument("case_id")
@_json
def show(case_id: str, as_json_text: bool) -> None:
    """Show one case with its history."""
    with current_desk().read() as session:
        case = cases.read_case(session, case_id)
        told = as_json(case, cases.read_history(session, case_id))
    if as_json_text:
        print_json(told)
        return
    _print_case(case)
    for row in told["history"]:
        because = f": {row['reason']}" if row["reason"] else ""
        click.echo(f"  {row['at']}  {row['step']} by {row['actor']}, now {row['to']}{because}")


@group.command()
@click.argument("case_id")
@click.option("--title")
@click.option("--set", "pairs", multiple=True, metavar="FIELD=TEXT", help="Set a field; empty text takes it away.")
@_version
@_reason
@_actor
@_json
def edit(
    case_id: str,
    title: str | None,
    pairs: tuple[str, ...],
    version: int | None,
    reason: str,
    who: str,
    as_json_text: bool,
) -> None:
    """Change the title or fields of a case; it becomes a draft again."""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise click.UsageError(f'--set takes FIELD=TEXT, not "{wrong[0]}".')
    fields = {name: text for name, _, text in (pair.partition("=") for pair in pairs)}
    at = _read_version(case_id, version)
    case = cases.edit(case_id, at, actor=who, fields=fields, title=title, reason=reason)
    _done(case, as_json_text)


def _step_command(name: str, act: Callable[..., Case], help_text: str) -> None:
    @group.command(name=name, help=help_text)
    @click.argument("case_id")
    @_version
    @_reason
    @_actor
    @_json
    def command(case_id: str, version: int | None, reason: str, who: str, as_json_text: bool) -> None:
        case = act(case_id, _read_version(case_id, version), actor=who, reason=reason)
        _done(case, as_json_text)


_step_command("review", cases.review, "Say that a draft is right and complete.")
_step_command("publish", cases.publish, "Let search find a reviewed case, or confirm one in doubt.")
_step_command("withdraw", cases.withdraw, "Take a case out of search; needs --reason.")


@group.command()
@click.argument("text")
@click.option("--unit")
@click.option("--kind", type=click.Choice(list(FIELDS)))
@click.option("--drafts", is_flag=True, help="Find unpublished cases too.")
@click.option("--limit", type=click.IntRange(1, 100), default=10)
@_json
def search(text: str, unit: str | None, kind: str | None, drafts: bool, limit: int, as_json_text: bool) -> None:
    """Search cases in Chinese and English; "quoted text" must stand there as it is."""
    units = frozenset({unit}) if unit else None
    with current_desk().read() as session:
        found = search_cases(session, text, units=units, drafts=drafts, kind=kind, limit=limit)
    if as_json_text:
        print_json({"items": found})
        return
    for match in found:
        case = match["case"]
        click.echo(f"{match['similarity']:>5.0%}  {case['id']}  {case['title']}")
        click.echo(f"       {', '.join(match['matched'])}")
    click.echo(f"{len(found)} cases found")


def _read_version(case_id: str, version: int | None) -> int:
    if version is not None:
        if version < 1:
            raise InvalidRequest("A version is a whole number from 1 up.")
        return version
    with current_desk().read() as session:
        return cases.read_case(session, case_id).version


def _done(case: Case, as_json_text: bool) -> None:
    if as_json_text:
        print_json(as_json(case))
    else:
        click.echo(f"{case.id} is now {case.status}, version {case.version}.")


def _line(case: Case) -> str:
    mark = "!" if case.doubt else " "
    return f"{case.id}  {case.status:<9}{mark} {case.kind:<9}  v{case.version:<3} {case.title}"


def _print_case(case: Case) -> None:
    click.echo(_line(case))
    for name in FIELDS[case.kind]:
        if name in case.fields:
            click.echo(f"  {name}: {case.fields[name]}")
    if case.missing:
        click.echo(f"  missing: {', '.join(case.missing)}")
    if case.doubt:
        click.echo(f"  in doubt: {case.doubt}")
    for name, text in (case.proposed or {}).items():
        if case.fields.get(name) != text:
            click.echo(f"  the record now says {name}: {text}")
    for item in case.duplicates:
        click.echo(f"  possible duplicate: {item['case_id']} ({item['similarity']:.0%})")
