"""A hole in a log is said, however small: what follows it is not what comes next (M-10)."""

from pathlib import Path

import pytest

from securechat.protocol import messages as m
from tests.server.peer import open_room, registered
from tests.server.running import running_server


@pytest.mark.parametrize(("missing", "start"), [((3, 3), 2), ((3, 4), 2), ((3, 3), 3), ((6, 6), 2)])
async def test_m_10_what_is_missing_is_a_gap_of_just_that(
    tmp_path: Path, missing: tuple[int, int], start: int
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        (_, alice), (_, bob) = people
        for number in range(5):
            await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"%d" % number)))
        await app._writer.find(
            lambda db: db.execute("DELETE FROM entry WHERE sequence BETWEEN ? AND ?", missing).fetchall()
        )
        answer = await bob.ask(m.Fetch(group.group_id, start))
        assert isinstance(answer, m.Entries)
        places = [
            (each.first, each.last) if isinstance(each, m.Gap) else (each.sequence, each.sequence)
            for each in answer.entries
        ]
        kept = [(place, place) for place in range(start, 7) if not missing[0] <= place <= missing[1]]
        assert places == sorted([*kept, missing])
