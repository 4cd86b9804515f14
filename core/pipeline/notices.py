"""Turns a `Notify` into a message: finds the person, the channel and the words, and makes the link.

All of it happens once, when the delivery is recorded; the outbox then sends what was captured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.egress.channels import KINDS, Letter, Reached
from core.egress.wording import plain
from core.host.settings import ChannelSettings
from core.model.effects import Notify
from core.model.errors import did_you_mean
from core.model.instants import format_instant
from core.model.people import Resolution
from core.model.schemas import canonical, canonical_json
from core.pipeline import templates
from core.pipeline.about import About
from core.pipeline.links import address, make_link
from core.pipeline.standing import condition_of

NOBODY = "nobody"
"""The target of a message that no channel takes."""

WITHHELD = "not-made-in-a-replay"
"""Stands where the token would be in a message that is not sent: a replay makes no links."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for a person: its outbox columns, why it cannot go out (or None), and its link's row."""

    target: str
    type: str
    body: str
    channel_data: str
    still_true: str | None
    missing: str | None
    link: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Choice:
    """The channel that was chosen and what it knows of the person; `tried` says why others were not."""

    channel: ChannelSettings | None = None
    reached: Reached = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)


def make_notice(about: About, key: str, effect: Notify) -> Notice:
    """Make the message of one Notify. Raises EffectRefused naming what its template, link or condition lacks."""
    configuration, unit = about.configuration, about.delivery.unit
    zone = configuration.calendar_of(unit).zone
    found = configuration.directory.at(about.now, unit, zone).resolve(effect.to)
    still_true = condition_of(effect.still, about.plugin, about.connection.dialect) if effect.still else None
    choice = _choose(about, effect, found)
    facts = _facts(about, effect, found)
    data: dict[str, Any] = {"asked": found.as_json(), "tried": choice.tried, "address": dict(choice.reached)}
    if choice.channel is None:
        reason = "no channel can take it: " + "; ".join(choice.tried or ["plugins.toml has no [channels]"])
        return Notice(NOBODY, facts["type"], canonical_json(facts), canonical_json(data), still_true, reason)
    made, url = None, ""
    if effect.link is not None:
        assert found.person is not None  # else no channel was chosen
        if about.delivery.outward:
            made = make_link(
                about.connection, effect.link, message_id=about.message_id(key), plugin=about.delivery.plugin,
                person=found.person.slug, unit=unit, event_id=about.event.id, now=about.now,
            )  # fmt: skip
        url = made.url if made else address(about.delivery.plugin, effect.link.page, WITHHELD)
        data["link"] = made.id if made else None
    channel = choice.channel
    kind = KINDS[channel.kind]
    letter = _letter(about, effect, channel, found, zone, url, facts)
    body = kind.write(letter, choice.reached, channel.options)
    return Notice(
        channel.slug, facts["type"], canonical_json(body), canonical_json(data), still_true, None,
        made.row if made else None,
    )  # fmt: skip


def _choose(about: About, effect: Notify, found: Resolution) -> _Choice:
    """Choose the first channel that has an address for the person, in the person's order; else the fallback."""
    choice = _Choice()
    if found.person is None:
        choice.tried.append(found.reason or f"nobody is known as {effect.to}")
        if effect.link is not None:
            choice.tried.append("a link is made for one person, so it goes to nobody else")
            return choice
    for channel in _candidates(about, effect, found, choice):
        if effect.link is not None and not channel.options["links"]:
            choice.tried.append(f"{channel.slug} takes no links for one person (`links = false`)")
            continue
        reached = KINDS[channel.kind].reach(found.person, channel.options)
        if reached is not None:
            choice.channel, choice.reached = channel, reached
            return choice
        who = found.person.slug if found.person else "nobody in particular"
        choice.tried.append(f"{channel.slug} needs {KINDS[channel.kind].lacks} of {who}")
    return choice


def _candidates(about: About, effect: Notify, found: Resolution, choice: _Choice) -> Iterator[ChannelSettings]:
    """Yield the channels to try: the one asked for, or the person's (all, where none is named), then the fallback."""
    channels = about.configuration.channels
    if effect.channel is not None:
        named: tuple[str, ...] = (effect.channel,)
    elif found.person is not None:
        # Whoever names no channel gets no letters into a group: only what may carry a link for one person is tried.
        named = found.person.channels or tuple(slug for slug, item in channels.items() if item.options["links"])
    else:
        named = ()
    for slug in named:
        if slug in channels:
            yield channels[slug]
        else:
            choice.tried.append(f'there is no channel "{slug}" in plugins.toml{did_you_mean(slug, channels)}')
    for slug, item in channels.items():
        if item.is_fallback and slug not in named:
            yield item


def _facts(about: About, effect: Notify, found: Resolution) -> dict[str, Any]:
    """Return the message as a system would want it: what a webhook carries, and what is kept where nothing is sent."""
    event, person = about.event, found.person
    return {
        "type": f"notify.{effect.template}",
        "timestamp": format_instant(about.now),
        "data": {
            "to": effect.to,
            "person": {"slug": person.slug, "name": person.name} if person else None,
            "template": effect.template,
            "unit": about.delivery.unit,
            "record": {"source": event.source, "kind": event.kind, "id": event.record_id},
            "values": canonical(effect.data),
        },
    }


def _letter(
    about: About, effect: Notify, channel: ChannelSettings, found: Resolution, zone: str, url: str,
    facts: Mapping[str, Any],
) -> Letter:  # fmt: skip
    kind, person = KINDS[channel.kind], found.person
    unit = about.configuration.units.get(about.delivery.unit)
    values: dict[str, Any] = {
        **effect.data,
        "record": facts["data"]["record"],
        "unit": unit.title if unit and unit.title else about.delivery.unit,
        "person": {"slug": person.slug, "name": person.name} if person else {"slug": "", "name": plain(effect.to)},
        "now": about.now,
    }
    values.pop("link", None)  # only the server's own link is printed as it is
    if url:
        values["link"] = templates.Trusted(url)
    language = (person.language if person else None) or channel.language or templates.LANGUAGES[0]
    filled = templates.fill(
        about.plugin.folder, effect.template, language=language, zone=zone, endings=kind.endings(channel.options),
        harmless=kind.harmless(channel.options), values=values,
    )  # fmt: skip
    return Letter(filled.subject, filled.text, url, facts)
