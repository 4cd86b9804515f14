"""Chooses who takes a lead: by grid, senior reps first for the best, by turns, and never nobody; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from core.api import Lead, Reason
from plugins.lead_scoring.facts import plain
from plugins.lead_scoring.settings import AssignmentConfig, Grid


class Outcome(StrEnum):
    """How an assignment ended."""

    ASSIGNED = "assigned"  # a rep's turn
    NURTURE = "nurture"  # to the nurture pool
    KEPT = "kept"  # whoever had it keeps it
    FALLBACK = "fallback"  # nobody could take it, so the fallback owner has it and is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What the last grading left behind."""

    unit: str
    grade: str
    owner: str
    pool: str
    grid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who has the lead and why. While `members` has several names, `take_turn` still has to pick one."""

    outcome: Outcome
    owner: str
    pool: str
    grid: str | None
    rule: str
    reasons: tuple[Reason, ...]
    members: tuple[str, ...] = ()
    position: int | None = None  # how many leads the pool had handed out before this one


_PLACE_ENDING = re.compile(r"( province| city| municipality|特别行政区|.族自治区|自治区|省|市|地区)$")

CRM_POOL, NURTURE_POOL, FALLBACK_POOL = "crm", "nurture", "fallback"


def assign(lead: Lead, grade: str, unit: str, config: AssignmentConfig, previous: Previous | None = None) -> Assignment:
    """Choose who takes a lead of this grade; the first asker keeps it unless something weighty changed."""
    grid, why = find_grid(lead, config.grids)
    asked = _crm_owner(lead, config)
    if asked is not None and (previous is None or asked != previous.owner):
        text = f"CRM 已指定负责人，首问负责 the CRM names {asked}, who keeps the lead"
        return _kept(asked, CRM_POOL, grid, "owner_from_crm", text)
    if previous is None:
        return _choose(grade, grid, why, config)
    if previous.pool == CRM_POOL and config.respect_owner:
        if asked is not None:
            text = "CRM 指定的负责人不变 the owner from the CRM stays"
            return _kept(asked, CRM_POOL, grid, "owner_from_crm", text)
        return _choose(grade, grid, why, config)  # the CRM took its owner away, so nobody has it now
    moved = _what_moved(grade, unit, grid, config, previous)
    if not moved:
        text = "首问负责：原负责人继续跟进 first asker keeps it: no move between bands, grids or units"
        return _kept(previous.owner, previous.pool, grid, "first_asker", text)
    chosen = _choose(grade, grid, why, config)
    if previous.owner in chosen.members:
        text = f"{moved}，仍在名单内 but {previous.owner} is in the pool {chosen.pool} too"
        return _kept(previous.owner, chosen.pool, grid, "still_in_pool", text)
    return replace(chosen, reasons=(Reason(moved), *chosen.reasons))


def take_turn(chosen: Assignment, position: int | None) -> Assignment:
    """Pick the pool's next member; `position` is how many it handed out before, None when it never did."""
    count = len(chosen.members)
    if count < 2:
        return chosen
    turn = (position or 0) % count
    reason = Reason(f"轮流分配 turn {turn + 1} of {count} in {chosen.pool}")
    return replace(chosen, owner=chosen.members[turn], position=position or 0, reasons=(*chosen.reasons, reason))


def find_grid(lead: Lead, grids: tuple[Grid, ...]) -> tuple[Grid | None, Reason]:
    """Find the grid that owns the lead's city, or else its region; the reason says what was looked at."""
    for field, text in (("city", lead.city), ("region", lead.region), ("city", lead.region)):
        keys = _place_keys(text)
        places = [
            (len(place), grid.name, grid)
            for grid in grids
            for place in map(_place, grid.cities if field == "city" else grid.regions)
            if any(_is_at(place, key) for key in keys)
        ]
        if places:
            grid = max(places, key=lambda item: (item[0], item[1]))[2]
            name = grid.title or grid.name
            looked_at = "city" if text == lead.city else "region"
            return grid, Reason(f"{text} 属于网格 is in the grid {name}", field=looked_at)
    where = " ".join(text for text in (lead.region, lead.city) if text)
    if where:
        return None, Reason(f"没有网格包含 no grid covers {where}", field="region")
    return None, Reason("地区未知 neither region nor city is known", field="region")


def _choose(grade: str, grid: Grid | None, why: Reason, config: AssignmentConfig) -> Assignment:
    band = config.band(grade)
    name = grid.name if grid else None
    if band == "nurture":
        reason = Reason(f"{grade} 级进入培育池 grade {grade} goes to the nurture pool")
        return Assignment(
            outcome=Outcome.NURTURE,
            owner=config.nurture_owner,
            pool=NURTURE_POOL,
            grid=name,
            rule="nurture",
            reasons=(reason,),
        )
    reasons = [why]
    for pool, members, note in _pools(band, grid, config):
        if members:
            if note:
                reasons.append(Reason(note))
            return Assignment(
                outcome=Outcome.ASSIGNED,
                owner=members[0],
                pool=pool,
                grid=name,
                rule="round_robin",
                reasons=tuple(reasons),
                members=members,
            )
    where = "该网格没有业务员 that grid has no rep" if grid else "没有可用名单 no pool fits"
    reasons.append(Reason(f"{where}：转交后备负责人 so {config.fallback_owner} has to place it"))
    return Assignment(
        outcome=Outcome.FALLBACK,
        owner=config.fallback_owner,
        pool=FALLBACK_POOL,
        grid=name,
        rule="nobody_else",
        reasons=tuple(reasons),
    )


def _pools(band: str, grid: Grid | None, config: AssignmentConfig) -> list[tuple[str, tuple[str, ...], str]]:
    """List the pools to try in their order, each with a note for the case that it is not the first choice."""
    senior = "优先资深业务员 senior reps first"
    stand_in = "没有资深业务员，由业务员接手 there is no senior rep, so a rep takes it"
    pools: list[tuple[str, tuple[str, ...], str]] = []
    if band == "senior":
        if grid:
            pools.append((f"{grid.name}.senior", grid.senior, senior))
        pools.append(("unit.senior", config.senior, senior))
    note = stand_in if band == "senior" else ""
    if grid:
        pools.append((f"{grid.name}.reps", grid.reps, note))
    pools.append(("unit.reps", config.reps, note))
    return pools


def _what_moved(grade: str, unit: str, grid: Grid | None, config: AssignmentConfig, previous: Previous) -> str:
    """Say what asks for another owner, or nothing; a grid that is no longer known is no reason to move."""
    if previous.pool == FALLBACK_POOL:
        return "此前无人接手 nobody could take it before"
    if unit != previous.unit:
        return f"事业部由 {previous.unit} 变为 {unit} moved from unit {previous.unit} to {unit}"
    before, after = config.band(previous.grade), config.band(grade)
    if before != after:
        return f"等级由 {previous.grade} 变为 {grade} grade went from {previous.grade} to {grade}"
    if grid is not None and grid.name != previous.grid and previous.pool != NURTURE_POOL:
        return f"网格变为 moved to grid {grid.name}, before it was in {previous.grid or 'none'}"
    return ""


def _crm_owner(lead: Lead, config: AssignmentConfig) -> str | None:
    """Return the person whom the CRM names, unless that name stands for nobody."""
    owner = (lead.owner or "").strip()
    nobody = {plain(name) for name in (*config.not_owners, config.nurture_owner, config.fallback_owner)}
    return owner if config.respect_owner and owner and plain(owner) not in nobody else None


def _kept(owner: str, pool: str, grid: Grid | None, rule: str, text: str) -> Assignment:
    return Assignment(
        outcome=Outcome.KEPT,
        owner=owner,
        pool=pool,
        grid=grid.name if grid else None,
        rule=rule,
        reasons=(Reason(text, field="owner"),),
    )


@lru_cache(maxsize=8192)
def _place(text: str) -> str:
    """Fold a place's name: 上海市 and 上海 are one place, as are `Jiangsu Province` and `jiangsu`."""
    return _PLACE_ENDING.sub("", plain(text)).strip()


def _place_keys(text: str | None) -> list[str]:
    """Split an address such as `Shanghai, China` into the names that may be a place."""
    parts = re.split(r"[,;/|，；、·]", text or "")
    return [key for part in parts if (key := _place(part))]


def _is_at(place: str, key: str) -> bool:
    """Whether an address names the place: the same name, or (in Chinese) an address that begins with it."""
    return key == place or (len(place) > 1 and not place.isascii() and key.startswith(place))
