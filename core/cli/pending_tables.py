"""Says which plugins were switched on before their tables were made, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from core.cli.session import Session
from core.store.migrate import pending


def missing_tables(session: Session, plugins: Iterable[str] | None = None) -> list[str]:
    """Return the migrations still to run of these plugins, or of all that are switched on somewhere."""
    if plugins is None:
        current = session.configuration()
        plugins = {item.plugin for item in current.plugins.values() if item.enabled}
    manifests = session.manifests()
    return pending(session.unchecked_database, [manifests[name] for name in sorted(set(plugins)) if name in manifests])


def tables_note(missing: Iterable[str]) -> str:
    """Return what a person is told of migrations that are still to run."""
    return (
        f"Its tables are not made yet ({', '.join(missing)}): run `outrigger migrate`, then restart the server, which "
        "does not start without them. One that runs keeps the plugin's events until then."
    )
