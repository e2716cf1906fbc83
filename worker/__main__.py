"""The command `moderate`; says what to install if only the client's dependencies are installed."""

import logging
import sys

from worker.observability.logs import are_json, begin_logs

log = logging.getLogger("worker")


def main() -> None:
    """Run the command line."""
    try:
        from worker.cli.main import run  # noqa: PLC0415 - the extra may be missing; this checks for it

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("worker"):
            raise
        _report_missing(error.name)
        sys.exit(3)


def _report_missing(package: str | None) -> None:
    begin_logs()
    message = f"the command needs the package {package!r}, which is not installed"
    hint = "pip install 'moderation-worker[worker]' (the plain package is for producers only)"
    if are_json():
        log.critical("%s; %s", message, hint)
    else:
        sys.stderr.write(f"error: {message}\n  hint: {hint}\n")


if __name__ == "__main__":
    main()
