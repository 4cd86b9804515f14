"""The composition root: puts plugins and adapters beside the core, for a WSGI server and for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import flask

import webhooks
from core.host.assembly import Assembly
from core.host.environment import read_environment
from core.host.settings import SourceSettings
from core.model.errors import UnknownSource
from core.model.inbound import InboundItem, RejectedItem
from core.time.clock import Clock
from webhooks.secret_forms import check_secret

HERE = Path(__file__).resolve().parent


def assembly() -> Assembly:
    """Return the parts that live outside of core."""
    return Assembly(
        plugin_roots=(HERE / "plugins",),
        check_source=webhooks.check_source,
        check_secret=check_secret,
        blueprint_factory=webhooks.blueprint,
        remap_factory=remapper,
    )


def remapper(
    sources: Callable[[], Mapping[str, SourceSettings]], clock: Clock
) -> Callable[[str, str, Mapping[str, str], datetime], InboundItem]:
    """Return the function that maps a rejected item again, by its source's adapter as configured now."""

    def remap(source: str, raw: str, headers: Mapping[str, str], received_at: datetime) -> InboundItem:
        settings = sources().get(source)
        if settings is None or settings.adapter not in webhooks.ADAPTERS:
            raise UnknownSource(f'The source "{source}" is no longer configured, so its items cannot be mapped.')
        adapter = webhooks.ADAPTERS[settings.adapter](settings)
        item = RejectedItem(source=source, dedupe_key="", raw=raw, reason="", headers=headers)
        return adapter.remap(item, received_at, clock.now())

    return remap


def create_app() -> flask.Flask:
    """Return the web app for another WSGI server, such as `gunicorn 'wsgi:create_app()'`; workers run apart."""
    from core.cli.place import Place
    from core.cli.web_process import standalone_web

    return standalone_web(Place(assembly(), read_environment()))


def main() -> None:
    """Run the command line."""
    from core.cli.main import run

    run(assembly())


if __name__ == "__main__":
    main()
