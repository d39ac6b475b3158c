"""Cursors that ride along: bounded, and not stopped for good by a disk that was full (O-05)."""

import pytest

from securechat.protocol.messages import Acknowledged
from securechat.server import riders as riders_module
from securechat.server.config import Quotas
from securechat.server.delivery import Delivery
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.quota import Quota
from securechat.server.riders import Riders


def riders() -> Riders:
    return Riders(Delivery(Groups(), Quota(Quotas()), lambda: 0))


async def test_cursors_go_again_after_a_transaction_that_was_not_written() -> None:
    waiting = riders()
    waiting.add(1, [Acknowledged(b"g" * 16, 1)])
    waiting.leave()
    (job,) = waiting.take()
    job.undone(Refusal("busy"))
    waiting.add(1, [Acknowledged(b"g" * 16, 2)])
    waiting.leave()
    assert len(waiting.take()) == 1


async def test_o_05_those_of_many_clients_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(riders_module, "MAX_GATHERED", 3)
    waiting = riders()
    gone: list[bool] = []
    waiting.go = lambda: gone.append(True)
    for client in range(3):
        waiting.add(client, [Acknowledged(b"g" * 16, 1)])
    assert gone == []
    waiting.add(3, [Acknowledged(b"g" * 16, 1)])
    assert gone == [True]
