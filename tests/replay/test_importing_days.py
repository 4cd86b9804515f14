"""People in an import: who is there is judged by the day that the clock has reached, in the time zone of the unit."""

from __future__ import annotations

import pytest

from core.model.effects import Decide
from core.store import tables
from tests.people.world import directory
from tests.pipeline.kit import plugin
from tests.replay.importing_kit import all_rows, decide, line, run_import, write

DAY = 24 * 60
MIDNIGHT = 8 * 60  # the first in Shanghai, in minutes after the beginning of the lines: 16:00 in UTC

COMPANY = """
[roles.bu_manager]
title = "事业部经理"
[people.zhang_wei]
name = "张伟"
units = ["*"]
roles = [{ role = "bu_manager", units = ["*"], until = 2016-03-04 }]
absences = [{ from = 2016-03-02, until = 2016-03-02, deputy = "li_na" }]
[people.li_na]
name = "李娜"
units = ["*"]
joined = 2016-03-02
roles = [{ role = "bu_manager", units = ["*"], from = 2016-03-05 }]
left = 2016-03-05
[people.liu_yang]
name = "刘洋"
units = ["*"]
roles = ["bu_manager"]
"""


def asked(event, ctx) -> list[Decide]:
    people = ctx.people
    return [
        decide(
            event,
            ctx,
            zhang_wei=people.resolve("zhang_wei").as_json()["person"],
            holders=[person.slug for person in people.holders("bu_manager")],
            team=[person.slug for person in people.team()],
        )
    ]


@pytest.mark.parametrize("batch", [1, 50])
def test_absences_roles_and_who_joined_or_left_follow_the_day_that_the_clock_has_reached(database, tmp_path, batch):
    minutes = {
        "before": MIDNIGHT - 1,
        "absent": MIDNIGHT,
        "back": MIDNIGHT + DAY,
        "last day of the role": MIDNIGHT + 3 * DAY - 1,
        "role of another": MIDNIGHT + 3 * DAY,
        "left": MIDNIGHT + 4 * DAY,
    }
    lines = [line("order.placed", record_id, minute) for record_id, minute in minutes.items()]
    run_import(
        database,
        [write(tmp_path / "a.jsonl", lines)],
        {"alpha": plugin("alpha", on_order_placed=asked)},
        batch=batch,
        directory=directory(COMPANY),
    )
    found = {
        record_id: (inputs["zhang_wei"], " ".join(inputs["holders"]), "li_na" in inputs["team"])
        for record_id, inputs in all_rows(database, tables.decisions, "record_id", "inputs")
    }
    assert found == {
        "before": ("zhang_wei", "liu_yang zhang_wei", False),
        "absent": ("li_na", "liu_yang zhang_wei", True),
        "back": ("zhang_wei", "liu_yang zhang_wei", True),
        "last day of the role": ("zhang_wei", "liu_yang zhang_wei", True),
        "role of another": ("zhang_wei", "li_na liu_yang", True),
        "left": ("zhang_wei", "liu_yang", False),
    }
