"""Pages that people open from links: they show on GET, act on POST, once, and tell errors as pages in two languages."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask, Response, request
from flask.testing import FlaskClient

from core.host.settings import Configuration
from core.model.effects import Link
from core.model.errors import InvalidRequest, StorageUnavailable
from core.pipeline.commands import current_desk
from core.pipeline.links import make_link, open_link, token_of, use_link
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import links, outbox
from core.testing.directories import calendar_of
from core.web import pages
from tests.web.world import START, World

DECIDE = """{% extends "page.html" %}
{% block title %}{{ title }}{% endblock %}
{% block content %}
<h1>{{ title }}</h1><p>{{ claims.subject.request }}</p>
<form method="post" action="{{ path }}?lang={{ lang }}">
<button class="go" name="answer" value="approve">OK</button>
</form>
{% endblock %}
"""


def decide_pages(folder: Path, decided: list[str]) -> Blueprint:
    """A plugin's pages as its author would write them."""
    blueprint = Blueprint("quote_approval", __name__, root_path=str(folder))

    @blueprint.get("/decide/<token>")
    def show(token: str) -> Response:
        claims = open_link(token, plugin="quote_approval", page="decide")
        return pages.page("decide.html", claims=claims, title="<报价审批>")

    @blueprint.post("/decide/<token>")
    def decide(token: str) -> Response:
        claims = open_link(token, plugin="quote_approval", page="decide")
        with current_desk().command(plugin="quote_approval", unit=claims.unit, actor=claims.person) as command:
            use_link(command, token)
            decided.append(request.form["answer"])
        return pages.page("decide.html", claims=claims, title="done")

    @blueprint.get("/eager/<token>")
    def eager(token: str) -> Response:
        with current_desk().command(plugin="quote_approval", unit="energy", actor="x") as command:
            use_link(command, token)
        return Response("decided")

    @blueprint.route("/broken/<kind>", methods=["GET", "POST"])
    def broken(kind: str) -> Response:
        if kind == "away":
            raise StorageUnavailable("disk /var/lib/secret-path is full")
        if kind == "form":
            raise InvalidRequest(errors=[{"path": "comment", "message": "<b>too long</b>"}])
        raise ValueError("canary-5d1e of the inside")

    return blueprint


class Site:
    """An app with one plugin's pages, and a link to one of them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.world = World(database)
        self.world.version()
        self.world.enabled["energy", "quote_approval"] = True
        self.decided: list[str] = []
        (folder / "templates").mkdir(parents=True)
        (folder / "templates" / "decide.html").write_text(DECIDE)
        blueprints = {"quote_approval": decide_pages(folder, self.decided)}
        self.app: Flask = self.world.app(configuration=self.configuration, page_blueprints=blueprints)
        self.client: FlaskClient = self.app.test_client()
        link = Link(page="decide", subject={"request": "R-1"}, valid_for=timedelta(hours=24))
        with database.write() as connection:
            made = make_link(
                connection, link, message_id="msg_1", plugin="quote_approval", person="zhang_wei", unit="energy",
                event_id="evt_1", now=START,
            )  # fmt: skip
            connection.execute(sa.insert(links).values(**made.row))
            self.token = token_of(connection, made.id, "msg_1", START)
        self.path = f"/pages/quote-approval/decide/{self.token}"

    def configuration(self) -> Configuration:
        return dataclasses.replace(self.world.configuration(), calendars={"cn": calendar_of("cn")})

    def post(self, path: str = "", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path or self.path, data={"answer": "approve"}, headers=named)


@pytest.fixture
def both(database: Database, tmp_path: Path) -> Site:
    return Site(database, tmp_path / "quote_approval")


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Site:
    """On SQLite alone, for what does not touch the database much."""
    database = Database(sqlite_url)
    migrate(database, [])
    return Site(database, tmp_path / "quote_approval")


def test_a_page_shows_on_get_and_decides_on_post_once(both: Site) -> None:
    shown = both.client.get(both.path)
    assert shown.status_code == 200 and shown.mimetype == "text/html"
    assert "&lt;报价审批&gt;" in shown.text and "R-1" in shown.text and both.decided == []
    assert both.post().status_code == 200
    assert both.decided == ["approve"]
    again = both.post()
    assert again.status_code == 410 and "已经用过了" in again.text and "used already" in again.text
    assert both.client.get(both.path).status_code == 410 and both.decided == ["approve"]


def test_whatever_scanners_and_previews_do_decides_nothing(site: Site) -> None:
    before = [site.world.rows(table) for table in (links, outbox)]
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND"):
        for path in (site.path, site.path + "?answer=approve", site.path + "/", site.path.replace("decide", "eager")):
            for agent in ("Mozilla/5.0", "Microsoft Office Preview", "bingbot", "WeCom-Preview"):
                response = site.client.open(path, method=method, headers={"User-Agent": agent, "Purpose": "prefetch"})
                assert response.status_code < 500
    assert [site.world.rows(table) for table in (links, outbox)] == before and site.decided == []
    assert site.post().status_code == 200


def test_a_view_that_acts_on_get_is_refused(site: Site) -> None:
    response = site.client.get(site.path.replace("decide", "eager"))
    assert response.status_code == 403 and site.world.rows(links)[0].used_at is None


def test_of_fifty_posts_at_once_one_decides(both: Site) -> None:
    ready = threading.Barrier(50)
    statuses: list[int] = []

    def press() -> None:
        ready.wait()
        response = both.app.test_client().post(both.path, data={"answer": "approve"})
        statuses.append(response.status_code)

    threads = [threading.Thread(target=press) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [410] * 49 and both.decided == ["approve"]


def test_an_expired_link_and_an_unknown_one_are_pages_of_their_own(site: Site) -> None:
    unknown = site.client.get(site.path[:-1] + ("A" if site.path[-1] != "A" else "B"))
    assert unknown.status_code == 404 and "找不到这个页面" in unknown.text and unknown.mimetype == "text/html"
    site.world.clock.move(timedelta(hours=25))
    expired = site.post()
    assert expired.status_code == 410 and "已过期" in expired.text and site.decided == []


def test_the_language_is_the_addresss_else_the_browsers_else_chinese(site: Site) -> None:
    def heading(query: str = "", **headers: str) -> str:
        text = site.client.get(f"/pages/nothing-here{query}", headers=headers).text
        return text.partition("<h1>")[2].partition("</h1>")[0]

    accept = {"Accept-Language": "en-GB,en;q=0.9"}
    assert heading().startswith("找不到") and heading("?lang=en").startswith("There is no such page")
    assert heading(**accept).startswith("There is") and heading("?lang=zh", **accept).startswith("找不到")
    assert heading("?lang=de").startswith("找不到")


@pytest.mark.parametrize(
    "path", ["/pages/", "/pages/quote-approval", "/pages/quote_approval/decide/x", "/pages/other/x"]
)
def test_what_is_not_there_is_a_page_too(site: Site, path: str) -> None:
    for method in ("GET", "POST"):
        response = site.client.open(path, method=method)
        assert response.status_code == 404 and response.mimetype == "text/html"


@pytest.mark.parametrize(
    ("what", "zh", "en"), [("x", "是否生效", "whether it was done"), ("away", "没有生效", "nothing was done")]
)
def test_what_breaks_inside_stays_inside(site: Site, what: str, zh: str, en: str) -> None:
    for query, words in (("?lang=zh", zh), ("?lang=en", en)):
        response = site.client.get(f"/pages/quote-approval/broken/{what}{query}")
        assert response.status_code in (500, 503) and words in response.text
        assert "canary-5d1e" not in response.text and "secret-path" not in response.text


def test_what_does_not_fit_is_told_and_escaped(site: Site) -> None:
    response = site.client.get("/pages/quote-approval/broken/form")
    assert response.status_code == 422 and "comment: &lt;b&gt;too long&lt;/b&gt;" in response.text


def _get(site: Site) -> Any:
    return site.client.get(site.path)


def _error(site: Site) -> Any:
    return site.client.get("/pages/nothing")


def _head(site: Site) -> Any:
    return site.client.head(site.path)


@pytest.mark.parametrize("ask", [_get, _error, _head, Site.post])
def test_every_page_is_shut_against_frames_caches_scripts_and_referrers(site: Site, ask: Callable[[Site], Any]) -> None:
    headers = ask(site).headers
    policy = {part.partition(" ")[0]: part.partition(" ")[2] for part in headers["Content-Security-Policy"].split("; ")}
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'" and policy["base-uri"] == "'none'" and "script-src" not in policy
    assert policy["style-src"].startswith("'nonce-")
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff" and "noindex" in headers["X-Robots-Tag"]


def test_a_page_loads_nothing_and_its_style_carries_the_nonce(site: Site) -> None:
    response = site.client.get(site.path)
    nonce = response.headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    assert f'<style nonce="{nonce}">' in response.text
    for outside in ("<script", "http://", "https://", "src=", "<link", "@import", "url("):
        assert outside not in response.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"Sec_Fetch_Site": "same-origin"}, 200), ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, 200),  # a strict referrer policy makes it null
        ({"Origin": "http://localhost"}, 200), ({"Origin": "null"}, 200), ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403), ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403), ({"Origin": "http://localhost.evil.example"}, 403),
    ],
)  # fmt: skip
def test_a_form_of_another_site_decides_nothing(site: Site, headers: dict[str, str], status: int) -> None:
    assert site.post(**headers).status_code == status
    assert len(site.decided) == (1 if status == 200 else 0)


def test_control_characters_in_a_form_are_refused(site: Site) -> None:
    response = site.client.post(site.path, data={"answer": "a\x00b"})
    assert response.status_code == 422 and site.decided == []


def test_a_form_that_is_too_large_is_refused_as_a_page(site: Site) -> None:
    response = site.client.post(site.path, data={"answer": "x" * 2_000_000})
    assert response.status_code == 413 and response.mimetype == "text/html" and site.decided == []


def test_a_page_knows_no_api_key(site: Site) -> None:
    assert site.client.post(site.path, data={"answer": "approve"}, headers=site.world.key()).status_code == 200


def test_the_token_is_not_in_the_log(site: Site, lines: Callable[[], list[dict[str, Any]]]) -> None:
    site.client.get(site.path)
    site.post()
    site.client.get(f"/pages/quote-approval/broken/{site.token}")
    told = lines()
    assert told and site.token not in str(told)


def test_pages_that_do_not_fit_are_left_out_and_the_server_runs(
    site: Site, tmp_path: Path, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    broken = Blueprint("broken", __name__)
    broken.add_url_rule("/x", "one", lambda: "one")

    def fail(state: object) -> None:
        raise RuntimeError("does not fit")

    broken.record(fail)
    app = site.world.app(page_blueprints={"broken": broken, "quote_approval": decide_pages(tmp_path, [])})
    assert app.test_client().get("/pages/nothing").status_code == 404
    assert app.test_client().get("/healthz").status_code == 200
    assert "left out" in str(lines())
