"""Looks at what a server would start with, and changes nothing."""

import os
from collections.abc import Iterator

from securechat.server.config import ServerConfig
from securechat.server.private_files import check_private_file, make_private_folder
from securechat.server.rate_limit import check_names
from securechat.server.store.sqlite import DATABASE
from securechat.server.tls import load_certificate


def check_start(config: ServerConfig) -> Iterator[str]:
    """Say what was found, a sentence each.

    :raises ConfigError: the server would not start; the text says why
    """
    check_names(config.rates)
    yield f"would listen on {config.host}:{config.port}, registration {config.admits}"
    if os.path.lexists(config.certificate_file):
        load_certificate(config.certificate_file)
        yield f"the certificate in {config.certificate_file} can be used"
    else:
        yield f"the certificate {config.certificate_file} would be made"
    if os.path.lexists(config.data):
        make_private_folder(config.data)  # it is there: it is only looked at
    database = config.data / DATABASE
    if os.path.lexists(database):
        check_private_file(database)
        yield f"the database {database} is there"
    else:
        yield f"the database {database} would be made, and with it a new identity"
