"""`moderate web`: serves the HTTP API and the review desk, until stopped."""

import signal
import socket
from contextlib import suppress
from typing import Annotated

import typer
import uvicorn

from worker.cli.terminal.console import announce
from worker.errors import UsageError
from worker.observability.logs import set_up_logs
from worker.settings import Settings
from worker.usecases.accounts.manage_api_keys import ManageApiKeys
from worker.web.api.service import WebService, open_web_service
from worker.web.app import create_app
from worker.web.desk.request.service import DeskService

EPILOG = """Examples:

[bold]moderate web[/]

[bold]moderate web --host 0.0.0.0 --port 8080[/]

[bold]moderate web --host ::[/] (IPv6 and IPv4)

It accepts pictures and answers with decisions; workers judge them. The review desk is under /review; moderate
reviewer add creates its accounts. TLS is left to a proxy.
SIGTERM and Ctrl-C finish the requests in progress, then stop.
Exit codes: 0 stopped, 2 wrong usage or the port is taken, 3 the database is not usable."""

#: Time for requests in progress to finish; those that wait for a decision are cut off.
STOP_SECONDS = 10


def web(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve the HTTP API and the review desk."""
    settings = Settings.read()
    set_up_logs(settings)
    with open_web_service(settings) as service, _listening(host, port) as listener:
        address, number = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        announce(
            f"database {service.intake.database.describe}, queue {service.settings.queue}; "
            f"listening on http://{shown}:{number}"
        )
        _announce_missing_key(service)
        if service.desk is not None:
            _announce_desk(service.desk, f"http://{shown}:{number}")
        _serve(service, listener)


def _announce_missing_key(service: WebService) -> None:
    if not ManageApiKeys(service.intake.database).has_usable():
        announce("there is no API key yet: moderate api-key create NAME")


def _announce_desk(desk: DeskService, url: str) -> None:
    announce(f"review desk: {url}{desk.root}/")
    if not desk.parts.accounts.has_usable():
        announce("it has no accounts yet: moderate reviewer add NAME --role admin")
    if desk.settings.reviewer_header and not desk.proxies.networks:
        announce(
            "no one can sign in: MODERATION_REVIEWER_HEADER counts only from MODERATION_TRUSTED_PROXIES,"
            " which is empty"
        )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # `::` accepts IPv4 too, as in other servers.
    is_dual_stack = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, backlog=512, dualstack_ipv6=is_dual_stack)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", hint="name another --host or --port"
        ) from None


def _serve(service: WebService, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        # web/http/request_log.py logs requests.
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=service.settings.web_keepalive_seconds,
    )
    # After shutdown uvicorn raises the signal again, which would kill the process during cleanup.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
