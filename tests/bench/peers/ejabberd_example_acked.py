"""ejabberd with the client modules of its example configuration, asked behind each message."""

from typing import Final

from tests.bench.peers.ejabberd import Ejabberd

DIALECT: Final = Ejabberd(acked=True, example=True)
