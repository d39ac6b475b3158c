"""Prosody, asked behind each message whether it has it (XEP-0198)."""

from typing import Final

from tests.bench.peers.prosody import Prosody

DIALECT: Final = Prosody(acked=True)
