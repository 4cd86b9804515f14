"""How the rows of complaint sets become events: what is told, what is left out, and why a row is refused."""

from __future__ import annotations

from collections.abc import Mapping

from tests.replay.mapping_kit import map_set, told


def incident(state: str, minute: int, **more: str) -> Mapping[str, str]:
    return {
        "number": "INC1",
        "incident_state": state,
        "opened_at": "29/2/2016 01:16",
        "category": "Category 5",
        "sys_updated_at": f"29/2/2016 02:{minute:02d}",
        "priority": "3 - Moderate",
        "contact_type": "Phone",
        "assignment_group": "?",
        "reopen_count": "0",
        "subcategory": "?",
        "u_symptom": "?",
        "made_sla": "True",
        "resolved_at": "29/2/2016 03:33",
        "closed_code": "code 5",
    } | more


def test_an_incident_is_told_step_by_step_and_never_its_end_at_the_beginning(tmp_path):
    rows = [
        incident("New", 1),
        incident("New", 2),
        incident("Active", 3, assignment_group="Group 7"),
        incident("Awaiting User Info", 4),
        incident("Active", 5, assignment_group="Group 7", priority="1 - Critical"),
        incident("Resolved", 6),
        incident("Active", 7, reopen_count="1"),
        incident("Closed", 8, reopen_count="1"),
        {**incident("New", 1), "number": "INC2", "opened_at": "?"},
    ]
    book, lines = map_set(tmp_path, "sla_uci_incident", {"open/incident_event_log.csv.gz": rows})
    assert [line["type"].partition(".")[2] for line in lines] == [
        "opened",
        "updated",
        "updated",
        "updated",
        "resolved",
        "reopened",
        "closed",
    ]
    assert [line["data"].get("waiting_for", "-") for line in lines][2:4] == ["customer", None]
    assert lines[3]["data"]["severity"] == "critical"
    assert "resolved_at" not in lines[0]["data"]
    assert "code 5" not in str(lines)
    assert book.refused == {"changes nothing that an event carries": 1, "opened_at of another form": 1}


def volvo(state: str, hour: int, **more: str) -> Mapping[str, str]:
    return {
        "case:concept:name": "1-36",
        "org:group": "G1",
        "organization country": "se",
        "impact": "Medium",
        "organization involved": "Org line C",
        "product": "PROD1",
        "lifecycle:transition": state,
        "time:timestamp": f"2012-04-0{1 + hour // 24}T{hour % 24:02d}:00:00+02:00",
    } | more


def test_a_ticket_waits_for_its_user_moves_between_teams_and_comes_back(tmp_path):
    rows = [
        volvo("In Progress", 8),
        volvo("In Progress", 9),
        volvo("Wait - User", 10),
        volvo("In Progress", 11),
        volvo("In Progress", 12, **{"org:group": "G2"}),
        volvo("Resolved", 13, **{"org:group": "G2"}),
        volvo("In Progress", 14, **{"org:group": "G2"}),
        volvo("Closed", 15, **{"org:group": "G2"}),
        volvo("Closed", 15, **{"time:timestamp": "1-1-1970", "org:group": "G3"}),
    ]
    files = {"open/incidents.csv.gz": rows, "open/closed_problems.csv.gz": [volvo("Assigned", 8)]}
    book, lines = map_set(tmp_path, "sla_bpic2013_volvo", files)
    assert [line["type"].partition(".")[2] for line in lines] == [
        "opened",
        "updated",
        "updated",
        "updated",
        "resolved",
        "reopened",
        "closed",
        "opened",
    ]
    assert [line["data"].get("waiting_for", "-") for line in lines][1:3] == ["customer", None]
    assert lines[-1]["data"]["department"] == "Org line C"
    assert book.refused == {"changes neither state nor team nor impact": 1, "time of another form": 1}


def test_incidents_without_a_date_keep_their_weekday_and_hour(tmp_path):
    row = {
        "row_id": "1",
        "CI_Name_aff": "SUB1",
        "Impact": "3 Medium",
        "Urgency": "4 Low",
        "KM_number": "KM1",
        "Count_Related_Interactions": "1.0",
        "Count_Related_Incidents": "0.0",
        "Open_Time_HourOfDay": "9",
        "Service_Component_WBS_aff": "W",
        "CI_TypeSubType_aff": "computer-Laptop",
        "SLAFail": "1",
        "Open_Time_DayOfWeek": "Tuesday",
    }
    rows = [
        row,
        {**row, "row_id": "2", "Open_Time_DayOfWeek": "Holiday"},
        {**row, "row_id": "3", "Open_Time_HourOfDay": "x"},
    ]
    book, lines = map_set(tmp_path, "sla_bpic2014_incidents", {"open/incidents_at_open.csv.gz": rows})
    assert told(lines) == [("complaint.opened", "RI-1", "2013-10-01T09:00:00Z")]
    assert book.refused == {"no weekday or hour": 2}
    assert "SLAFail" not in str(lines)


def test_a_case_of_numbers_begins_moves_and_ends(tmp_path):
    def row(case: str, activity: str, time: str) -> Mapping[str, str]:
        return {"CaseID": case, "ActivityID": activity, "CompleteTimestamp": f"2011-10-0{time}"}

    files = {
        "open/helpdesk.csv.gz": [
            row("2", "1", "1 10:00:00"),
            row("2", "1", "1 11:00:00"),
            row("2", "8", "2 10:00:00"),
            row("2", "8", "3 10:00:00"),
        ],
        "open/bpi_12_w.csv.gz": [row("5", "1", "1 10:00:00"), row("5", "2", "x")],
    }
    book, lines = map_set(tmp_path, "sla_eventlogs_small", files)
    assert [line["type"] for line in lines] == [
        "complaint.opened",
        "complaint.updated",
        "complaint.resolved",
        "order.placed",
    ]
    assert book.refused == {"repeats the activity before": 1, "time of another form": 1}


def test_a_chinese_message_is_resolved_by_its_reply_at_the_time_of_the_reply(tmp_path):
    row = {
        "留言编号": "1",
        "留言主题": "路灯不亮",
        "留言时间": "2019/5/14 11:19:22",
        "留言详情": "小区门口路灯坏了三周。",
        "答复意见": "已修复。",
        "答复时间": "2019/5/20 09:00:00",
        "答复天数": "5.9",
    }
    hot = {
        "留言编号": "2",
        "留言主题": "噪音",
        "留言时间": "2019-08-22 00:00:00",
        "留言详情": "夜间施工。",
        "点赞数": "99",
    }
    files = {
        "open/messages_with_replies.csv.gz": [
            row,
            {**row, "留言编号": "3", "答复时间": "2019/5/1 09:00:00"},
            {**row, "留言编号": "4", "留言主题": "", "留言详情": " "},
        ],
        "open/messages_hot_topics.csv.gz": [hot, {**hot, "留言时间": "8月22日"}],
    }
    book, lines = map_set(tmp_path, "complaint_zh_gov_teddy", files)
    assert told(lines) == [
        ("complaint.opened", "TR-1", "2019-05-14T03:19:22Z"),
        ("complaint.resolved", "TR-1", "2019-05-20T01:00:00Z"),
        ("complaint.opened", "TH-2", "2019-08-21T16:00:00Z"),
    ]
    assert "resolution" not in lines[0]["data"]
    assert "99" not in str(lines[2]["data"])
    assert book.refused.total() == 3


def test_a_river_complaint_without_days_or_reply_stays_open(tmp_path):
    row = {
        "id": "9",
        "河流": "无",
        "性质": "投诉",
        "信息来源": "电话",
        "标题": "河水发黑",
        "时间": "2016-05-03",
        "投诉件内容": "河水又黑又臭。",
        "回复1": "已清理。",
        "最终回复天数": "2",
    }
    rows = [row, {**row, "id": "10", "最终回复天数": "?"}, {**row, "id": "11", "时间": "2016-02-30"}]
    book, lines = map_set(tmp_path, "complaint_zh_fuzhou", {"open/complaints.csv.gz": rows})
    assert told(lines) == [
        ("complaint.opened", "FZ-9", "2016-05-03T01:00:00Z"),
        ("complaint.resolved", "FZ-9", "2016-05-05T09:00:00Z"),
        ("complaint.opened", "FZ-10", "2016-05-03T01:00:00Z"),
    ]
    assert book.refused == {"时间 of another form": 1}


def test_a_consumer_complaint_does_not_tell_whether_it_was_answered_in_time(tmp_path):
    row = {
        "Complaint ID": "5",
        "Product": "Mortgage",
        "Sub-product": "",
        "Issue": "Loan servicing",
        "Sub-issue": "",
        "State": "CA",
        "Date received": "2015-01-27",
        "Date sent to company": "2015-01-29",
        "untimely": "1",
        "Company response": "Untimely response",
        "Timely response?": "No",
    }
    rows = [row, {**row, "Complaint ID": "6", "Date sent to company": "2015-01-20"}, {**row, "Date received": ""}]
    book, lines = map_set(tmp_path, "complaint_cfpb_2015", {"open/complaints.csv.gz": rows})
    assert [line["type"] for line in lines] == ["complaint.opened", "complaint.updated"]
    assert "ntimely" not in str(lines)
    assert book.refused == {"sent before it was received": 1, "no Date received": 1}


def test_texts_without_times_follow_one_another(tmp_path):
    ticket = {"row_id": "1", "title": "", "body": "cannot log in", "urgency": "1", "impact": "3", "category": "4"}
    rows = [ticket, {**ticket, "row_id": "2", "body": ""}, {**ticket, "row_id": "3"}]
    book, lines = map_set(tmp_path / "a", "complaint_en_tickets", {"open/all_tickets_sample.csv.gz": rows})
    assert told(lines) == [
        ("complaint.opened", "ET-1", "2019-01-07T08:00:00Z"),
        ("complaint.opened", "ET-3", "2019-01-07T08:20:00Z"),
    ]
    assert book.refused == {"neither subject nor text": 1}
    questions = [{"row_id": "1", "text": "where is my card", "category": "card_arrival"}, {"row_id": "2", "text": " "}]
    book, lines = map_set(tmp_path / "b", "kb_en_banking77", {"open/banking77.csv.gz": questions})
    assert ("card_arrival" in str(lines), book.refused.total()) == (False, 1)
