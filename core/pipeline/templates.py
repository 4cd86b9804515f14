"""Fills in the messages that plugins bring in `templates/`: in the reader's language, with nothing from a CRM believed.

A template is `templates/<name>.<language>.txt` (or `.md` for channels that show markdown): a first line `Subject: …`,
then the text. It sees the effect's `data`, and `record`, `unit`, `person`, `link`, `language` and `now`; what it prints
has passed the channel's own harmlessness, the link excepted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.egress.wording import plain
from core.model.errors import EffectRefused, did_you_mean
from core.model.instants import parse_instant

LANGUAGES = ("zh", "en")
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_SUBJECT = "Subject:"
_WEEKDAYS = {
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Trusted(str):
    """Text that is printed as it is: the link that the server itself made."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled template: its subject and its text."""

    subject: str
    text: str


def fill(
    folder: Path,
    name: str,
    *,
    language: str,
    zone: str,
    endings: Sequence[str],
    harmless: Callable[[str], str],
    values: Mapping[str, Any],
) -> Filled:
    """Fill a plugin's template in. Raises EffectRefused naming the file and the variable that is missing."""
    path = _find(folder, name, language, endings)
    shown = f"templates/{path.name}"
    try:
        parts = _compiled(path)
        given = {**values, "language": path.suffixes[-2].lstrip("."), "_zone": zone, "_harmless": harmless}
        subject, text = (part.render(given) for part in parts)
    except jinja2.TemplateSyntaxError as error:
        raise EffectRefused(f"{shown}, line {error.lineno}: {error.message}") from None
    except jinja2.UndefinedError as error:
        known = ", ".join(sorted(values))
        raise EffectRefused(f"{shown}: {error.message}; it is given {known}.") from None
    except Exception as error:
        # A template is the plugin's code; whatever it stumbles over costs its own delivery, with the file's name.
        raise EffectRefused(f"{shown}: {type(error).__name__}: {error}") from error
    return Filled(plain(subject).strip(), text.strip("\n"))


def check_templates(folder: Path) -> list[str]:
    """Return what is wrong with a plugin's templates: a language that is missing, or a file that cannot be read."""
    faults = []
    files = sorted([*(folder / "templates").glob("*.txt"), *(folder / "templates").glob("*.md")])
    for path in files:
        name, _, rest = path.name.partition(".")
        language, _, ending = rest.partition(".")
        for other in LANGUAGES:
            if language in LANGUAGES and not (path.parent / f"{name}.{other}.{ending}").is_file():
                faults.append(f"templates/{name}.{other}.{ending} is missing")
        try:
            _compiled(path)
        except Exception as error:
            # Whatever a template stumbles over is its author's to know, with the file's name.
            faults.append(f"templates/{path.name}: {error}")
    return faults


def _find(folder: Path, name: str, language: str, endings: Sequence[str]) -> Path:
    """Return the template's file: in the language, else in the other one; in the best kind of the channel."""
    place = folder / "templates"
    if _NAME.match(name):
        for tongue in (language, *(other for other in LANGUAGES if other != language)):
            for ending in endings:
                path = place / f"{name}.{tongue}.{ending}"
                if _exists(path):
                    return path
    known = sorted({path.name.partition(".")[0] for path in place.glob("*.*.*")}) if place.is_dir() else []
    raise EffectRefused(
        f'There is no template "{name[:80]}": {folder.name}/templates/{name[:80]}.{language}.{endings[-1]} is missing.'
        f"{did_you_mean(name, known)}"
    )


@functools.lru_cache(maxsize=2048)
def _exists(path: Path) -> bool:
    return path.is_file()


@functools.lru_cache(maxsize=512)
def _compiled(path: Path) -> tuple[jinja2.Template, jinja2.Template]:
    """Return subject and text, compiled apart so that neither can become part of the other; lines keep their number."""
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    if not first.startswith(_SUBJECT):
        raise ValueError('the first line must be "Subject: …", then the text.')
    compile_ = _environment().from_string
    return compile_(first.removeprefix(_SUBJECT)), compile_(f"\n{rest}")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_print,
        loader=None,
    )  # fmt: skip
    environment.filters |= {"when": _when, "day": _day, "money": _money, "number": _number}
    return environment


@jinja2.pass_context
def _print(context: Context, value: Any) -> str:
    """Return what `{{ value }}` prints: harmless, whatever a CRM put into it."""
    if isinstance(value, Trusted):
        return value
    if value is None:
        return "—"
    if isinstance(value, datetime):
        value = _when(context, value)
    elif isinstance(value, Decimal):
        value = format(value, "f")
    harmless: Callable[[str], str] = context["_harmless"]
    return harmless(str(value))


@jinja2.pass_context
def _when(context: Context, value: Any) -> str:
    """Write an instant as people of the unit read it: 2026年11月24日 周二 09:00, Tue 24 Nov 2026 09:00."""
    instant = value if isinstance(value, datetime) else parse_instant(str(value))
    local = instant.astimezone(ZoneInfo(context["_zone"]))
    return f"{_day_text(local.date(), context['language'])} {local:%H:%M}"


@jinja2.pass_context
def _day(context: Context, value: Any) -> str:
    """Write a day, or the day of an instant in the unit: 2026年11月24日 周二, Tue 24 Nov 2026."""
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == 10 else parse_instant(value)
    if isinstance(value, datetime):
        value = value.astimezone(ZoneInfo(context["_zone"])).date()
    return _day_text(value, context["language"])


def _day_text(value: date, language: str) -> str:
    weekday = _WEEKDAYS[language][value.weekday()]
    if language == "zh":
        return f"{value.year}年{value.month}月{value.day}日 {weekday}"
    return f"{weekday} {value.day} {_MONTHS[value.month - 1]} {value.year}"


def _number(value: Any, digits: int | None = None) -> str:
    """Write a number with separators: 1,200,000.5; with `digits` behind the point rounded half up."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{plain(str(value))[:80]} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{number} is not a number that can be told")
    if digits is not None:
        number = number.quantize(Decimal(1).scaleb(-digits), rounding="ROUND_HALF_UP")
        return format(number, ",f")
    text = format(number, ",f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _money(value: Any, currency: str = "CNY") -> str:
    """Write an amount with two digits and its currency: CNY 1,200,000.00."""
    return f"{plain(str(currency))} {_number(value, 2)}"
