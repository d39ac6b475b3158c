"""Prosody: accounts made beforehand (internal_hashed), files for what is kept, no message archive.

``example`` adds what its example configuration enables for clients, but for what limits or registers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.dialect import Serving, make_certificate, process
from tests.bench.packages import free_port, surroundings, unpacked, wait_for
from tests.bench.peers import xmpp

CONFIGURATION: Final = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
log = {{ warn = "{folder}/prosody.log" }}
gc = {{ mode = "generational" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {port} }}
c2s_direct_tls_ssl = {{
    certificate = "{folder}/cert.pem", key = "{folder}/key.pem", protocol = "tlsv1_3"
}}
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s" }}
authentication = "internal_hashed"
storage = "internal"
muc_room_locking = false
muc_room_default_history_length = 0
VirtualHost "localhost"
Component "conference.localhost" "muc"
"""

LEAST: Final = ("roster", "saslauth", "disco")
EXAMPLE: Final = (
    *("blocklist", "bookmarks", "carbons", "pep", "private", "smacks", "vcard4", "vcard_legacy"),
    *("csi_simple", "ping", "time", "version"),
)

ACCOUNT: Final = """return {{
    salt = "{salt}"; iteration_count = {iterations};
    stored_key = "{stored}"; server_key = "{server}";
}};
"""


def _seed(folder: Path, clients: int) -> None:
    accounts = folder / "data" / xmpp.DOMAIN / "accounts"
    accounts.mkdir(parents=True)
    stored, server = xmpp.stored_key().hex(), xmpp.server_key().hex()
    account = ACCOUNT.format(
        salt=xmpp.SALT.decode(), iterations=xmpp.ITERATIONS, stored=stored, server=server
    )
    for number in range(clients):
        (accounts / f"u{number}.dat").write_text(account, encoding="ascii")


def _command(root: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The program and its environment, with the paths that it takes for granted under another root."""
    script = folder / "prosody"
    original = (root / "usr/bin/prosody").read_text(encoding="utf-8")
    script.write_text(original.replace("'/usr/lib/prosody", f"'{root}/usr/lib/prosody"), encoding="utf-8")
    config = folder / "prosody.cfg.lua"
    libraries = root / "usr/lib/x86_64-linux-gnu/lua/5.4"
    environment = {
        **surroundings(root),
        "LUA_PATH": f"{root}/usr/share/lua/5.4/?.lua;{root}/usr/share/lua/5.4/?/init.lua",
        "LUA_CPATH": f"{libraries}/?.so",
    }
    return [str(root / "usr/bin/lua5.4"), str(script), "-F", "--config", str(config)], environment


class Prosody(xmpp.Xmpp):
    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:
        make_certificate(folder)
        _seed(folder, clients)
        port, root = free_port(), unpacked("prosody")
        modules = {*LEAST, *(EXAMPLE if self.example else ()), *(("smacks",) if self.acknowledges else ())}
        named = ", ".join(f'"{module}"' for module in sorted(modules))
        config = CONFIGURATION.format(folder=folder, port=port, modules=named)
        (folder / "prosody.cfg.lua").write_text(config, encoding="utf-8")
        command, environment = _command(root, folder)
        with process(command, folder / "log", env=environment) as running:
            wait_for(port)
            yield Serving(running.pid, port)


DIALECT: Final = Prosody()
