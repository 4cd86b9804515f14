"""Mounts the pages that plugins bring, which people open from links in messages, at /pages/<plugin-name>.

A page shows on GET and acts on POST: mail scanners and chat previews open every link, so whatever looks changes
nothing, and no command can be given while it does. A visitor is known by the link alone. Pages need no script, come in
Chinese and English (`?lang=`), and answer errors as pages too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import jinja2
import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from core.host.environment import read_environment
from core.model.errors import InvalidRequest, NotAllowed, NotFound, OutriggerError
from core.pipeline.commands import Desk, use_desk
from core.web.auth import set_caller
from core.web.gate import nonce
from core.web.problems import request_id
from core.web.services import services

PREFIX = "/pages"
LANGUAGES = ("zh", "en")
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})
_LOADERS = "outrigger_page_environments"
_SHARED = str(Path(__file__).parent / "templates")

_TEXTS: Mapping[str, tuple[str, str]] = {
    "link.used": ("这个链接已经用过了，每个链接只能决定一次。", "This link was used already; each decides once."),
    "link.expired": ("这个链接已过期，请联系发送人重新发送。", "This link is no longer valid; ask for a new one."),
    "not_found": (
        "找不到这个页面。请确认链接复制完整，或请对方重新发送。",
        "There is no such page. Check that the link was copied whole, or ask for a new one.",
    ),
    "conflict": ("情况已发生变化，请重新打开链接查看。", "Something changed meanwhile; open the link again to see."),
    "auth.forbidden": ("不能从别处提交，请直接打开链接。", "This cannot be sent from elsewhere; open the link itself."),
    "invalid_request": ("填写的内容有误，请返回修改。", "What was filled in does not fit; go back and mend it."),
    "storage.unavailable": (
        "系统暂时繁忙，您的操作没有生效，请稍后再试。",
        "The server cannot store anything at this moment, so nothing was done. Try again soon.",
    ),
    "storage.uncertain": (
        "保存时连接中断，无法确定您的操作是否生效。请重新打开链接查看结果。",
        "The connection broke while this was stored; whether it was done is not known. Open the link again to see.",
    ),
    "too_large": ("提交的内容太长。", "What was sent is too long."),
}
_OTHER = (
    "系统出错了。请先重新打开链接查看您的操作是否生效，再决定是否重试。",
    "Something went wrong. Open the link again to see whether it was done, before you try again.",
)


class _LookingDesk(Desk):
    """The desk of a request that only looks."""

    def command(self, *, plugin: str, unit: str, actor: str, while_off: bool = False) -> NoReturn:
        """Refuse: a link is opened by machines, too, before a person has seen it."""
        raise NotAllowed("A page changes nothing when it is looked at; act on POST.")


def install(app: Flask, blueprints: Mapping[str, Blueprint]) -> None:
    """Mount the pages of each plugin, by its name; pages that do not fit are left out and the server runs without."""
    for plugin, blueprint in blueprints.items():
        place = _place(f"pages_{plugin}", f"{PREFIX}/{plugin.replace('_', '-')}")
        try:
            place.register_blueprint(blueprint, url_prefix=blueprint.url_prefix or "")
            app.register_blueprint(place)
        except Exception:
            structlog.get_logger("outrigger.web").exception("a plugin's pages are left out", plugin=plugin)
    rest = _place("pages", PREFIX)
    for rule in ("/", "/<path:rest>"):
        rest.add_url_rule(rule, "nothing", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    app.register_blueprint(rest)


def _place(name: str, prefix: str) -> Blueprint:
    """Return a blueprint below which every answer is a page."""
    place = Blueprint(name, __name__, url_prefix=prefix)
    place.before_request(_enter)
    place.after_request(_leave)
    place.register_error_handler(OutriggerError, _of_ours)
    place.register_error_handler(HTTPException, _of_http)
    place.register_error_handler(Exception, _of_anything)
    return place


def page_blueprint(name: str, module: str) -> Blueprint:
    """Return a blueprint for `register_pages`; `module` is the `__name__` of the plugin's pages.py."""
    return Blueprint(name, module)


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """Fill in `templates/<template>` of the plugin whose page is asked for; it extends `page.html`.

    Everything printed is escaped. Templates see `lang` and `nonce` beside `values`.
    """
    assert request.blueprint is not None
    folder = current_app.blueprints[request.blueprint].root_path
    text = _environment(folder).get_template(template).render(_common() | values)
    return Response(text, status=status, mimetype="text/html")


def language() -> str:
    """Return the visitor's language, `zh` or `en`: what the address says, else what the browser likes best."""
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        return asked
    return request.accept_languages.best_match(LANGUAGES, default=LANGUAGES[0]) or LANGUAGES[0]


def _common() -> dict[str, Any]:
    return {"lang": language(), "nonce": nonce(), "path": request.path}


def _environment(folder: str) -> jinja2.Environment:
    """Return the environment in which a plugin's own templates come before the shared ones; made once an app."""
    made: dict[str, jinja2.Environment] = current_app.extensions.setdefault(_LOADERS, {})
    if folder not in made:
        places = [f"{folder}/templates", _SHARED] if folder else [_SHARED]
        made[folder] = jinja2.Environment(
            loader=jinja2.FileSystemLoader(places),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    return made[folder]


# ---------------------------------------------------------------------------------------------------- every request


def _enter() -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id())
    set_caller(None)
    parts = services()
    kind = _LookingDesk if request.method in _LOOKING else Desk
    use_desk(kind(parts.database, parts.clock, parts.configuration))
    if request.method not in _LOOKING:
        _check_origin()
        _check_form()


def _check_origin() -> None:
    """Refuse what another site's page sends. Browsers send `null` as the origin where the referrer policy is strict."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_SITE:
        raise NotAllowed(f"Sent from another site ({site[:40]}).")
    origin = request.headers.get("Origin", "null")
    hosts = {request.host, urlsplit(read_environment().public_url).netloc}
    if site is None and origin != "null" and urlsplit(origin).netloc not in hosts:
        raise NotAllowed("Sent from another site.")


def _check_form() -> None:
    """Refuse characters that no column holds and no person types."""
    for name, value in request.form.items(multi=True):
        if any(ord(char) < 32 and char not in "\t\r\n" for char in name + value):
            raise InvalidRequest(f'"{name[:40]}" holds control characters.')


def _leave(response: Response) -> Response:
    headers = response.headers
    style = f"style-src 'nonce-{g.nonce}'; " if "nonce" in g else ""
    headers["Content-Security-Policy"] = (
        f"default-src 'none'; {style}img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


# ---------------------------------------------------------------------------------------------------- errors


def _nothing(rest: str = "") -> NoReturn:
    raise NotFound


def _of_ours(error: OutriggerError) -> Response:
    if error.http_status >= 500:
        log = structlog.get_logger("outrigger.web")
        log.error("page failed", code=error.code, reason=error.message, page=request.endpoint)
    details = [f"{item['path']}: {item['message']}" for item in error.errors] if error.http_status < 500 else []
    return _error_page(error.http_status, error.code, details)


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    code = {404: "not_found", 405: "not_found", 413: "too_large"}.get(status, "invalid_request")
    return _error_page(status, code if status < 500 else "", [])


def _of_anything(error: Exception) -> Response:
    structlog.get_logger("outrigger.web").error("page failed", page=request.endpoint, exc_info=error)
    return _error_page(500, "", [])


def _error_page(status: int, code: str, details: list[str]) -> Response:
    """Return the error in the visitor's language first and the other below, and nothing of the server's inside."""
    zh, en = _TEXTS.get(code, _OTHER)
    values = _common() | {"zh": zh, "en": en, "details": details[:20], "request_id": request_id()}
    text = _environment("").get_template("page_error.html").render(values)
    return Response(text, status=status, mimetype="text/html")
