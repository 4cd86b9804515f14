"""The commands that run the server: `serve` everything on one machine, `web` or `worker` one role each."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.engine import make_url

from core import log
from core.cli.output import as_letter, letter_lines
from core.cli.service_manager import READY, STOPPING, tell
from core.host.environment import make_database_folder
from core.model.errors import ConfigurationRefused, OutriggerError, StorageUnavailable

if TYPE_CHECKING:
    from core.cli.place import Bells, Place
    from core.pipeline.supervisor import Child

LOCK_PATIENCE_S = 8.0


class AlreadyServed(OutriggerError):
    """Another `outrigger serve` works on this database."""

    code = "serve.already_running"


class AddressTaken(OutriggerError):
    """The address to listen on cannot be used."""

    code = "serve.address_taken"


@dataclasses.dataclass(frozen=True, slots=True)
class _Address:
    """Where to listen, and what the options that say so begin with."""

    host: str
    port: int
    options: str = "--"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 picks a free one."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.pass_obj
def serve(context: Any, host: str, port: int, workers: int) -> None:
    """Run web, workers and courier on this machine, supervised."""
    _run(context, _Address(host, port), workers, roles=("web", "worker", "courier"), apply_file=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 picks a free one."
)
@click.pass_obj
def web(context: Any, host: str, port: int) -> None:
    """Run only the web role, for several machines that share a PostgreSQL."""
    _run(context, _Address(host, port), 1, roles=("web",), apply_file=False, fleet=_fleet(context))


@click.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of the next option.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535),
    help="Port at which Prometheus may ask for this host's counters; 0 picks a free one. Without it nothing listens.",
)  # fmt: skip
@click.pass_obj
def worker(context: Any, workers: int, metrics_host: str, metrics_port: int | None) -> None:
    """Run only workers and a courier, for several machines that share a PostgreSQL.

    With OUTRIGGER_BROKER_URL the workers are Celery workers, and messages tell them which lanes have work; without it
    they look into the database.
    """
    fleet = _fleet(context)
    roles = ("fleet_worker", "sweeper", "courier") if fleet else ("worker", "courier")
    counters = _Address(metrics_host, metrics_port, "--metrics-") if metrics_port is not None else None
    _run(context, counters, workers, roles=roles, apply_file=False, fleet=fleet)


def _fleet(context: Any) -> bool:
    """Whether there is a broker. Raises ConfigurationRefused for one that cannot be used here."""
    environment = context.environment
    if environment.broker_url is None:
        return False
    if make_url(environment.database_url).get_backend_name() == "sqlite":
        raise ConfigurationRefused(
            "OUTRIGGER_BROKER_URL is set, and the database is SQLite, which serves one machine: set "
            "OUTRIGGER_DATABASE_URL to a PostgreSQL, or take the broker away and run `outrigger serve`."
        )
    try:
        from core.fleet.broker import celery_app
    except ModuleNotFoundError as missing:
        raise ConfigurationRefused(
            f"OUTRIGGER_BROKER_URL is set, and {missing.name} is not installed: install requirements-fleet.lock, or "
            "Outrigger with its extra `fleet`."
        ) from None
    celery_app(environment.broker_url, environment.broker_queue)
    return True


def _run(
    context: Any, address: _Address | None, workers: int, *,
    roles: tuple[str, ...], apply_file: bool, fleet: bool = False,
) -> None:  # fmt: skip
    environment = context.environment if fleet else dataclasses.replace(context.environment, broker_url=None)
    make_database_folder(environment.database_url)
    folder = _metrics_folder()
    # Imported only now: the metrics library decides at import whether several processes share its files.
    from core.cli.place import Bells, Place
    from core.cli.preparing import prepare
    from core.pipeline.supervisor import Supervisor
    from core.pipeline.wake import Bell

    log.configure()
    place = Place(context.assembly, environment)
    held = _only_one(environment.database_url) if "worker" in roles else None
    prepared = _in_a_child(functools.partial(prepare, place, apply_file=apply_file))
    _load_code(roles)  # meanwhile, since it takes as long: a start takes a sixth less
    prepared()
    listener = _listen(address) if address is not None else None
    # On PostgreSQL any worker may take any lane, so whichever is idle hears what is rung.
    has_shares = make_url(environment.database_url).get_backend_name() == "sqlite"
    bells = Bells([Bell() for _ in range(workers if has_shares else 1)])
    children = _children(place, bells, listener, workers, roles)

    def say() -> None:
        if listener is not None:
            host, port = listener.getsockname()[:2]
            what = "listens on" if "web" in roles else "tells its counters at"
            click.echo(f"Outrigger {what} http://{host}:{port}{'' if 'web' in roles else '/metrics'}", err=True)

    supervisor = Supervisor(children, on_started=say, on_ready=lambda: tell(READY), on_stopping=lambda: tell(STOPPING))
    code = supervisor.run()
    shutil.rmtree(folder, ignore_errors=True)
    if has_shares:
        _put_away(environment.database_url)
    del held
    sys.exit(code)


def _put_away(database_url: str) -> None:
    """Bring what was committed last from the log into the SQLite file, so that the file alone is the whole database.

    The processes end without closing it, since they may have to end at any moment; whoever closes it last copies.
    """
    from core.store.database import Database

    database = Database(database_url, pool_size=1)
    with contextlib.suppress(StorageUnavailable), contextlib.closing(database), database.read() as connection:
        connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _load_code(roles: tuple[str, ...]) -> None:
    """Import what the processes of these roles need, and no more."""
    if "web" in roles:
        from core.cli import web_process  # noqa: F401
    if "courier" in roles:
        from core.cli import worker_processes  # noqa: F401


def _children(
    place: Place, bells: Bells, listener: socket.socket | None, workers: int, roles: tuple[str, ...]
) -> list[Child]:
    # A role imports only what it needs.
    if "web" not in roles:
        return _worker_children(place, bells, workers, roles, counters=listener)
    from core.cli import web_process
    from core.pipeline.supervisor import Child

    assert listener is not None
    web_child = Child("web", functools.partial(web_process.web, place, bells, listener))
    return [web_child, *(_worker_children(place, bells, workers, roles) if "courier" in roles else [])]


def _worker_children(
    place: Place, bells: Bells, workers: int, roles: tuple[str, ...], *, counters: socket.socket | None = None
) -> list[Child]:
    from core.cli import worker_processes
    from core.pipeline.driver_locks import Share
    from core.pipeline.supervisor import Child

    children = []
    if "worker" in roles:
        for index in range(workers):
            target = functools.partial(worker_processes.worker, place, bells, Share(index, workers))
            children.append(Child(f"worker-{index}", target))
    if "fleet_worker" in roles:
        for index in range(workers):
            # Celery waits for messages by itself, so silence means nothing; a call that hangs is seen all the same.
            target = functools.partial(worker_processes.fleet_worker, place, bells, index)
            children.append(Child(f"worker-{index}", target, watch_silence=False))
        children.append(Child("sweeper", functools.partial(worker_processes.sweeper, place, bells)))
    children.append(Child("courier", functools.partial(worker_processes.courier, place, bells, counters)))
    return children


def _metrics_folder() -> str:
    """Make the folder through which this server's processes share their counters."""
    folder = tempfile.mkdtemp(prefix="outrigger-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    return folder


def _listen(address: _Address) -> socket.socket:
    from core.web.server import open_socket

    try:
        return open_socket(address.host, address.port)
    except OSError as error:
        raise AddressTaken(
            f"{address.host}:{address.port} cannot be listened on: {error.strerror}. Choose another with "
            f"{address.options}host and {address.options}port."
        ) from None


def _only_one(database_url: str) -> int | None:
    """Hold a lock beside an SQLite database while this server and its children live.

    Children inherit it, so a new server waits until the last process of a killed one is gone.
    """
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return None
    try:
        descriptor = os.open(f"{url.database}.serve", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{url.database}.serve cannot be written: {error.strerror}.") from None
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AlreadyServed(
                    f"Another `outrigger serve` works on {url.database}. Stop it first; with several machines use "
                    "PostgreSQL."
                ) from None
            time.sleep(0.02)


def _in_a_child(task: Callable[[], None]) -> Callable[[], None]:
    """Begin a task in a process of its own, so that the supervisor opens no database and imports no plugin.

    What is returned waits for its end, and ends this process when it failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            task()
            code = 0
        except Exception as error:
            # The supervisor only sees an exit code, so whatever it was is told here.
            for line in letter_lines(as_letter(error)):
                click.echo(line, err=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait() -> None:
        _, status = os.waitpid(pid, 0)
        if status:
            sys.exit(1)

    return wait
