"""Who calls and what the caller may do: roles, units, and the decorator that asks for a role.

Nothing here needs a web framework, so that plugins may import it through the one door at no cost.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from core.model.errors import InvalidRequest, NotAllowed, NotAuthenticated, NotFound, did_you_mean

ROLES = ("reader", "operator", "admin")
"""Each role may do what the ones before it may: read, act on what is stuck, switch plugins."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of an API key. `units` is None for a key of all units."""

    key_id: str
    name: str
    role: str
    units: frozenset[str] | None

    def may(self, role: str) -> bool:
        """Whether this caller's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("outrigger_caller", default=None)


def set_caller(caller: Caller | None) -> None:
    """Say who makes the current request; None ends it."""
    _caller.set(caller)


def caller() -> Caller:
    """Return who makes the current request. Raises NotAuthenticated when nobody was recognised."""
    found = _caller.get()
    if found is None:
        raise NotAuthenticated
    return found


def actor() -> str:
    """Return the name under which what this caller does is recorded."""
    found = caller()
    return f"{found.name} ({found.key_id})"


def allowed_units() -> frozenset[str] | None:
    """Return the units this caller may see, or None for all."""
    return caller().units


def check_unit(unit: str) -> None:
    """Raise NotFound when the unit is not one of the caller's: what is not yours is not there."""
    units = allowed_units()
    if units is not None and unit not in units:
        raise NotFound(f'There is no unit "{unit[:80]}".')


def require(role: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a view so that only keys of this role or a higher one reach it; stands right below the route."""
    known_role(role)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            found = caller()
            if not found.may(role):
                raise NotAllowed(f"This needs the role {role}; the key {found.key_id} has the role {found.role}.")
            return view(*args, **kwargs)

        checked.required_role = role  # type: ignore[attr-defined]
        return checked

    return decorate


def require_all_units() -> None:
    """Raise NotAllowed for a key of some units only, where the answer concerns every unit."""
    if allowed_units() is not None:
        raise NotAllowed("This concerns every unit, and the key is limited to some; use a key of all units.")


def known_role(role: str) -> str:
    """Return the role. Raises InvalidRequest with the nearest known one."""
    if role not in ROLES:
        raise InvalidRequest(f'There is no role "{role}".{did_you_mean(role, ROLES)} Roles: {", ".join(ROLES)}.')
    return role
