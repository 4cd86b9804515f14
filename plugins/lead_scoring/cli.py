"""The commands: explain one lead's grade, list graded leads, and try the rules on a lead from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from core.api import InvalidRequest, NotFound, current_desk, did_you_mean, hookimpl, print_json, print_table
from plugins.lead_scoring.assignment import assign
from plugins.lead_scoring.lead_file import read_lead
from plugins.lead_scoring.models import LeadScore
from plugins.lead_scoring.rules import score
from plugins.lead_scoring.settings import GRADES, Config

PLUGIN = "lead_scoring"


@hookimpl
def register_commands() -> click.Group:
    """Contribute `outrigger lead-scoring …`."""
    return group


@click.group("lead-scoring")
def group() -> None:
    """Lead grades (线索评分): why a lead has its grade, who has it, and what the rules would say."""


@group.command()
@click.argument("lead_id")
@click.option("--source", help="The CRM connection, when two of them have a lead of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(lead_id: str, source: str | None, as_json: bool) -> None:
    """Show a lead's grade with its reasons, what nearly changed it, and why its owner has it."""
    query = sa.select(LeadScore).where(LeadScore.record_id == lead_id).order_by(LeadScore.source)
    if source is not None:
        query = query.where(LeadScore.source == source)
    with current_desk().read() as session:
        found = [_as_json(row) for row in session.scalars(query)]
    if not found:
        where = f" from {source}" if source else ""
        raise NotFound(f'No lead "{lead_id}"{where} was graded; `outrigger lead-scoring list` shows those that were.')
    if len(found) > 1:
        sources = ", ".join(str(item["source"]) for item in found)
        raise InvalidRequest(f'Several sources have a lead "{lead_id}": {sources}. Say which with --source.')
    item = found[0]
    if as_json:
        print_json(item)
    else:
        click.echo("\n".join(_explained(item)))


@group.command("list")
@click.option("--grade", type=click.Choice(GRADES, case_sensitive=False), help="Only leads of this grade.")
@click.option("--unit", help="Only leads of this business unit.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(grade: str | None, unit: str | None, limit: int, as_json: bool) -> None:
    """List open graded leads, the best first."""
    query = sa.select(LeadScore).where(LeadScore.closed_as.is_(None), LeadScore.grade.is_not(None))
    if grade is not None:
        query = query.where(LeadScore.grade == grade.upper())
    if unit is not None:
        query = query.where(LeadScore.unit == unit)
    query = query.order_by(LeadScore.score.desc(), LeadScore.source, LeadScore.record_id).limit(limit)
    with current_desk().read() as session:
        found = [_as_json(row) for row in session.scalars(query)]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No graded lead fits.")
        return
    print_table(found, ("grade", "score", "record_id", "owner", "pool", "unit", "source"))


@group.command("try")
@click.option("--file", "path", required=True, type=click.Path(path_type=Path), help="A lead as JSON.")
@click.option("--unit", required=True, help="The business unit whose rules to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def try_(path: Path, unit: str, as_json: bool) -> None:
    """Score a lead from a file under a unit's present rules; nothing is stored and nobody is told."""
    config, lead = _config(unit), read_lead(path)
    result = score(lead, config, current_desk().clock.now())
    chosen = assign(lead, result.grade, unit, config.assignment)
    item = {
        "grade": result.grade,
        "score": result.total,
        "groups": dict(result.groups),
        "reasons": [reason.as_json() for reason in result.reasons],
        "near_misses": list(result.near_misses),
        "pool": chosen.pool,
        "candidates": list(chosen.members) or [chosen.owner],
        "assignment": "; ".join(reason.text for reason in chosen.reasons),
    }
    if as_json:
        print_json(item)
        return
    lines = [f"{item['grade']} 级 grade {item['grade']}, {item['score']} 分 points", *_why(item)]
    who = ", ".join(chosen.members) or chosen.owner
    click.echo("\n".join([*lines, f"分配 would go to {who} ({chosen.pool}): {item['assignment']}"]))


def _config(unit: str) -> Config:
    settings = current_desk().settings
    setting = settings.get((unit, PLUGIN))
    config = getattr(setting, "config", setting)
    if not isinstance(config, Config):
        units = sorted(slug for slug, plugin in settings if plugin == PLUGIN)
        raise NotFound(f'Lead scoring has no settings in a unit "{unit}".{did_you_mean(unit, units)}')
    return config


def _as_json(row: LeadScore) -> dict[str, Any]:
    values: dict[str, Any] = {column.name: getattr(row, column.name) for column in LeadScore.__table__.columns}
    for name in ("first_scored_at", "scored_at", "closed_at"):
        values[name] = values[name].isoformat() if values[name] is not None else None
    return values


def _explained(item: Mapping[str, Any]) -> list[str]:
    if item["grade"] is None:
        end = f"{item['closed_as']} at {item['closed_at']}"
        return [f"{item['record_id']} ({item['source']}): never graded, {end}"]
    head = f"{item['grade']} 级 grade {item['grade']}, {item['score']} 分 points"
    lines = [
        f"{item['record_id']} ({item['source']}, {item['unit']}): {head}, at {item['scored_at']}",
        *_why(item),
    ]
    lines.append(f"负责人 owner {item['owner']} ({item['pool']}): {item['assignment']}")
    if item["closed_as"]:
        lines.append(f"已关闭 closed as {item['closed_as']} at {item['closed_at']}; not graded any more")
    return lines


def _why(item: Mapping[str, Any]) -> list[str]:
    lines = [f"  {reason['weight']:>+4}  {reason['text']}" for reason in item["reasons"]]
    return lines + [f"     ~  {text}" for text in item["near_misses"]]
