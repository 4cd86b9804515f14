"""Calls one plugin's hooks for one event and turns whatever happens into an outcome; nothing escapes."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from core.host.plugin import Plugin
from core.host.settings import PluginSetting
from core.model.calendar import Calendar
from core.model.context import Context, Records, RowWrite, Unit
from core.model.effects import EFFECTS, Decide, Effect, EmitEvent, effect_keys, is_own_type
from core.model.errors import EffectRefused, printable
from core.model.events import EVENT_TYPES, Event
from core.model.outcomes import Cancel, DeliveryStatus, Snooze
from core.model.people import People
from core.model.schemas import canonical_text
from core.pipeline.slot import Call, CallSlot
from core.store.plugin_session import BufferedSession

MAX_RESULT = 1_000_000
"""How large, in characters of JSON, all effects of one delivery may be together."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of a NUL character in JSON, but not a backslash followed by the text `u0000`."""

_log = structlog.get_logger("outrigger.plugin")


@dataclass(frozen=True, slots=True)
class PluginLog:
    """Implements `ctx.log`; what is bound costs nothing until a plugin has something to say."""

    event_id: str
    unit: str
    plugin: str

    def info(self, message: str, **values: Any) -> Any:
        """Log something worth keeping."""
        return self._bound().info(message, **values)

    def warning(self, message: str, **values: Any) -> Any:
        """Log something a person should look at."""
        return self._bound().warning(message, **values)

    def _bound(self) -> Any:
        return _log.bind(event_id=self.event_id, unit=self.unit, plugin=self.plugin)


@dataclass(slots=True)
class Outcome:
    """How one call of a handler ended."""

    status: DeliveryStatus
    reason: str | None = None
    trace: str | None = None
    delay: timedelta | None = None  # of a snooze
    effects: list[tuple[str, Effect]] = field(default_factory=list)  # (effect key, effect)
    writes: list[RowWrite] = field(default_factory=list)
    tables: Mapping[str, sa.Table] = field(default_factory=dict)
    seconds: float = 0.0  # how long the handler took


def call_plugin(
    plugin: Plugin,
    setting: PluginSetting,
    unit: Unit,
    event: Event[Any],
    *,
    now: datetime,
    session: BufferedSession,
    records: Records,
    people: People,
    calendar: Calendar,
    slot: CallSlot,
    call: Call,
    limit_s: float,
) -> Outcome:
    """Call every hook of `plugin` that hears the event. Exceptions become outcomes; a hang is the supervisor's."""
    context: Context[Any] = Context(
        unit=unit,
        config=setting.config,
        now=now,
        session=session,
        records=records,
        people=people,
        calendar=calendar,
        log=PluginLog(event.id, unit.slug, plugin.name),
    )
    effects: list[Effect] = []
    slot.begin(call, limit_s)
    try:
        for hook in plugin.hears(event.type):
            effects.extend(_checked(plugin.hooks[hook](event=event, ctx=context), plugin, hook))
        keyed = _keyed(effects, plugin)
        outcome = Outcome(DeliveryStatus.COMPLETED, effects=keyed, writes=session.writes, tables=session.tables)
    except Snooze as snooze:
        outcome = Outcome(DeliveryStatus.SCHEDULED, reason=printable(snooze.reason), delay=snooze.delay)
    except Cancel as cancel:
        outcome = Outcome(DeliveryStatus.CANCELLED, reason=printable(cancel.reason))
    except (Exception, SystemExit, GeneratorExit, asyncio.CancelledError) as error:
        # A broad except is the point here: a plugin's fault costs its own delivery and nothing else. Whatever goes
        # past it ends this worker with the call still in its slot, so that the supervisor knows the culprit.
        outcome = Outcome(
            DeliveryStatus.RETRYABLE,
            reason=printable(error, before=f"{type(error).__name__}: "),
            trace=printable(traceback.format_exc(limit=-12)[-8000:], longest=8000),
        )
    slot.end()
    session.close()
    return outcome


def _keyed(effects: list[Effect], plugin: Plugin) -> list[tuple[str, Effect]]:
    keyed = list(zip(effect_keys(effects), effects, strict=True))
    if len(dict(keyed)) < len(keyed):
        raise EffectRefused(f"{plugin.name} returned two effects of the same kind and key; a key names one effect.")
    return keyed


def _checked(result: Any, plugin: Plugin, hook: str) -> Sequence[Effect]:
    """Check what a hook returned. Raises EffectRefused naming the hook and what was wrong."""
    if result is None:
        return []
    if not isinstance(result, (list, tuple)):
        raise EffectRefused(f"{plugin.name}.{hook} returned {type(result).__name__}; a list of effects is expected.")
    size = 0
    for effect in result:
        if not isinstance(effect, Effect) or type(effect).name not in EFFECTS:
            raise EffectRefused(f"{plugin.name}.{hook} returned a list with {type(effect).__name__}, no effect.")
        if effect.name not in plugin.manifest.effects:
            raise EffectRefused(
                f'{plugin.name}.{hook} asked for "{effect.name}", which its plugin.toml does not list in `effects`.'
            )
        size += _check_content(effect, plugin, hook)
    if size > MAX_RESULT:
        raise EffectRefused(f"{plugin.name}.{hook} returned more than {MAX_RESULT} characters of effects.")
    return result


def _check_content(effect: Effect, plugin: Plugin, hook: str) -> int:
    """Check that an effect can be stored, while the blame can still be laid at its door; return its size."""
    if isinstance(effect, EmitEvent) and (effect.type in EVENT_TYPES or not is_own_type(effect.type, plugin.name)):
        raise EffectRefused(f'{plugin.name}.{hook} may emit events named "{plugin.name}.…", not "{effect.type}".')
    values = {name: getattr(effect, name) for name in effect.__dataclass_fields__}
    if isinstance(effect, Decide):
        values["reasons"] = [reason.as_json() for reason in effect.reasons]
    try:
        text = canonical_text(values)
        text.encode()
    except (TypeError, ValueError) as error:
        raise EffectRefused(f"{plugin.name}.{hook} returned a {effect.name} that is no JSON: {error}") from None
    if _NUL.search(text):
        raise EffectRefused(f"{plugin.name}.{hook} returned a {effect.name} with a NUL character; no column holds it.")
    return len(text)
