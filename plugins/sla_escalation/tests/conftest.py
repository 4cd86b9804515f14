"""A service desk for tests: a whole server with the plugin, people to tell, and a Chinese calendar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.testing import PluginServer, plugin_server
from plugins.sla_escalation.tests.bench import Bench
from plugins.sla_escalation.tests.making import config

FOLDER = Path(__file__).parents[1]

PEOPLE = """
[roles.bu_manager]
title = { zh = "事业部经理", en = "BU manager" }
[roles.sales_director]
title = { zh = "销售总监", en = "sales director" }
[roles.general_manager]
title = { zh = "总经理", en = "general manager" }
[roles.technical_expert]
title = { zh = "技术专家", en = "technical expert" }
[roles.service_agent]
title = { zh = "客服", en = "service agent" }

[people.li_na]
name = "李娜"
crm_ids = ["service.east"]
units = ["new_energy"]
manager = "sun_li"
roles = [{ role = "service_agent", units = ["*"] }]
[people.sun_li]
name = "孙丽"
units = ["new_energy"]
manager = "wang_fang"
roles = [{ role = "technical_expert", units = ["*"] }]
[people.wang_fang]
name = "王芳"
units = ["*"]
roles = [{ role = "bu_manager" }]
[people.zhao_lei]
name = "赵磊"
units = ["*"]
roles = [{ role = "sales_director" }]
[people.chen_gang]
name = "陈刚"
units = ["*"]
roles = [{ role = "general_manager" }]
"""

UNITS = """
[units.new_energy]
title = "新能源事业部"
match = { industry = ["ev"] }
calendar = "cn"
[units.packaging]
title = "包装事业部"
match = { industry = ["packaging"] }
calendar = "cn"
[plugins.sla_escalation]
enabled = true
"""


POSTGRES = os.environ.get("OUTRIGGER_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


@pytest.fixture
def bench() -> Bench:
    """A light stand-in for the server, with the built-in settings."""
    return Bench(config(), PEOPLE)


@pytest.fixture
def server() -> Iterator[PluginServer]:
    """A server with two units, on SQLite."""
    with plugin_server(FOLDER, PEOPLE + UNITS) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def each(request: pytest.FixtureRequest) -> Iterator[PluginServer]:
    """The same on each database in turn."""
    with plugin_server(FOLDER, PEOPLE + UNITS, postgresql=POSTGRES if request.param == "postgresql" else None) as made:
        yield made
