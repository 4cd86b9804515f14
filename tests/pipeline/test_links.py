"""Signed links: opened any number of times, used once; forged, expired, moved to another page, and raced for."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.model.effects import Link, Notify
from core.model.errors import ConfigurationRefused, Conflict, LinkExpired, LinkUsed, NotFound
from core.pipeline.commands import Desk, use_desk
from core.pipeline.links import LinkClaims, open_link, token_of, use_link
from core.store import tables
from core.store.database import Database
from tests.pipeline.kit import START
from tests.pipeline.telling import Telling

KEY = "a key of more than thirty-two characters, from outside"


class Linked:
    """A kit that made one link, and the token that its receiver has."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.telling = Telling(database, folder)
        self.database = database
        subject = {"request": "R-1", "version": 3}
        self.telling.tell(
            Notify(
                to="zhang_wei",
                template="decide",
                link=Link(page="decide", subject=subject, valid_for=timedelta(hours=24)),
            )
        )
        self.row = self.telling.message()
        self.desk = Desk(database, self.telling.kit.clock, self.telling.configuration)
        use_desk(self.desk)

    def token(self) -> str:
        link = json.loads(self.row.channel_data)["link"]
        with self.database.read() as connection:
            return token_of(connection, link, self.row.id, START)

    def use(self, token: str, plugin: str = "alpha") -> LinkClaims:
        with self.desk.command(plugin=plugin, unit="default", actor="zhang_wei", while_off=True) as command:
            return use_link(command, token)


@pytest.fixture
def linked(database: Database, tmp_path: Path) -> Linked:
    return Linked(database, tmp_path / "alpha")


def test_a_link_says_what_it_was_signed_for_as_often_as_it_is_opened(linked: Linked) -> None:
    token = linked.token()
    claims = open_link(token, plugin="alpha", page="decide")
    assert claims == LinkClaims(
        "alpha", "decide", {"request": "R-1", "version": 3}, "zhang_wei", "default", linked.row.event_id,
        START + timedelta(hours=24),
    )  # fmt: skip
    assert open_link(token, plugin="alpha", page="decide") == claims
    assert linked.telling.links()[0].used_at is None


def test_a_link_is_used_once(linked: Linked) -> None:
    token = linked.token()
    assert linked.use(token).subject == {"request": "R-1", "version": 3}
    with pytest.raises(LinkUsed):
        linked.use(token)
    with pytest.raises(LinkUsed):
        open_link(token, plugin="alpha", page="decide")


def test_a_command_that_fails_gives_the_link_back(linked: Linked) -> None:
    token = linked.token()
    with (
        pytest.raises(Conflict),
        linked.desk.command(plugin="alpha", unit="default", actor="x") as command,
    ):
        use_link(command, token)
        raise Conflict
    assert linked.use(token).person == "zhang_wei"


def test_an_expired_link_neither_opens_nor_decides(linked: Linked) -> None:
    token = linked.token()
    linked.telling.kit.later(hours=24)
    for refused in (lambda: open_link(token, plugin="alpha", page="decide"), lambda: linked.use(token)):
        with pytest.raises(LinkExpired) as error:
            refused()
        assert error.value.http_status == 410


@pytest.mark.parametrize(("plugin", "page"), [("alpha", "other"), ("beta", "decide")])
def test_a_link_opens_no_other_page(linked: Linked, plugin: str, page: str) -> None:
    with pytest.raises(NotFound):
        open_link(linked.token(), plugin=plugin, page=page)


def test_another_plugin_cannot_use_it_up(linked: Linked) -> None:
    token = linked.token()
    with pytest.raises(NotFound):
        linked.use(token, plugin="beta")
    linked.use(token)


def _flip(token: str, place: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token + "="))
    raw[place] ^= 1
    return base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_whatever_is_changed_in_a_token_it_is_unknown(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    token = linked.token()
    forged = {_flip(token, place) for place in range(32)}
    forged |= {
        "",
        "x",
        token[:-1],
        token + "A",
        token + "=",
        token.swapcase(),
        token[::-1],
        "A" * 43,
        "é" * 43,
        "\x00" * 43,
    }
    forged |= {token[:-1] + char for char in _CHARS if char != token[-1]}  # the last character has bits to spare
    forged |= {hashlib.sha256(token.encode()).hexdigest()[:43], linked.telling.links()[0].id, f" {token}", f"{token}\n"}
    for text in forged:
        with pytest.raises(NotFound):
            open_link(text, plugin="alpha", page="decide")
    assert open_link(token, plugin="alpha", page="decide")


def test_a_forged_token_is_refused_before_anything_is_looked_up(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(token: str) -> str:
        looked.append(token)
        return token

    monkeypatch.setattr("core.pipeline.links._stored_as", look)
    with pytest.raises(NotFound):
        open_link(_flip("A" * 43, 3), plugin="alpha", page="decide")
    assert looked == []


def test_of_fifty_at_once_exactly_one_wins(linked: Linked) -> None:
    token = linked.token()
    outcomes: list[str] = []
    ready = threading.Barrier(50)

    def race() -> None:
        ready.wait()
        try:
            linked.use(token)
            outcomes.append("won")
        except LinkUsed:
            outcomes.append("late")

    threads = [threading.Thread(target=race) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["late"] * 49 + ["won"]


def test_the_token_stands_nowhere_in_the_database(linked: Linked) -> None:
    token = linked.token()
    linked.use(token)
    for table in tables.metadata.sorted_tables:
        for row in linked.telling.kit.rows(table):
            assert token not in str(tuple(row))


def test_the_key_that_the_server_made_stays(linked: Linked) -> None:
    first = linked.telling.kit.rows(tables.server_keys)
    linked.telling.tell(Notify(to="zhang_wei", template="decide", link=Link(page="decide")), record="L2")
    assert linked.telling.kit.rows(tables.server_keys) == first and len(first) == 1
    assert len(base64.b64decode(first[0].value)) == 32
    one, two = linked.telling.links()
    assert one.id != two.id


def test_a_configured_key_is_kept_out_of_the_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTRIGGER_SECRET_KEY", KEY)
    linked = Linked(database, tmp_path / "alpha")
    token = linked.token()
    assert open_link(token, plugin="alpha", page="decide").person == "zhang_wei"
    assert linked.telling.kit.rows(tables.server_keys) == []
    monkeypatch.delenv("OUTRIGGER_SECRET_KEY")
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("OUTRIGGER_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert open_link(token, plugin="alpha", page="decide").person == "zhang_wei"
    monkeypatch.setenv("OUTRIGGER_SECRET_KEY_FILE", str(tmp_path / "other"))
    (tmp_path / "other").write_text(KEY[::-1])
    with pytest.raises(NotFound):
        open_link(token, plugin="alpha", page="decide")
    with pytest.raises(LinkExpired, match="another key"):
        linked.token()


def test_a_short_key_is_refused(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTRIGGER_SECRET_KEY", "short")
    with pytest.raises(ConfigurationRefused, match="OUTRIGGER_SECRET_KEY is shorter"):
        open_link("A" * 43, plugin="alpha", page="decide")


def _expire(linked: Linked) -> None:
    linked.telling.kit.later(hours=25)


def _use(linked: Linked) -> None:
    linked.use(linked.token())


def _erase(linked: Linked) -> None:
    with linked.database.write() as connection:
        connection.execute(sa.delete(tables.links))


@pytest.mark.parametrize(
    ("happens", "why"), [(_expire, "its link expired at 2026-11-23"), (_use, "was used already"), (_erase, "is gone")]
)
def test_a_message_whose_link_is_over_is_not_sent(linked: Linked, happens: Callable[[Any], None], why: str) -> None:
    happens(linked)
    linked.telling.send()
    row = linked.telling.message()
    assert row.status == "suppressed" and row.reason.startswith("no longer true: ") and why in row.reason
