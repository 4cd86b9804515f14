"""A client of the web app for a plugin's tests: its API and its pages, with a key that every request carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.host.loading import contribution
from core.web.app import create_app
from core.web.keys import ApiKeys

if TYPE_CHECKING:
    from core.testing.server import PluginServer

Call = Callable[..., Any]
"""`call(method, path, **options)` with the options of Flask's test client; returns its response."""


def client(server: PluginServer, *, role: str, units: Sequence[str]) -> Call:
    """Return a caller of the API and the pages. Paths are whole, such as `/api/v1/approvals` or `/pages/…`."""
    app = create_app(
        database=server.database,
        clock=server.clock,
        configuration=server.configuration,
        plugins=lambda: server.plugins,
        plugin_blueprints=_contributed(server, "api", "register_api"),
        page_blueprints={name: page for name, page in _pages(server).items() if page is not None},
        wake=server.work,
    )
    token, _ = ApiKeys(server.database, server.clock).create("test", role=role, units=units, created_by="test")
    web = app.test_client()

    def call(method: str, path: str, *, anonymous: bool = False, **options: Any) -> Any:
        headers = {} if anonymous else {"Authorization": f"Bearer {token}"}
        response = web.open(path, method=method, headers={**headers, **options.pop("headers", {})}, **options)
        server.work()
        return response

    return call


def _contributed(server: PluginServer, part: str, hook: str) -> list[Any]:
    found = [_of(plugin, part, hook) for plugin in server.plugins.values()]
    return [item for item in found if item is not None]


def _pages(server: PluginServer) -> dict[str, Any]:
    return {name: _of(plugin, "pages", "register_pages") for name, plugin in server.plugins.items()}


def _of(plugin: Any, part: str, hook: str) -> Any:
    return contribution(plugin, part, hook) if (plugin.folder / f"{part}.py").is_file() else None
