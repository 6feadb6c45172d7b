"""The command line: `provenote`.

Exit codes (the table of `api.outcomes`): 0 good, 1 verified as bad, 2 usage or input, 3 environment, 130
cancelled.
"""

import io
import logging
import signal
import sys
from types import FrameType

import typer
from typer import rich_utils

from . import (
    cli_access,
    cli_answer,
    cli_audit,
    cli_backup,
    cli_bundle,
    cli_case,
    cli_case_steps,
    cli_casefile,
    cli_copies,
    cli_credential,
    cli_custody,
    cli_disclosure,
    cli_engines,
    cli_identity,
    cli_keys,
    cli_log,
    cli_mark,
    cli_release,
    cli_report,
    cli_screen,
    cli_service,
    cli_staydown,
    cli_tiles,
    cli_tracks,
    cli_upkeep,
    cli_verify,
)
from .console import errors, print_error
from .outcomes import CANCELLED, ENVIRONMENT, EXPECTED, GOOD, USAGE

app = typer.Typer(
    name="provenote",
    help="Audio provenance: keyed watermarks, signed statements and a custody ledger.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli_tracks.add_commands(app)
cli_verify.add_commands(app)
cli_disclosure.add_commands(app)
cli_engines.add_commands(app)
cli_copies.add_commands(app)
cli_screen.add_commands(app)
cli_audit.add_commands(app)
cli_report.add_commands(app)
cli_release.add_commands(app)
cli_service.add_commands(app)
cli_backup.add_commands(app)
cli_identity.add_commands(app)
app.add_typer(cli_access.app, name="access")
app.add_typer(cli_report.report, name="report")
app.add_typer(cli_keys.app, name="keys")
cli_tiles.add_commands(cli_log.log)
cli_answer.add_commands(cli_log.log)
cli_upkeep.add_commands(cli_log.log)
app.add_typer(cli_log.log, name="log")
app.add_typer(cli_bundle.app, name="bundle")
app.add_typer(cli_custody.app, name="custody")
cli_case_steps.add_commands(cli_case.app)
cli_staydown.add_commands(cli_case.app)
cli_casefile.add_commands(cli_case.app)
app.add_typer(cli_case.app, name="case")
app.add_typer(cli_credential.app, name="credential")
app.add_typer(cli_mark.app, name="mark")
logger = logging.getLogger(__name__)

INTERRUPT_AGAIN_S = 0.01


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit; the one place where errors become exit codes."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be Unicode
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, _interrupt)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        rich_utils.rich_format_error(error)  # type: ignore[arg-type]  # declared for the only subclass
        return USAGE
    except SystemExit:
        # Only one way leads here: the reader of our output has gone.
        return ENVIRONMENT
    except EXPECTED as error:
        return print_error(error, as_json="--json" in arguments)
    except Exception:
        # Not exit code 1, which Python would choose: that one means "verified as bad".
        logger.exception("a fault in the program")
        return ENVIRONMENT
    if code == CANCELLED:
        errors.print("cancelled")
    return code if isinstance(code, int) else GOOD


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Cancel the command; amid a callback of the sound library, which swallows exceptions, a little later."""
    while frame is not None:
        if frame.f_code.co_name.startswith("vio_"):
            signal.setitimer(signal.ITIMER_REAL, INTERRUPT_AGAIN_S)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
