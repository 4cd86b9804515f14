"""What people do with cases: the steps there are, the version that is compared, and what follows."""

from __future__ import annotations

import itertools
import json
import threading

import pytest
import sqlalchemy as sa

from core.api import Conflict, InvalidRequest, NotFound
from plugins.case_capture import cases, reading, rules, states
from plugins.case_capture.models import Case
from plugins.case_capture.states import STEPS, CaseStatus, Step
from plugins.case_capture.tests.bench import data

COMPLAINT = rules.case_id("crm", "complaint", "C-1001", "complaint")


@pytest.fixture
def drafted(bench):
    bench.send("complaint.resolved", data("complaint.resolved"))
    return bench


def case_of(bench):
    with bench.desk.read() as session:
        return cases.read_case(session, COMPLAINT)


def found(bench, text, **options):
    with bench.desk.read() as session:
        return [match["case"]["id"] for match in reading.search_cases(session, text, **options)]


def test_a_case_goes_from_draft_to_reviewed_to_published_to_withdrawn(drafted):
    assert cases.review(COMPLAINT, 1, actor="li").reviewed_by == "li"
    assert found(drafted, "划痕") == []
    published = cases.publish(COMPLAINT, 2, actor="wang", reason="Good example")
    assert (published.status, published.published_by, published.version) == ("published", "wang", 3)
    assert found(drafted, "划痕") == [COMPLAINT]
    assert cases.withdraw(COMPLAINT, 3, actor="wang", reason="Customer objected").status == "withdrawn"
    assert found(drafted, "划痕") == []
    with drafted.desk.read() as session:
        history = cases.read_history(session, COMPLAINT)
    assert [(row.version, row.step, row.from_status, row.to_status, row.actor) for row in history] == [
        (1, "draft", None, "draft", "case_capture"),
        (2, "review", "draft", "reviewed", "li"),
        (3, "publish", "reviewed", "published", "wang"),
        (4, "withdraw", "published", "withdrawn", "wang"),
    ]
    assert history[3].reason == "Customer objected"
    assert drafted.emitted() == ["case_capture.published", "case_capture.withdrawn"]
    assert [row.decided_by for row in drafted.decided()] == ["li", "wang", "wang"]


@pytest.mark.parametrize(("status", "step"), list(itertools.product([None, *CaseStatus], Step)))
def test_only_the_drawn_steps_are_possible(status, step):
    if (status, step) in STEPS:
        assert states.next_status(status, step) is STEPS[status, step]
    else:
        with pytest.raises(Conflict):
            states.next_status(status, step)


def test_a_stale_version_is_refused_and_changes_nothing(drafted):
    cases.edit(COMPLAINT, 1, actor="li", title="New title")
    for act in (
        lambda: cases.edit(COMPLAINT, 1, actor="wang", title="Other"),
        lambda: cases.review(COMPLAINT, 1, actor="wang"),
        lambda: cases.publish(COMPLAINT, 1, actor="wang"),
        lambda: cases.withdraw(COMPLAINT, 1, actor="wang", reason="x"),
    ):
        with pytest.raises(Conflict, match="you have version 1, it is now version 2") as caught:
            act()
        assert caught.value.http_status == 409
    assert (case_of(drafted).title, case_of(drafted).version) == ("New title", 2)


def test_of_many_who_decide_at_once_one_counts(drafted):
    answers: list[str] = []
    start = threading.Barrier(8)

    def review(number: int) -> None:
        drafted.server.sit_down()
        start.wait()
        try:
            cases.review(COMPLAINT, 1, actor=f"person {number}")
            answers.append("done")
        except Conflict:
            answers.append("conflict")

    threads = [threading.Thread(target=review, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["conflict"] * 7 + ["done"]
    assert case_of(drafted).version == 2


def test_a_draft_cannot_be_published_unreviewed(drafted):
    with pytest.raises(Conflict, match="possible: edit, review, withdraw"):
        cases.publish(COMPLAINT, 1, actor="li")


def test_a_draft_that_lacks_something_cannot_be_reviewed(bench):
    bench.send("complaint.resolved", {"id": "C-1001", "subject": "Scratches"})
    with pytest.raises(InvalidRequest, match="lacks cause, fix") as caught:
        cases.review(COMPLAINT, 1, actor="li")
    assert [error["path"] for error in caught.value.errors] == ["fields.cause", "fields.fix"]
    cases.edit(COMPLAINT, 1, actor="li", fields={"cause": "Worn pads", "fix": "Felt rollers"})
    assert cases.review(COMPLAINT, 2, actor="li").status == "reviewed"


def test_an_edit_of_a_published_case_takes_it_back_to_draft(drafted):
    cases.review(COMPLAINT, 1, actor="li")
    cases.publish(COMPLAINT, 2, actor="li")
    edited = cases.edit(COMPLAINT, 3, actor="li", fields={"prevention": None})
    assert (edited.status, edited.reviewed_by, edited.published_by) == ("draft", None, None)
    assert "prevention" not in edited.fields
    assert found(drafted, "划痕") == []
    assert found(drafted, "划痕", drafts=True) == [COMPLAINT]
    assert drafted.emitted()[-1] == "case_capture.withdrawn"


def test_a_withdrawn_case_comes_back_through_an_edit(drafted):
    cases.withdraw(COMPLAINT, 1, actor="li", reason="Wrong")
    assert cases.edit(COMPLAINT, 2, actor="li", fields={"cause": "Right"}).status == "draft"


def test_a_withdrawal_needs_a_reason(drafted):
    with pytest.raises(InvalidRequest, match="Say why"):
        cases.withdraw(COMPLAINT, 1, actor="li", reason=" ")


def test_what_a_person_writes_is_masked_too(drafted):
    edited = cases.edit(COMPLAINT, 1, actor="li", fields={"fix": "Call 13812345678"}, title="Ask a@example.com")
    assert (edited.fields["fix"], edited.title) == ("Call [phone]", "Ask [email]")


def test_an_unknown_field_is_refused_with_the_nearest_name(drafted):
    with pytest.raises(InvalidRequest, match='Did you mean "cause"'):
        cases.edit(COMPLAINT, 1, actor="li", fields={"causes": "x"})


def test_an_edit_that_changes_nothing_is_refused(drafted):
    with pytest.raises(InvalidRequest, match="Nothing to change"):
        cases.edit(COMPLAINT, 1, actor="li", fields={"cause": case_of(drafted).fields["cause"]})


def test_a_published_case_in_doubt_is_confirmed_by_publishing_it_again(drafted):
    cases.review(COMPLAINT, 1, actor="li")
    cases.publish(COMPLAINT, 2, actor="li")
    with pytest.raises(Conflict, match="published already"):
        cases.publish(COMPLAINT, 3, actor="li")
    drafted.send("complaint.reopened", {"id": "C-1001"})
    confirmed = cases.publish(COMPLAINT, 4, actor="wang", reason="Another cause")
    assert (confirmed.status, confirmed.doubt, confirmed.version) == ("published", None, 5)
    assert drafted.emitted() == ["case_capture.published"]


def test_a_review_looks_for_duplicates_once_more(drafted):
    twin = {**data("complaint.resolved"), "id": "C-1009"}
    drafted.send("complaint.resolved", twin)
    other = rules.case_id("crm", "complaint", "C-1009", "complaint")
    assert case_of(drafted).duplicates == []
    assert cases.review(COMPLAINT, 1, actor="li").duplicate_of == other


def test_a_case_of_another_unit_is_not_there(drafted):
    mine, others = frozenset({"packaging"}), frozenset({"new_energy"})
    for act in (cases.review, cases.publish):
        with pytest.raises(NotFound):
            act(COMPLAINT, 1, actor="li", units=mine)
    with pytest.raises(NotFound), drafted.desk.read() as session:
        cases.read_case(session, COMPLAINT, mine)
    assert found(drafted, "划痕", drafts=True, units=mine) == []
    assert found(drafted, "划痕", drafts=True, units=others) == [COMPLAINT]


def test_a_failed_step_leaves_nothing_behind(drafted):
    with pytest.raises(Conflict):
        cases.publish(COMPLAINT, 1, actor="li")
    assert (case_of(drafted).version, drafted.emitted(), drafted.decided()) == (1, [], [])


def test_pages_of_a_list_meet_without_gap_or_overlap(bench):
    for number in range(7):
        bench.send("complaint.resolved", {"id": f"C-{number}", "subject": f"Dent {number}"}, minutes=number % 2)
    seen, cursor = [], None
    with bench.desk.read() as session:
        while True:
            page, cursor = reading.list_cases(session, reading.Filters(kind="complaint"), cursor=cursor, limit=3)
            seen += [case.id for case in page]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 7
        assert reading.list_cases(session, reading.Filters(status="published"))[0] == []
        assert reading.list_cases(session, reading.Filters(doubtful=True))[0] == []
        assert len(reading.list_cases(session, reading.Filters(record_id="C-3"))[0]) == 1
        with pytest.raises(InvalidRequest, match="cursor"):
            reading.list_cases(session, reading.Filters(), cursor="!")


def test_highlights_fit_the_text_as_it_is_shown(drafted):
    with drafted.desk.read() as session:
        (match,) = reading.search_cases(session, "６０６３ 划痕", drafts=True)
    texts = {"title": match["case"]["title"], **match["case"]["fields"]}
    marked = {(mark["field"], texts[mark["field"]][mark["start"] : mark["end"]]) for mark in match["highlights"]}
    assert {("title", "6063"), ("title", "划痕"), ("symptom", "划痕"), ("alloy", "6063")} <= marked


@pytest.fixture
def run(drafted):
    def command(*arguments, code=0):
        result = drafted.server.run(*arguments)
        assert result.exit_code == code, result.output
        return result.output

    return command


def test_the_command_line_takes_every_step(run):
    assert COMPLAINT in run("list")
    assert "cause: 出料台石墨垫片磨损。" in run("show", COMPLAINT)
    assert "version 2" in run("edit", COMPLAINT, "--set", "prevention=每班点检=是", "--as", "li")
    assert "reviewed" in run("review", COMPLAINT, "--version", "2", "--as", "li")
    assert "published" in run("publish", COMPLAINT, "--as", "li")
    assert "划痕" in run("search", "划痕")
    assert "withdrawn" in run("withdraw", COMPLAINT, "--reason", "Test", "--as", "li")
    assert json.loads(run("list", "--json"))["items"][0]["status"] == "withdrawn"
    assert json.loads(run("show", COMPLAINT, "--json"))["history"][-1]["reason"] == "Test"
    assert json.loads(run("search", "划痕", "--json")) == {"items": []}


def test_the_command_line_answers_with_a_letter_and_exit_code_1(run):
    assert "possible: edit, review, withdraw" in run("publish", COMPLAINT, code=1)
    assert "There is no case" in run("show", "case_x", code=1)
    assert "it is now version 1" in run("review", COMPLAINT, "--version", "9", code=1)
    assert "FIELD=TEXT" in run("edit", COMPLAINT, "--set", "cause", code=2)


def test_the_migration_and_the_models_say_the_same(bench):
    with bench.server.database.read() as connection:
        inspector = sa.inspect(connection)
        for table in Case.metadata.sorted_tables:
            stored = {column["name"]: column for column in inspector.get_columns(table.name)}
            assert set(stored) == set(table.columns.keys())
            assert {name for name, column in stored.items() if column["nullable"]} == {
                column.name for column in table.columns if column.nullable
            }
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }
