"""ejabberd with the client modules of its example configuration."""

from typing import Final

from tests.bench.peers.ejabberd import Ejabberd

DIALECT: Final = Ejabberd(example=True)
