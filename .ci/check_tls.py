"""Look at our port as a stranger does: sslyze, Mozilla's "modern" profile (T-01), what must be off (T-02).

Run by the Python that has sslyze (`.ci/sslyze.txt`), with the command that starts the server as its
arguments: ``check_tls.py .venv/bin/securechat server``. The server is ours: a made certificate, a free
port on loopback, and it ends with this script. Exit code 0 means compliant.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nassl.ssl_client import (
    OpenSSLError,
    OpenSslVerifyEnum,
    OpenSslVersionEnum,
    SslClient,
)
from sslyze import Scanner, ServerNetworkLocation, ServerScanRequest, ServerScanResult
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

ACCEPTED: Final = {"certificate_path_validation"}
"""What may be found: no authority vouches for a self-signed certificate; clients pin the server's key."""

OLD: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
SECONDS: Final = 30
"""For the server's start, and for its end."""


@contextmanager
def server(command: list[str]) -> Iterator[int]:
    """Start the server; return its port."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--host", "127.0.0.1", "--port", "0", "--data", str(Path(folder) / "data")],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield next(
                int(line.rpartition(":")[2])
                for line in process.stdout or ()
                if line.startswith("listening on ")
            )
        finally:
            process.terminate()
            process.wait(SECONDS)


def scan(port: int) -> ServerScanResult:
    scanner = Scanner()
    location = ServerNetworkLocation(hostname="localhost", port=port, ip_address="127.0.0.1")
    scanner.queue_scans([ServerScanRequest(location, scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER)])
    (result,) = scanner.get_results()
    return result


def early_data(port: int) -> Iterator[str]:
    """Try to send a byte with the ClientHello, in the session of an earlier connection (T-02).

    sslyze's own attempt waits for an answer of HTTP first, and without our ALPN there is none.
    """
    first = _connection(port)
    first.do_handshake()
    with contextlib.suppress(OpenSSLError, OSError):
        first.write(b"E")  # its Finished goes with it, and tickets come after that
        first.read(1)
    session = first.get_session()
    first.get_underlying_socket().close()
    second = _connection(port)
    second.set_session(session)
    try:
        second.write_early_data(b"E")
        yield "early data: the server gives out tickets that allow it"
    except OpenSSLError as error:
        if "function you should not call" not in str(error):  # how OpenSSL says: this session allows none
            yield f"early data: {error}"


def _connection(port: int) -> SslClient:
    return SslClient(
        ssl_version=OpenSslVersionEnum.TLSV1_3,
        underlying_socket=socket.create_connection(("127.0.0.1", port), timeout=SECONDS),
        ssl_verify=OpenSslVerifyEnum.NONE,
    )


def mozilla(result: ServerScanResult) -> Iterator[str]:
    """What the "modern" profile finds, but for what is accepted."""
    try:
        check_server_against_tls_configuration(
            result, MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_MODERN)
        )
    except ServerNotCompliantWithTlsConfiguration as found:
        yield from (f"{name}: {text}" for name, text in found.issues.items() if name not in ACCEPTED)


def switched_off(result: ServerScanResult) -> Iterator[str]:
    """T-02: old versions, compression, renegotiation, early data; and the known holes."""
    found = result.scan_result
    if found is None:
        yield f"nothing was found out: {result.connectivity_error_trace}"
        return
    for version in OLD:
        accepted = getattr(found, f"{version}_cipher_suites").result.accepted_cipher_suites
        yield from (f"{version}: {suite.cipher_suite.name}" for suite in accepted)
    renegotiation = found.session_renegotiation.result
    bad = {
        "compression": found.tls_compression.result.supports_compression,
        "renegotiation by clients": renegotiation.is_vulnerable_to_client_renegotiation_dos,
        "heartbleed": found.heartbleed.result.is_vulnerable_to_heartbleed,
        "CCS injection": found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection,
    }
    yield from (name for name, is_so in bad.items() if is_so)
    if not found.tls_1_3_cipher_suites.result.accepted_cipher_suites:
        yield "TLS 1.3 is not accepted"


def main() -> int:
    with server(sys.argv[1:]) as port:
        result = scan(port)
        findings = [*early_data(port), *switched_off(result), *mozilla(result)]
    for finding in findings:
        sys.stdout.write(f"finding: {finding}\n")
    sys.stdout.write("NOT compliant\n" if findings else "compliant with Mozilla's modern profile\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
