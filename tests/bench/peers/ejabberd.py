"""ejabberd: accounts made beforehand in Mnesia, no message archive; no node name, so no epmd runs.

Erlang's busy waiting is off: it would count as work. ``example`` adds what its example configuration
enables for clients.
"""

import base64
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.dialect import Serving, make_certificate, process
from tests.bench.packages import READY_SECONDS, free_port, surroundings, unpacked, wait_for
from tests.bench.peers import xmpp

CONFIGURATION: Final = """
hosts: [localhost]
loglevel: warning
certfiles: ["{folder}/both.pem"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_tlsv1_2]
auth_method: mnesia
auth_password_format: scram
shaper_rules:
  max_user_offline_messages: 1000000
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_offline: {{access_max_user_messages: max_user_offline_messages}}
  mod_muc: {{max_users: 2000, history_size: 0, default_room_options: {{max_users: 2000}}}}
"""

MANAGEMENT: Final = """
  mod_stream_mgmt: {resend_on_timeout: if_offline}
"""
EXAMPLE: Final = """
  mod_adhoc: {}
  mod_avatar: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_last: {}
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub: {plugins: [flat, pep]}
  mod_push: {}
  mod_push_keepalive: {}
  mod_shared_roster: {}
  mod_sic: {}
  mod_vcard: {search: false}
  mod_vcard_xupdate: {}
  mod_version: {}
"""

OPTIONS: Final = (
    "-noinput",
    *("+K", "true", "+P", "250000"),
    *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
)
"""As ejabberdctl says them, and no busy waiting."""

ACCOUNTS: Final = """
{{ok, _}} = application:ensure_all_started(ejabberd),
Keys = {{scram, <<"{stored}">>, <<"{server}">>, <<"{salt}">>, sha, {iterations}}},
lists:foreach(fun(N) ->
    User = <<"u", (integer_to_binary(N))/binary>>,
    ok = mnesia:dirty_write(passwd, {{passwd, {{User, <<"{domain}">>}}, Keys}})
end, lists:seq(0, {clients} - 1)),
file:write_file("{folder}/ready", <<>>).
"""


def _accounts(folder: Path, clients: int) -> str:
    def text(key: bytes) -> str:
        return base64.b64encode(key).decode()

    return ACCOUNTS.format(
        stored=text(xmpp.stored_key()),
        server=text(xmpp.server_key()),
        salt=text(xmpp.SALT),
        iterations=xmpp.ITERATIONS,
        domain=xmpp.DOMAIN,
        clients=clients,
        folder=folder,
    )


def _surroundings(root: Path, folder: Path) -> dict[str, str]:
    """What Erlang's own start script says, for another root."""
    erlang = root / "usr/lib/erlang"
    (machine,) = erlang.glob("erts-*/bin")
    return {
        **surroundings(root),
        "ROOTDIR": str(erlang),
        "BINDIR": str(machine),
        "EMU": "beam",
        "PROGNAME": "erl",
        "ERL_LIBS": str(root / "usr/lib/x86_64-linux-gnu"),
        "ERL_CRASH_DUMP_BYTES": "0",
        "ERL_MAX_PORTS": "32000",
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        "HOME": str(folder),
    }


def _wait_until_ready(folder: Path, running: "subprocess.Popen[str]") -> None:
    for _ in range(READY_SECONDS * 10):
        if (folder / "ready").exists():
            return
        if running.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"ejabberd did not start: {(folder / 'log').read_text()[-2_000:]}")


class Ejabberd(xmpp.Xmpp):
    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:
        make_certificate(folder)
        both = (folder / "key.pem").read_text() + (folder / "cert.pem").read_text()
        (folder / "both.pem").write_text(both)
        port, root = free_port(), unpacked("ejabberd")
        modules = EXAMPLE.lstrip("\n") if self.example else ""
        if self.example or self.acknowledges:
            modules += MANAGEMENT.lstrip("\n")
        (folder / "ejabberd.yml").write_text(CONFIGURATION.format(folder=folder, port=port) + modules)
        environment = _surroundings(root, folder)
        start = [
            "-mnesia",
            "dir",
            f'"{folder}/mnesia"',
            "-s",
            "ejabberd",
            "-eval",
            _accounts(folder, clients),
        ]
        command = [f"{environment['BINDIR']}/erlexec", *OPTIONS, *start]
        with process(command, folder / "log", env=environment, cwd=folder) as running:
            _wait_until_ready(folder, running)
            wait_for(port)
            yield Serving(running.pid, port)


DIALECT: Final = Ejabberd()
