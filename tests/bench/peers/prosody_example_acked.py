"""Prosody with the client modules of its example configuration, asked behind each message."""

from typing import Final

from tests.bench.peers.prosody import Prosody

DIALECT: Final = Prosody(acked=True, example=True)
