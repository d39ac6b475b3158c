"""`securechat server`: start the server, say where it listens and by what it is known."""

import logging
import sys
from pathlib import Path

import click

from securechat.server.app import App, run
from securechat.server.checking import check_start
from securechat.server.config import resolve_config
from securechat.server.errors import ConfigError
from securechat.server.logs import log_to_stderr
from securechat.server.rate_limit import check_names


@click.command()
@click.option(
    "--cert",
    "certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate and key in one PEM file; made, self-signed, if it does not exist.",
)
@click.option("--host", help="Address to listen on (default localhost).")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on (default 7443; 0 takes a free one)."
)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of the database.")
@click.option("--domain", help="Name of this server for ever (default: made from its identity key).")
@click.option(
    "--registration",
    type=click.Choice(["open", "invite", "closed"]),
    help="Who may make an account (default: open on loopback, closed elsewhere).",
)
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    help="Port of /metrics and /healthz on 127.0.0.1 (default: none).",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How a line of the log looks.")
@click.option(
    "--restored",
    is_flag=True,
    default=None,
    help="The data is an older copy that was put back (one of `admin backup` says so itself).",
)
@click.option("--check", is_flag=True, help="Look at options, certificate and folder, start nothing.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML file with these options; the command line wins.",
)
@click.option("--verbose", "-v", is_flag=True, help="Log more (never content or secrets).")
def server(config: Path | None, verbose: bool, check: bool, **options: object) -> int:
    """Start the server. The first start makes what is missing: certificate, identity, database."""
    resolved = resolve_config(options, config)
    try:
        check_names(resolved.rates)
    except ConfigError as problem:
        raise ConfigError(f"{config}: {problem}") from None
    if check:
        for sentence in check_start(resolved):
            click.echo(sentence)
        return 0
    log_to_stderr(logging.DEBUG if verbose else logging.INFO, resolved.log_format)
    run(resolved, _announce)
    return 0


def _announce(app: App) -> None:
    """Say on stdout what a person or a script needs to know; the last line begins with ``ready``."""
    address = f"{app.config.host}:{app.port}"
    if app.made_certificate:
        click.echo(f"made a certificate: {app.config.certificate_file}")
    click.echo(f"listening on {address}")
    click.echo(f"domain {app.identity.domain}")
    click.echo(f"fingerprint {app.fingerprint}")
    click.echo(f"registration {app.config.admits}")
    if app.http_port:
        click.echo(f"metrics http://127.0.0.1:{app.http_port}/metrics")
    click.echo(f"ready: securechat register NAME --server {address}")
    sys.stdout.flush()
