"""Commands that run something longer: serve, work and demo."""

import contextlib
import threading
from pathlib import Path
from typing import Annotated

import typer

from ledger.collection import settle_heap

from .cli_options import HomeOption
from .console import output
from .enginefile import read_engines
from .errors import LedgerFolderError
from .installation import open_installation
from .logs import set_up_logging
from .outcomes import BAD
from .settings import read_settings


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("serve")(serve_command)
    app.command("work")(work_command)
    app.command("demo")(demo_command)


def serve_command(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback have no TLS here.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8750,
    home: HomeOption = None,
) -> None:
    """Serve the HTTP interface until interrupted."""
    from .http.server import bind, build_server, hold_serving_lock  # the framework is slow to import

    settings = read_settings(home)
    set_up_logging(settings.log_form, settings.log_level)
    with hold_serving_lock(settings), bind(host, port) as sock:
        open_installation(settings).close()  # say what is wrong before the server starts, not in its log
        read_engines(settings)
        address = sock.getsockname()
        output.print(f"serving {settings.home} on http://{host}:{address[1]}", markup=False)
        if host not in ("127.0.0.1", "::1", "localhost"):
            output.print("  anybody who reaches this address can verify; the token travels without TLS")
        server = build_server(settings)
        settle_heap()
        with contextlib.suppress(KeyboardInterrupt):  # how a service is stopped
            server.run(sockets=[sock])
        if not server.started:
            raise LedgerFolderError(f"{settings.home}: the service could not start; its log says why")


def work_command(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Stop when no job is left to be taken now.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Work on the jobs of a service, in this process; any number may run beside it.

    Interrupted, it hands the job at hand back: another worker, or the next start, begins it anew.
    """
    from .childprocess import keep_warm
    from .decoding import DECODER
    from .jobqueue import JobQueue
    from .labels import READER
    from .worker import Worker, settle

    settings = read_settings(home)
    set_up_logging(settings.log_form, settings.log_level)
    with (
        keep_warm(DECODER, READER),
        open_installation(settings) as installation,
        contextlib.closing(JobQueue(settings)) as queue,
    ):
        worker = Worker(installation, queue)
        output.print(f"working on the jobs of {settings.home}", markup=False)
        settle(installation)
        if until_empty:
            worker.run(until_empty=True)
            output.print(f"{worker.taken} jobs taken")
            return
        worker.start()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:  # also how SIGTERM arrives
            worker.close()


def demo_command(
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for everything the demo makes.")
    ] = Path("demo-output"),
    song: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Recording to stamp; default: a freely licensed one is fetched."
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing.")] = False,
) -> None:
    """Tell the whole story on real audio. Exit code 1 if a verdict is not the expected one."""
    from .demo import run_demo  # it pulls in an HTTP client and a resampler, which no other command needs

    if not run_demo(folder, song=song, offline=offline):
        raise typer.Exit(BAD)
