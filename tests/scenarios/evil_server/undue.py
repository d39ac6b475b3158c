"""What a reader of a room does with a server that lets everything pass."""

from dataclasses import dataclass
from typing import Final

from securechat.membership.room import Join, Kind, Role, with_roles
from tests.scenarios.evil_server.accomplices import commit
from tests.scenarios.evil_server.deeds import (
    Deed,
    giving,
    policy,
    removing,
    roles,
    starting_anew,
    with_fields,
)
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.people import NAMES


@dataclass(frozen=True, slots=True)
class Undue:
    """``plan`` is what is committed; without one, mallory only speaks. All others are told the code."""

    plan: Deed | None
    code: str = "invalid_entry"


async def with_roles_given(stage: Stage) -> None:
    """All are in one room: alice owns it, bob is an admin, mallory a reader."""
    given = {"alice": Role.OWNER, "bob": Role.ADMIN, "mallory": Role.READER}
    await stage.room(*NAMES)
    await commit(stage, "alice", policy(lambda room: with_roles(room, roles(stage, given))))


UNDUE: Final[dict[str, Undue]] = {
    "speaks": Undue(None, "may_not_speak"),
    "becomes owner": Undue(giving(mallory=Role.OWNER)),
    "silences alice": Undue(giving(alice=Role.READER)),
    "removes bob": Undue(removing("bob")),
    "opens the door": Undue(with_fields(join=Join.BY_MEMBER)),
    "starts the group anew": Undue(starting_anew),
    "makes it a one-to-one": Undue(with_fields(kind=Kind.DIRECT, roles=())),
}
