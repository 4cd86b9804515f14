"""`outrigger migrate`: bring the database to this release's version, or say what is missing."""

from __future__ import annotations

import tempfile

import click

from core.cli.output import done
from core.cli.printing import command, print_json
from core.cli.session import Session
from core.host.environment import make_database_folder
from core.host.plugin import Plugin
from core.store.database import Database
from core.store.migrate import migrate as run_migrations
from core.store.migrate import newer, pending

_root = click.Group("operate")


@command(_root, "migrate")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 when something is pending.")
@click.pass_obj
def migrate(session: Session, check: bool, as_json: bool) -> None:
    """Run the migrations of the core and of every installed plugin that are still to run."""
    found = list(session.manifests().values())
    if check:
        missing = _pending(session, found)
        if as_json:
            print_json({"pending": missing})
        else:
            click.echo("\n".join(f"pending  {item}" for item in missing) or "The database is up to date.")
        if missing:
            raise click.exceptions.Exit(1)
        return
    make_database_folder(session.environment.database_url)
    database = session.unchecked_database
    if not as_json:
        click.echo(f"Migrating {database.url.render_as_string(hide_password=True)}", err=True)
    ran = run_migrations(database, found)
    ahead = newer(database, found)
    text = f"Ran {', '.join(ran)}." if ran else "The database is up to date."
    if ahead:
        text += f" A newer release has migrated it further ({', '.join(ahead)}); this one works with that."
    done(as_json, text, ran=ran, newer=ahead)


def _pending(session: Session, plugins: list[Plugin]) -> list[str]:
    """Return what is pending; of a database that is not there yet this is everything, and it is not made for that."""
    if not session.is_absent:
        return pending(session.unchecked_database, plugins)
    with tempfile.TemporaryDirectory(prefix="outrigger-") as folder:
        empty = Database(f"sqlite:///{folder}/empty.sqlite3", pool_size=1)
        try:
            return pending(empty, plugins)
        finally:
            empty.close()
