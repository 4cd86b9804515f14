"""Who works in the tests' company, the quotes they write, and a whole server with the plugin in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from core.testing import PluginServer, plugin_server
from plugins.quote_approval.config import ConfigSchema
from plugins.quote_approval.deciding import Said, decide
from plugins.quote_approval.models import Asked, QuoteState, Request
from plugins.quote_approval.opening import request_id
from plugins.quote_approval.settings import Config

FOLDER = Path(__file__).parents[1]

PEOPLE = """
[roles]
bu_manager = { title = { zh = "事业部经理", en = "BU manager" } }
sales_director = { title = { zh = "销售总监", en = "Sales director" } }
general_manager = { title = { zh = "总经理", en = "General manager" } }
finance = { title = { zh = "财务", en = "Finance" } }

[people.li_na]
name = "李娜"
crm_ids = ["li.na"]
email = "li.na@example.com"
units = ["*"]
manager = "chen"

[people.chen]
name = "陈经理"
email = "chen@example.com"
units = ["default"]
roles = ["bu_manager"]
manager = "wang"
deputy = "he"

[people.he]
name = "何副经理"
email = "he@example.com"
language = "en"
units = ["*"]
manager = "wang"

[people.gao]
name = "高经理"
email = "gao@example.com"
units = ["packaging"]
roles = ["bu_manager"]
manager = "wang"

[people.wang]
name = "王总监"
email = "wang@example.com"
units = ["*"]
roles = ["sales_director"]
manager = "zhao"

[people.zhao]
name = "赵总"
email = "zhao@example.com"
units = ["*"]
roles = ["general_manager"]

[people.sun]
name = "孙会计"
email = "sun@example.com"
units = ["*"]
roles = ["finance"]
manager = "zhao"
"""

SETTINGS = (
    PEOPLE
    + """
[channels.mail]
kind = "smtp"
host = "127.0.0.1"
sender = "outrigger@example.com"

[units.packaging]
match = { industry = ["packaging"] }

[plugins.quote_approval]
enabled = true
"""
)

CUSTOMER = {"name": "华星电子", "tier": "B"}
LINE = {
    "product": "托盘边框",
    "specification": "6005A-T6 3.0 mm",
    "quantity": "10",
    "unit": "t",
    "unit_price": "20000",
    "discount": "0.03",
}
SAFE = {
    "customer_id": "C-1",
    "owner": "li.na",
    "currency": "CNY",
    "amount": "194000",
    "discount": "0.03",
    "margin": "0.15",
    "payment_terms": "月结30天",
    "lead_time_days": 20,
    "lines": [LINE],
}
"""A quote that the built-in table approves by rule."""

RISKY: dict[str, Any] = {**SAFE, "margin": "0.07"}
"""One that goes to the reviewer of its tier."""

CRITICAL: dict[str, Any] = {**SAFE, "margin": "0.02"}
"""One that goes to the reviewer, and then to the general manager and finance."""


def config(**values: Any) -> Config:
    """Return the settings with these values over the built-in ones."""
    loaded: Config = ConfigSchema().load(values)
    return loaded


def facts(**values: Any) -> Any:
    """Return facts for the table: a safe quote with these values."""
    known = {
        "tier": "B", "currency": "CNY", "unit": "default", "amount": 100_000, "discount": 0, "margin": 1,
        "payment_days": 0, "lead_time_days": 10,
    }  # fmt: skip
    return SimpleNamespace(**{**known, **values})


POSTGRES = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def postgresql_answers() -> bool:
    """Whether the PostgreSQL that tests use can be reached."""
    engine = sa.create_engine(POSTGRES, connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


_numbers = itertools.count(1)
_clients: dict[tuple[int, str, tuple[str, ...]], Any] = {}


class Scene:
    """A server with the plugin, and one quote of one customer of its own; many scenes may share a server."""

    def __init__(self, server: PluginServer) -> None:
        self.server = server
        number = next(_numbers)
        self.quote, self.customer = f"Q-{number}", f"C-{number}"

    def web(self, *, role: str = "admin", units: tuple[str, ...] = ("*",)) -> Any:
        """Return a client of the API and the pages with a key of this role, the same for all scenes of a server."""
        place = (id(self.server), role, units)
        if place not in _clients:
            _clients[place] = self.server.web(role=role, units=units)
        return _clients[place]

    def hand_in(self, quote: dict[str, Any] = RISKY, **values: Any) -> Any:
        """Send the customer and the quote; return the request as it is then."""
        self.know_customer()
        return self.submit(quote, **values)

    def know_customer(self, **values: Any) -> None:
        """Send the customer."""
        self.server.send("customer.updated", {**CUSTOMER, "id": self.customer, **values})

    def submit(self, quote: dict[str, Any] = RISKY, **values: Any) -> Any:
        """Hand the quote in; return its request."""
        return self.tell("quote.submitted", **{**quote, "customer_id": self.customer, **values})

    def tell(self, type: str, **values: Any) -> Any:
        """Send an event about the quote; return its newest request."""
        self.server.send(type, {**values, "id": self.quote})
        return self.request()

    def request(self) -> Any:
        """Return the quote's newest request, or None."""
        (state,) = self.server.rows(QuoteState, QuoteState.record_id == self.quote) or [None]
        found = self.server.rows(Request, Request.id == state.request_id) if state else []
        return found[0] if found else None

    def statuses(self) -> list[str]:
        """Return where the quote's requests stand, the oldest first."""
        found = {row.id: row.status for row in self.server.rows(Request, Request.record_id == self.quote)}
        return [found[request_id("crm", self.quote, number)] for number in range(1, len(found) + 1)]

    def asked(self, level: int | None = None) -> list[str]:
        """Return who was asked about the newest request."""
        rows = self.server.rows(Asked, Asked.request_id == self.request().id)
        return [row.person for row in rows if level in (None, row.level)]

    def decide(self, by: str | None, decision: str = "approve", comment: str = "", version: int | None = None) -> Any:
        """Decide about the newest request as this person, and let follow what follows; return the request."""
        request = self.request()
        said = Said(
            decision=decision, by=by, comment=comment, version=version or request.version, actor=f"test:{by}", how="api"
        )
        decide(request.id, said)
        self.server.work()
        return self.request()

    def decisions(self) -> list[Any]:
        """Return the decisions about the quote, oldest first."""
        return self.server.decisions(self.quote)

    def outcomes(self) -> list[str]:
        """Return how they ended."""
        return [row.outcome for row in self.decisions()]

    def messages(self, effect: str) -> list[Any]:
        """Return what is to be sent about the quote."""
        return [row for row in self.server.messages(effect) if row.record_id == self.quote]

    def written(self) -> dict[str, Any]:
        """Return what was written back to the CRM last."""
        fields: dict[str, Any] = json.loads(self.messages("update_record")[-1].body)["data"]["fields"]
        return fields

    def notices(self) -> list[tuple[str, str]]:
        """Return who was told what, in order: (person, subject)."""
        found = []
        for row in self.messages("notify"):
            asked = json.loads(row.channel_data)["asked"]["person"]
            found.append((asked, json.loads(row.body).get("subject", row.type).replace(self.quote, "Q")))
        return found

    def timers(self) -> list[Any]:
        """Return the quote's timers that are still to fire."""
        return [row for row in self.server.timers() if row.record_id == self.quote]

    def link(self, person: str) -> str:
        """Return the path of the newest link that was sent to a person."""
        for row in reversed(self.messages("notify")):
            data = json.loads(row.channel_data)
            if data["asked"]["person"] == person and data.get("link"):
                return str(self.server.link(row))
        raise AssertionError(f"no link was sent to {person}")


@contextlib.contextmanager
def scene(settings: str = SETTINGS, *, postgresql: bool = False) -> Iterator[Scene]:
    """Run a server with the plugin."""
    with plugin_server(FOLDER, settings, postgresql=POSTGRES if postgresql else None) as server:
        yield Scene(server)
