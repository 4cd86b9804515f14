"""Marshmallow schemas of the canonical records, made from their dataclasses so that the two cannot disagree."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import marshmallow as ma

from core.model import strict_json
from core.model.errors import ItemRejected, did_you_mean
from core.model.instants import format_instant, parse_instant
from core.model.quick_checks import SLOW, checks_of
from core.model.records import KINDS

MAX_TEXT = 64 * 1024
MAX_AMOUNT_DIGITS = 24


class Instant(ma.fields.Field[datetime]):
    """An RFC 3339 instant, kept in UTC; a time without an offset is refused, since it would be a guess."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        if isinstance(value, str):
            try:
                return parse_instant(value)
            except ValueError as error:
                raise ma.ValidationError(str(error)) from None
        raise ma.ValidationError("Not an RFC 3339 time such as 2026-11-22T08:30:00Z.")

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else format_instant(value)


class Amount(ma.fields.Field[Decimal]):
    """An exact decimal number of at most 24 digits; sent as a number or as text, kept as text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise ma.ValidationError("Not a decimal number.")
        try:
            number = Decimal(value) if not isinstance(value, str) or len(value) <= 40 else None
        except ArithmeticError:
            number = None
        if number is None or not number.is_finite():
            raise ma.ValidationError("Not a decimal number.")
        if abs(number.adjusted()) > MAX_AMOUNT_DIGITS or len(number.as_tuple().digits) > MAX_AMOUNT_DIGITS:
            raise ma.ValidationError(f"A number of more than {MAX_AMOUNT_DIGITS} digits.")
        return number

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else format(value, "f")


class Text(ma.fields.String):
    """Text of at most 64 KiB; numbers are taken as text, since CRMs send ids both ways."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        text = super()._deserialize(value, attr, data, **kwargs)
        if text is not None and len(text) > MAX_TEXT:
            raise ma.ValidationError(f"Longer than {MAX_TEXT} characters.")
        return text


class Identifier(Text):
    """A record's id: 1 to 200 characters, no control characters."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not 1 <= len(text) <= 200 or not text.isprintable():
            raise ma.ValidationError("An id has 1 to 200 printable characters.")
        return text


class RecordSchema(ma.Schema):
    """The base of the generated schemas: unknown fields are kept in `extra`, never dropped."""

    class Meta:
        """Unknown keys reach `load` so that they can be moved to `extra`."""

        unknown = ma.INCLUDE


def _field_for(hint: Any, *, required: bool) -> ma.fields.Field[Any]:
    options: dict[str, Any] = {"required": required, "allow_none": not required}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _field_for(next(a for a in arguments if a is not type(None)), required=required)
    if dataclasses.is_dataclass(hint):
        return ma.fields.Nested(_schema_class(typing.cast(type, hint)), unknown=ma.RAISE, **options)
    if origin is tuple:
        return ma.fields.List(_field_for(arguments[0], required=True), **options)
    if origin is Mapping:
        values = ma.fields.Integer(strict=True) if arguments[1] is int else None
        return ma.fields.Dict(keys=ma.fields.String(), values=values, **options)
    if hint is int:
        return ma.fields.Integer(strict=True, **options)
    if hint is bool:
        return ma.fields.Boolean(truthy={True}, falsy={False}, **options)
    simple: dict[Any, type[ma.fields.Field[Any]]] = {str: Text, Decimal: Amount, datetime: Instant}
    return simple[hint](**options)


@cache
def _schema_class(cls: type) -> type[ma.Schema]:
    hints = typing.get_type_hints(cls)
    fields: dict[str, ma.fields.Field[Any]] = {}
    for item in dataclasses.fields(cls):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        fields[item.name] = _field_for(hints[item.name], required=required)
    if "id" in fields:
        fields["id"] = Identifier(required=True)
    return type(f"{cls.__name__}Schema", (RecordSchema,), dict(fields))


@cache
def schema_for(kind: str) -> ma.Schema:
    """Return the schema of a record kind (`lead`, `quote`, …)."""
    return _schema_class(typing.cast(type, KINDS[kind]))()


def check_slowly(kind: str, name: str, value: Any) -> Any:
    """Check one field by its schema; return it in canonical JSON values. Raises marshmallow's ValidationError."""
    return canonical(schema_for(kind).fields[name].deserialize(value, name, {name: value}))


def validate_record(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a sender sent about a record; return it in canonical JSON values.

    Decimals come back as text, instants as UTC RFC 3339 text, unknown fields inside `extra`; an explicit null
    stays null, an omitted field stays omitted. Raises ItemRejected with every fault and its path.
    """
    checks = checks_of(kind)
    unknown: dict[str, Any] = {}
    result: dict[str, Any] = {}
    faults: dict[str, Any] = {}
    if "id" not in data:
        faults["id"] = ["Missing; every record needs the id it has in the CRM."]
    for key, value in data.items():
        check = checks.get(key)
        if check is None:
            unknown[key] = value
            continue
        checked = check(value)
        if checked is SLOW:
            try:
                checked = check_slowly(kind, key, value)
            except ma.ValidationError as error:
                faults[key] = error.messages
                continue
        result[key] = checked
    if faults:
        raise rejected(kind, faults)
    if unknown:
        extra = dict(result.get("extra") or {})
        for key, value in unknown.items():
            extra.setdefault(key[:200], value)
        result["extra"] = extra
    return result


def canonical(value: Any) -> Any:
    """Turn decimals, instants and days, at any depth, into the text they are stored as; spans become seconds."""
    if isinstance(value, (str, int)) or value is None:
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: canonical(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value


def _canonical_other(value: Any) -> Any:
    plain = canonical(value)
    if plain is value:
        raise TypeError(f"{type(value).__name__} cannot be stored as JSON")
    return plain


_encode_canonical = strict_json.encoder(_canonical_other)


def canonical_text(value: Any) -> str:
    """Encode any value as `canonical_json(canonical(value))` does, in one pass; keys must be texts or numbers.

    Raises TypeError or ValueError for what is no JSON.
    """
    return _encode_canonical(value)


def rejected(kind: str, faults: Mapping[str, Any]) -> ItemRejected:
    """Build the letter that names every fault by its path."""
    errors = [{"path": path, "message": message} for path, message in _flatten(faults, kind)]
    listed = "; ".join(f"{e['path']}: {e['message']}" for e in errors[:5])
    more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
    return ItemRejected(f"The {kind} does not fit its schema: {listed}{more}", errors=errors)


def _flatten(faults: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(faults, Mapping):
        return [pair for key, value in faults.items() for pair in _flatten(value, f"{path}.{key}")]
    if isinstance(faults, list):
        return [pair for value in faults for pair in _flatten(value, path)]
    return [(path, str(faults))]


Converter = Callable[[Any], Any]


def _identity(value: Any) -> Any:
    return value


def _converter(hint: Any) -> Converter:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _converter(next(a for a in arguments if a is not type(None)))
    if dataclasses.is_dataclass(hint):
        build = builder_for(typing.cast(type, hint))
        return lambda value: build(value)
    if origin is tuple:
        inner = _converter(arguments[0])
        return lambda value: tuple(inner(item) for item in value)
    if origin is Mapping:
        return frozen
    if hint is Decimal:
        return Decimal
    if hint is datetime:
        return parse_instant
    return _identity


def frozen(value: Any) -> Any:
    """Return a copy that nobody can change by accident: plugins share events, and the record behind them lives on."""
    if isinstance(value, Mapping):
        return types.MappingProxyType({key: frozen(item) for key, item in value.items()})
    return [frozen(item) for item in value] if isinstance(value, list) else value


def builder_for(cls: type) -> Callable[[Mapping[str, Any]], Any]:
    """Return a fast function from canonical JSON values to the frozen dataclass; unknown keys are ignored.

    Inside the server values were validated at the door, so this converts and does not check again.
    """
    return _builder(cls)


@cache
def _builder(cls: type) -> Callable[[Mapping[str, Any]], Any]:
    hints = typing.get_type_hints(cls)
    converters = {item.name: _converter(hints[item.name]) for item in dataclasses.fields(cls)}

    def build(values: Mapping[str, Any]) -> Any:
        return cls(
            **{key: converters[key](value) for key, value in values.items() if value is not None and key in converters}
        )

    return build


def known_fields(kind: str) -> frozenset[str]:
    """Return the field names of a record kind."""
    return frozenset(schema_for(kind).fields)


def check_fields(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Check a partial set of fields, as UpdateRecord carries them. Raises ItemRejected with the nearest name."""
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise ItemRejected(f'There is no kind of record "{kind[:80]}" whose fields can be set.{near}')
    names = known_fields(kind)
    for name in fields:
        if name not in names or name == "id":
            raise ItemRejected(f'A {kind} has no field "{name}" to set.{did_you_mean(name, names)}')
    checked = validate_record(kind, {"id": "-", **fields})
    del checked["id"]
    return checked


def canonical_json(value: Any) -> str:
    """Encode canonical values for storage."""
    return strict_json.dumps(value)
