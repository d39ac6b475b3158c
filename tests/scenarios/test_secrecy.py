"""What the server's disk holds, and the last key package."""

from pathlib import Path

import apsw

from securechat.client.events import Invited
from tests.scenarios.world import World, has_keys
from tests.server.running import until


async def test_no_text_room_name_topic_or_password_is_in_the_servers_files(world: World) -> None:
    """L-02's other half: canaries for the server."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "canary-text-4711")
    await bob.hears("canary-text-4711")
    await alice.client.create_room("#canary-room", topic="canary-topic")
    await alice.client.invite("#canary-room", "bob")
    await bob.sees(Invited)
    await bob.client.join("#canary-room")
    await bob.says("#canary-room", "canary-in-room")
    await alice.hears("canary-in-room")

    stored = world.stored()

    assert b"alice" in stored
    for canary in ("canary", alice.password, bob.password):
        assert canary.encode() not in stored
        assert canary.encode("utf-16-le") not in stored


async def test_nothing_of_it_is_readable_in_the_clients_folder_either(world: World) -> None:
    """L-02."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "canary-text-4711")
    await bob.hears("canary-text-4711")

    files = [file for person in (alice, bob) for file in person.home.path.rglob("*") if file.is_file()]

    assert files
    for file in files:
        assert b"canary" not in file.read_bytes()
        assert alice.password.encode() not in file.read_bytes()


def only_last_resort_is_left(folder: Path, user: str) -> None:
    """Use up a user's key packages, as ten thousand strangers would."""
    database = apsw.Connection(str(next((folder / "server").glob("*.db"))))
    database.set_busy_timeout(10_000)  # the server may be signing a head of its key log
    database.execute(
        "DELETE FROM key_package WHERE last_resort = 0 AND client IN"
        " (SELECT c.id FROM client c JOIN account a ON a.id = c.account WHERE a.user = ?)",
        (user,),
    )
    database.close()


async def test_the_last_resort_opens_a_conversation_and_is_replaced_at_once(world: World) -> None:
    """M-14: the leaf gets fresh keys, the server a new last resort and fresh packages."""
    alice, bob = await world.join("alice", "bob")
    await has_keys(bob)
    await bob.close()
    only_last_resort_is_left(world.folder, "bob")

    await alice.says("@bob", "found you")
    epoch = alice.client.conversation("@bob").epoch
    await bob.open()
    await bob.hears("found you")
    await bob.says("@alice", "with fresh keys")
    await alice.hears("with fresh keys")

    assert alice.client.conversation("@bob").epoch > epoch
    used, fresh = 0, 1

    def is_replaced() -> bool:
        rows = bob.client._engine.store.rows(
            "SELECT suite, made_at > 0, count(*) FROM key_package WHERE last_resort = 1 GROUP BY 1, 2"
        )
        return sorted(rows) == [(3, fresh, 1), (0xF00E, used, 1), (0xF00E, fresh, 1)]

    await until(is_replaced)


async def test_a_last_resort_leaf_stays_until_the_invitation_is_taken(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await has_keys(bob)
    await bob.close()  # or he leaves new keys in their place
    only_last_resort_is_left(world.folder, "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.open()
    await bob.sees(Invited)
    await bob.client.caught_up()
    epoch = alice.client.conversation("#team").epoch
    assert bob.client.conversation("#team").epoch == epoch

    await bob.client.join("#team")
    await bob.says("#team", "here I am")
    await alice.hears("here I am")

    assert alice.client.conversation("#team").epoch == epoch + 1
