"""Prosody with the client modules of its example configuration."""

from typing import Final

from tests.bench.peers.prosody import Prosody

DIALECT: Final = Prosody(example=True)
