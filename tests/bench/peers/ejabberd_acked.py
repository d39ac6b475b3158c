"""ejabberd, asked behind each message whether it has it (XEP-0198)."""

from typing import Final

from tests.bench.peers.ejabberd import Ejabberd

DIALECT: Final = Ejabberd(acked=True)
