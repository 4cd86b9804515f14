"""How the rows of lead and quote sets become events: what is told, what is left out, and why a row is refused."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.replay.play import all_sets
from deploy.replay.rows import Files
from tests.replay.mapping_kit import map_set, told

XEDUCATION = {
    "Prospect ID": "p-1",
    "Lead Number": "20",
    "Lead Origin": "API",
    "Lead Source": "Google",
    "Do Not Email": "No",
    "Converted": "1",
    "TotalVisits": "3.0",
    "Total Time Spent on Website": "640",
    "Country": "India",
    "Specialization": "Select",
    "What is your current occupation": "",
    "City": "Select",
    "Tags": "Closed by Horizzon",
    "A free copy of Mastering The Interview": "No",
    "Lead Quality": "High in Relevance",
}


def test_an_enquiry_tells_nothing_that_was_filled_in_after_the_first_contact(tmp_path):
    rows = [XEDUCATION, {**XEDUCATION, "Prospect ID": "p-0", "Lead Number": "10"}, {**XEDUCATION, "Prospect ID": " "}]
    book, lines = map_set(tmp_path, "lead_xeducation", {"open/leads.csv.gz": rows})
    assert [record for _, record, _ in told(lines)] == ["p-0", "p-1"]
    assert book.refused == {"no Prospect ID": 1}
    assert "Horizzon" not in str(lines)
    assert "Relevance" not in str(lines)
    assert lines[0]["data"]["counters"] == {"visits": 3, "minutes_on_site": 640}
    assert "city" not in lines[0]["data"]


BANK = {
    "row_id": "7",
    "contact": "cellular",
    "day": "5",
    "month": "may",
    "duration": "261",
    "campaign": "2",
    "pdays": "-1",
    "previous": "0",
    "poutcome": "unknown",
    "y01": "0",
    "job": "technician",
    "balance": "2143",
}
CALL = {**BANK, "day_of_week": "tue", "pdays": "999", "poutcome": "nonexistent", "y01": "1"}


def test_a_call_is_told_before_its_answer_and_the_year_follows_from_the_order(tmp_path):
    rows = [BANK, {**BANK, "row_id": "8", "month": "jan", "y01": "1"}, {**BANK, "day": "31", "month": "feb"}]
    odd = [CALL, {**CALL, "day_of_week": "someday"}, {**CALL, "month": "mai"}, {**CALL, "contact": "pigeon"}]
    files = {"open/bank_full.csv.gz": rows, "open/bank_additional_full.csv.gz": odd}
    book, lines = map_set(tmp_path, "lead_bank_marketing", files)
    assert told(lines) == [
        ("lead.created", "BF-7", "2008-05-05T09:00:00Z"),
        ("lead.lost", "BF-7", "2008-05-05T17:00:00Z"),
        ("lead.created", "BF-8", "2009-01-05T09:00:00Z"),
        ("lead.converted", "BF-8", "2009-01-05T17:00:00Z"),
        ("lead.created", "BA-7", "2008-05-06T09:00:00Z"),
    ]
    assert book.refused.keys() == {
        "no such day in that month",
        "no weekday of this name",
        "no month of this name",
        "unknown channel",
    }
    assert not {"261", "technician", "2143"} & set(str(lines).replace("'", " ").split())


def test_a_deal_converts_its_lead_and_says_only_then_what_it_is_about(tmp_path):
    lead = {"mql_id": "m-1", "first_contact_date": "2018-02-01", "landing_page_id": "x", "origin": "unknown"}
    deal = {
        "mql_id": "m-1",
        "won_date": "2018-03-01 10:00:00",
        "business_segment": "pet",
        "sr_id": "s",
        "seller_id": "z",
        "lead_type": "offline",
        "business_type": "reseller",
        "declared_monthly_revenue": "0",
    }
    files = {
        "open/mql.csv.gz": [lead, {**lead, "mql_id": "m-2", "first_contact_date": "soon"}],
        "open/closed_deals.csv.gz": [deal, {**deal, "mql_id": "m-9"}],
    }
    book, lines = map_set(tmp_path, "lead_olist_funnel", files)
    assert told(lines) == [
        ("lead.created", "m-1", "2018-02-01T12:00:00Z"),
        ("lead.converted", "m-1", "2018-03-01T13:00:00Z"),
    ]
    assert "industry" not in lines[0]["data"]
    assert book.refused == {"first_contact_date of another form": 1, "the deal's lead is not in the set": 1}


def test_an_opportunity_names_its_customer_once_and_its_closing_value_only_at_the_end(tmp_path):
    row = {
        "opportunity_id": "O1",
        "sales_agent": "agent_1",
        "product": "GTXPro",
        "account": "Acme",
        "deal_stage": "Won",
        "engage_date": "2017-01-01",
        "close_date": "2017-02-01",
        "close_value": "4700.0",
        "won": "1.0",
    }
    files = {
        "open/sales_pipeline.csv.gz": [
            row,
            {**row, "opportunity_id": "O2", "deal_stage": "Lost", "close_value": "0.0"},
            {**row, "opportunity_id": "O3", "deal_stage": "Prospecting", "engage_date": ""},
            {**row, "opportunity_id": "O4", "deal_stage": "Engaging", "account": "", "close_date": ""},
            {**row, "opportunity_id": "O5", "product": "GTX Nope"},
            {**row, "opportunity_id": "O6", "engage_date": ""},
        ],
        "accounts.csv.gz": [
            {"account": "Acme", "sector": "technolgy", "revenue": "1100.04", "office_location": "Kenya"}
        ],
        "products.csv.gz": [{"product": "GTX Pro", "series": "GTX", "sales_price": "4821"}],
        "sales_teams.csv.gz": [{"sales_agent": "agent_1", "manager": "m", "regional_office": "East"}],
    }
    book, lines = map_set(tmp_path, "quote_crm_opportunities", files)
    assert [line["type"] for line in lines] == [
        "customer.updated",
        "quote.submitted",
        "quote.accepted",
        "quote.submitted",
        "quote.rejected",
        "quote.submitted",
    ]
    assert lines[0]["data"]["tier"] == "A"
    assert lines[1]["data"]["amount"] == "4821.00"
    assert lines[2]["data"]["extra"] == {"closed_at_value": "4700.00"}
    assert book.refused.total() == 3


def test_declarations_tell_what_was_handed_in_and_never_what_people_decided(tmp_path):
    def row(step: str, day: int, column: str = "(case)_Amount") -> Mapping[str, str]:
        return {
            "case": "d1",
            "concept:name": step,
            "time:timestamp": f"2018-03-{day:02d}T09:00:00.000+01:00",
            column: "26.851",
        }

    rows = [
        row("Declaration SAVED by EMPLOYEE", 1),
        row("Declaration SUBMITTED by EMPLOYEE", 2),
        row("Declaration REJECTED by SUPERVISOR", 3),
        row("Declaration SUBMITTED by EMPLOYEE", 4),
        row("Declaration FINAL_APPROVED by SUPERVISOR", 6),
        row("Request Payment", 7),
    ]
    permit = row("Permit SUBMITTED by EMPLOYEE", 1, "(case)_RequestedBudget")
    declared = row("Declaration SUBMITTED by EMPLOYEE", 2, "(case)_RequestedBudget")
    empty = [row("Request For Payment SUBMITTED by EMPLOYEE", 1, "(case)_RequestedAmount")]
    files = {
        "open/DomesticDeclarations.csv.gz": rows,
        "open/InternationalDeclarations.csv.gz": rows[:1],
        "open/PermitLog.csv.gz": [permit, declared],
        "open/PrepaidTravelCost.csv.gz": empty,
        "open/RequestForPayment.csv.gz": [{**empty[0], "(case)_RequestedAmount": "much"}],
    }
    book, lines = map_set(tmp_path, "approval_bpic2020", files)
    assert [(line["type"], line["data"]["id"]) for line in lines] == [
        ("quote.submitted", "DD-d1"),
        ("quote.updated", "DD-d1"),
        ("quote.submitted", "PE-d1"),
        ("quote.submitted", "PT-d1"),
    ]
    assert lines[0]["data"]["amount"] == "26.85"
    assert "APPROVED" not in str(lines)
    assert book.refused == {
        "a decision by people: kept for comparison": 2,
        "saved and not handed in": 2,
        "amount is no number": 1,
        "payment, trip or reminder: no step of the quote": 1,
        "about another document of the trip": 1,
    }
    labels = all_sets()["approval_bpic2020"].labels
    assert labels is not None
    found = labels(Files(tmp_path))
    assert (found["approved"]["DD-d1"], found["rounds"]["DD-d1"], found["days"]["DD-d1"]) == (1.0, 2.0, 4.0)


def test_an_application_is_a_lead_and_its_offer_a_quote(tmp_path):
    def row(step: str, hour: int, case: str = "7") -> Mapping[str, str]:
        return {"case:concept:name": case, "concept:name": step, "time:timestamp": f"2011-10-01T{hour:02d}:00:00+02:00"}

    rows = [
        row("A_SUBMITTED", 1),
        row("A_PREACCEPTED", 2),
        row("W_Nabellen offertes", 3),
        row("O_CREATED", 4),
        row("O_SENT", 5),
        row("O_CANCELLED", 6),
        row("O_SENT", 7),
        row("O_ACCEPTED", 8),
        row("A_APPROVED", 9),
        row("A_ACTIVATED", 10),
        row("O_ACCEPTED", 1, "8"),
        row("A_SUBMITTED", 2, "8"),
        row("O_DECLINED", 3, "8"),
    ]
    book, lines = map_set(tmp_path, "approval_bpic2012_offers", {"open/bpic2012_one_trace_per_variant.csv.gz": rows})
    assert [line["type"] for line in lines] == [
        "lead.created",
        "lead.updated",
        "quote.submitted",
        "quote.updated",
        "quote.updated",
        "quote.accepted",
        "lead.converted",
        "lead.created",
    ]
    assert book.refused.keys() == {
        "a work item inside the house",
        "an offer being prepared",
        "a decision by the house: kept for comparison",
        "before the application",
        "an offer that was not sent",
    }
