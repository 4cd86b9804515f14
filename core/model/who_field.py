"""Fields for plugins' settings that name whom to ask, so that a name nobody answers to is refused with its path.

Public: `Who()` and `WhoList()` for config schemas; the host loads settings inside `checking_names(...)`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Collection, Iterator
from typing import Any

import marshmallow as ma

from core.model.errors import did_you_mean

CheckName = Callable[[str], str | None]
"""Says why a name cannot be asked, or None when it can."""

_check: contextvars.ContextVar[CheckName | None] = contextvars.ContextVar("outrigger_check_name", default=None)


@contextlib.contextmanager
def checking_names(check: CheckName) -> Iterator[None]:
    """Have the names in settings that are loaded inside checked; elsewhere, as in a plugin's tests, they are not."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


class Who(ma.fields.String):
    """Whom to ask: a role, a person's slug or CRM id, or `manager_of:` before one of a person; loaded as plain text.

    `words` are names with which the plugin means somebody itself, such as `owner`, also behind `manager_of:`.
    Defaults are checked like given values.
    """

    def __init__(self, *, words: Collection[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self._words = tuple(words)

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        """Return the name. Raises marshmallow.ValidationError when nobody can be asked by it."""
        found = super().deserialize(value, attr, data, **kwargs)
        if isinstance(found, str):
            self.check(found)
        return found

    def check(self, name: str) -> None:
        """Raise marshmallow.ValidationError when nobody can be asked by this name."""
        check = _check.get()
        if check is None or name.removeprefix("manager_of:") in self._words:
            return
        fault = check(name)
        if fault is not None:
            near = "" if "Did you mean" in fault else did_you_mean(name, self._words)
            raise ma.ValidationError(fault[:1].upper() + fault[1:] + near)


class WhoList(ma.fields.List[str]):
    """Several to ask, each as `Who`."""

    def __init__(self, *, words: Collection[str] = (), **options: Any) -> None:
        self._who = Who(words=words)
        super().__init__(self._who, **options)

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        """Return the names; marshmallow itself looks into given lists only, so a default is looked into here."""
        found = super().deserialize(value, attr, data, **kwargs)
        if value is ma.missing and isinstance(found, (list, tuple)):
            faults = {}
            for index, name in enumerate(found):
                try:
                    self._who.check(name)
                except ma.ValidationError as error:
                    faults[index] = error.messages
            if faults:
                raise ma.ValidationError(faults)
        return found
