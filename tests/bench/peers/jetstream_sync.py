"""NATS JetStream, made to sync every message before it acknowledges it, as we do."""

from typing import Final

from tests.bench.peers.jetstream import JetStream

DIALECT: Final = JetStream("always")
