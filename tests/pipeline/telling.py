"""A small server that tells people: a plugin with templates, a directory, channels, and a sender."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.host.channel_sections import channel_settings, check_channels
from core.host.faults import Faults
from core.host.settings import ChannelSettings, Configuration
from core.host.toml_document import parse
from core.pipeline.outbox import Sender
from core.store import tables
from core.store.database import Database
from core.testing.directories import calendar_of, directory_of
from tests.pipeline.kit import Kit, plugin

PEOPLE = """
[roles.sales_director]
title = { zh = "销售总监", en = "Sales director" }
[roles.nobody_role]
title = "空缺"

[people.gone]
name = "前任"
units = ["*"]
roles = ["nobody_role"]
left = 2026-06-30

[people.zhang_wei]
name = "张伟"
crm_ids = ["u-1"]
email = "zhang.wei@factory.example"
wecom = "ZhangWei"
units = ["*"]
roles = ["sales_director"]

[people.smith]
name = "Anna Smith"
email = "smith@factory.example"
phone = "13800002222"
language = "en"
units = ["*"]
channels = ["group", "mail"]

[people.no_mail]
name = "王五"
units = ["*"]
channels = ["mail"]

[people.away]
name = "赵六"
email = "away@factory.example"
units = ["*"]
deputy = "zhang_wei"
absences = [{ from = 2026-11-01, until = 2026-12-01 }]
"""

CHANNELS = """
[channels.mail]
kind = "smtp"
host = "127.0.0.1"
port = 9
sender = "outrigger@factory.example"

[channels.group]
kind = "wecom_bot"
url = "env:ROBOT_URL"
"""

TEMPLATES = {
    "hot_lead.zh.txt": "Subject: 热门线索：{{ company }}\n{{ person.name }}，您好：\n"
    "公司：{{ company }}\n级别：{{ grade }}\n",
    "hot_lead.en.txt": "Subject: Hot lead: {{ company }}\n"
    "Dear {{ person.name }},\n{{ company }} is grade {{ grade }}.\n",
    "hot_lead.zh.md": "Subject: 热门线索\n> 公司：**{{ company }}**\n> 级别：{{ grade }}\n",
    "decide.zh.txt": "Subject: 待审批\n请处理：\n{{ link }}\n谢谢。\n",
    "decide.en.txt": "Subject: Please decide\n{{ link }}\n",
    "only_zh.zh.txt": "Subject: 只有中文\n{{ company }}\n",
}

metadata = sa.MetaData()
requests = sa.Table(
    "alpha_requests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("is_open", sa.Boolean),
)


class Request:
    """Stands for the plugin's model of its table."""

    __table__ = requests
    __tablename__ = "alpha_requests"


def channels_of(text: str) -> dict[str, ChannelSettings]:
    """Return the channels that a plugins.toml with these sections has."""
    faults = Faults()
    found = check_channels(parse(text, "test"), faults, lambda path, key="": path)
    assert not faults, faults.letter()
    return {slug: channel_settings(slug, item) for slug, item in found.items()}


class Telling:
    """A kit whose plugin `alpha` answers each new lead with `effects`."""

    def __init__(self, database: Database, folder: Path, channels: str = CHANNELS, people: str = PEOPLE) -> None:
        self.effects: list[Any] = []
        self.channels: Mapping[str, ChannelSettings] = channels_of(channels)
        self.allow: tuple[str, ...] = ("127.0.0.0/8",)
        self.directory = directory_of(people)
        self.calendar = calendar_of("cn")
        self.results: list[str] = []
        (folder / "templates").mkdir(parents=True, exist_ok=True)
        self.folder = folder
        for name, text in TEMPLATES.items():
            self.template(name, text)
        self.answer: Callable[[Any], list[Any]] = lambda event: self.effects
        made = plugin("alpha", on_lead_created=lambda event, ctx: self.answer(event))
        alpha = dataclasses.replace(made, folder=folder, tables=metadata)
        self.kit = Kit(database, {"alpha": alpha})
        plain = self.kit.current
        self.kit.current = lambda connection, number=None: self._adapt(plain(connection, number))  # type: ignore[method-assign]
        metadata.create_all(database.engine)
        self.sender = self.new_sender()

    def template(self, name: str, text: str) -> None:
        """Put a template into the plugin's folder."""
        (self.folder / "templates" / name).write_text(text, encoding="utf-8")

    def _adapt(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(
            configuration,
            channels=self.channels,
            directory=self.directory,
            calendars={"cn": self.calendar},
            dispatch=dataclasses.replace(configuration.dispatch, egress_allow=self.allow),
        )

    def configuration(self) -> Configuration:
        """Return the configuration in force."""
        with self.kit.database.read() as connection:
            return self.kit.current(connection)

    def new_sender(self) -> Sender:
        """Return a sender, as another courier would have it."""
        return Sender(
            self.kit.database, self.kit.clock, self.configuration,
            observe=lambda effect, result: self.results.append(str(result)),
        )  # fmt: skip

    def tell(self, *effects: Any, record: str = "L1") -> None:
        """Let the plugin ask for these effects, and record them."""
        self.effects = list(effects)
        self.kit.send("lead.created", record)
        self.kit.drain()

    def send(self) -> int:
        """Send what is due and wait for it; return how many messages were tried."""
        before = len(self.results)
        self.sender.send_due()
        assert self.sender.settle(20) == 0
        return len(self.results) - before

    def rows(self) -> list[Any]:
        """Return the outbox."""
        return self.kit.rows(tables.outbox)

    def message(self) -> Any:
        """Return the one message."""
        [row] = self.rows()
        return row

    def message_of(self, record: str) -> Any:
        """Return the message about a record."""
        [row] = self.kit.rows(tables.outbox, tables.outbox.c.record_id == record)
        return row

    def body(self) -> Any:
        """Return the one message's body."""
        return json.loads(self.message().body)

    def refusal(self) -> str:
        """Return why the one delivery could not be recorded."""
        [row] = self.kit.rows(tables.deliveries)
        assert row.status == "retryable"
        return str(row.reason)

    def links(self) -> list[Any]:
        """Return the links that were made."""
        return self.kit.rows(tables.links)
