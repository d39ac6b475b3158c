"""Each message key is used once, and jumps are bounded (M-11, M-12)."""

import random
from collections.abc import Iterator

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.errors import DecodeError, SecretError, UsageError
from securechat.mls.nodes import LeafIndex
from securechat.mls.secret_tree import LAST_GENERATION, MAX_FORWARD, MAX_KEPT, MessageKey, Ratchet, SecretTree

SECRET = bytes(range(32))


def tree(leaves: int = 8) -> SecretTree:
    return SecretTree(SUITE_3, SECRET, leaves)


def take(
    secrets: SecretTree, leaf: int, generation: int, ratchet: Ratchet = Ratchet.APPLICATION
) -> MessageKey:
    found = secrets.find(LeafIndex(leaf), ratchet, generation)
    secrets.consume(found)
    return found


def rule(secrets: SecretTree, leaf: int, generation: int) -> str:
    with pytest.raises(SecretError) as refused:
        secrets.find(LeafIndex(leaf), Ratchet.APPLICATION, generation)
    return refused.value.rule


def test_finding_changes_nothing() -> None:
    secrets = tree()
    before = secrets.to_bytes()
    first = secrets.find(LeafIndex(3), Ratchet.APPLICATION, 5)
    assert secrets.to_bytes() == before
    assert secrets.find(LeafIndex(3), Ratchet.APPLICATION, 5) == first


def test_a_key_is_used_once() -> None:
    secrets = tree()
    found = take(secrets, 3, 0)
    assert rule(secrets, 3, 0) == "generation-used"
    with pytest.raises(UsageError):
        secrets.consume(found)


def test_what_was_used_and_what_led_to_it_is_not_stored() -> None:
    """RFC 9420 section 9.2: the secrets from the root down to the key are gone."""
    secrets = tree()
    found = take(secrets, 3, 2)
    stored = secrets.to_bytes()
    assert SECRET not in stored
    assert found.key not in stored
    assert set(secrets._nodes) == {11, 1, 4}  # the other half, and the two on the copath of leaf 3


def test_order_does_not_matter() -> None:
    straight, shuffled = tree(), tree()
    wanted = [(leaf, generation) for leaf in (0, 1, 6) for generation in range(20)]
    keys = {place: take(straight, *place).key for place in wanted}
    random.Random(1).shuffle(wanted)
    for place in wanted:
        shuffled = SecretTree.from_bytes(SUITE_3, shuffled.to_bytes())
        assert take(shuffled, *place).key == keys[place]
    assert all(not chain.kept for chain in shuffled._chains.values())


def test_every_key_is_another() -> None:
    secrets = tree()
    keys = [
        take(secrets, leaf, generation, ratchet).key
        for leaf in range(8)
        for ratchet in Ratchet
        for generation in range(3)
    ]
    assert len(set(keys)) == len(keys)


def test_a_jump_has_a_limit_that_costs_nothing() -> None:
    secrets = tree()
    before = secrets.to_bytes()
    for generation in (MAX_FORWARD + 1, 10**9, LAST_GENERATION - 1, LAST_GENERATION):
        assert rule(secrets, 3, generation) == "generation-too-far"
    assert secrets.to_bytes() == before
    take(secrets, 3, MAX_FORWARD)
    assert rule(secrets, 3, 2 * MAX_FORWARD + 2) == "generation-too-far"


def test_the_last_generation_is_never_used() -> None:
    secrets = tree()
    take(secrets, 0, 0)
    secrets._chains[LeafIndex(0), Ratchet.APPLICATION].generation = LAST_GENERATION
    with pytest.raises(SecretError):
        secrets.find_next(LeafIndex(0), Ratchet.APPLICATION)


def test_kept_keys_have_a_limit() -> None:
    """Who skips most loses the oldest of its own keys, not those of others."""
    secrets = tree()
    take(secrets, 0, 10)
    for jump in range(1, 4):
        take(secrets, 1, jump * MAX_FORWARD)
    kept = {place: chain.kept for place, chain in secrets._chains.items() if chain.kept}
    assert sum(map(len, kept.values())) == MAX_KEPT
    assert len(kept[LeafIndex(0), Ratchet.APPLICATION]) == 10
    assert rule(secrets, 1, 0) == "generation-used"
    take(secrets, 0, 0)
    take(secrets, 1, 3 * MAX_FORWARD - 1)


class Watched(dict[int, tuple[bytes, bytes]]):
    """Kept keys that count how often it is asked how many, or which, they are."""

    asked = 0

    def __len__(self) -> int:
        Watched.asked += 1
        return super().__len__()

    def __iter__(self) -> Iterator[int]:
        Watched.asked += 1
        return super().__iter__()


def test_however_much_is_forgotten_each_chain_is_looked_at_a_few_times_only() -> None:
    """O-07: a message of 200 bytes skips a thousand keys, in an epoch in which a thousand members spoke."""
    secrets = tree(64)
    for leaf in range(63):
        take(secrets, leaf, 1)
    for jump in range(1, 3):
        take(secrets, 63, jump * MAX_FORWARD)
    for chain in secrets._chains.values():
        chain.kept = Watched(chain.kept)
    Watched.asked = 0
    take(secrets, 63, 3 * MAX_FORWARD)
    assert sum(len(chain.kept) for chain in secrets._chains.values()) == MAX_KEPT
    assert Watched.asked < 5 * len(secrets._chains)


@pytest.mark.parametrize("leaf", [8, 2**24, -1])
def test_there_are_no_keys_outside_the_tree(leaf: int) -> None:
    assert rule(tree(), leaf, 0) == "no-such-leaf"


def test_a_tree_of_one_leaf_has_keys_too() -> None:
    secrets = tree(1)
    take(secrets, 0, 0)
    assert SecretTree.from_bytes(SUITE_3, secrets.to_bytes()).to_bytes() == secrets.to_bytes()


def test_a_key_found_before_another_was_used_is_not_consumed() -> None:
    secrets = tree()
    stale = secrets.find_next(LeafIndex(0), Ratchet.APPLICATION)
    ahead = secrets.find(LeafIndex(0), Ratchet.APPLICATION, 5)
    take(secrets, 0, 0)
    for found in (stale, ahead):
        with pytest.raises(UsageError):
            secrets.consume(found)


def test_storage_follows_who_speaks_not_the_size_of_the_group() -> None:
    secrets = SecretTree(SUITE_3, SECRET, 1024)
    assert len(secrets.to_bytes()) < 64
    take(secrets, 500, 0)
    assert len(secrets.to_bytes()) < 600


def test_broken_bytes_are_refused() -> None:
    secrets = tree()
    take(secrets, 3, 2)
    data = secrets.to_bytes()
    for broken in (data[:-1], data + b"\x00", b"", bytes(4) + data[4:], b"\xff" * 4 + data[4:]):
        with pytest.raises(DecodeError):
            SecretTree.from_bytes(SUITE_3, broken)


def test_secrets_that_are_gone_are_said_to_be() -> None:
    secrets = tree()
    secrets._nodes.clear()
    assert rule(secrets, 3, 0) == "secrets-missing"


# -- rows: what a store keeps, and what a message changes of it -------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_table_that_takes_the_changes_holds_the_tree(seed: int) -> None:
    """M-11: whatever is used in whatever order, the rows are the tree, used keys not among them."""
    source = random.Random(seed)
    secrets = tree(8)
    table = secrets.rows()
    used = []
    for _ in range(60):
        leaf, ratchet = LeafIndex(source.randrange(8)), source.choice(list(Ratchet))
        ahead = secrets.next_generation(leaf, ratchet) + source.choice((0, 0, 1, 5))
        try:
            used.append(take(secrets, leaf, max(0, ahead - source.choice((0, 3))), ratchet))
        except SecretError:
            continue
        for number, data in secrets.take_changes().items():
            if data is None:
                table.pop(number, None)
            else:
                table[number] = data
    again = SecretTree.from_rows(SUITE_3, 8, table)
    assert again.rows() == table == secrets.rows()
    for found in used:
        assert not any(found.key in data for data in table.values())
        with pytest.raises(SecretError):
            again.find(found.leaf, found.ratchet, found.generation)


def test_a_message_changes_one_row_and_a_late_one_too() -> None:
    secrets = tree(1024)
    secrets.rows()
    take(secrets, 5, 0)
    assert len(secrets.take_changes()) == 11 + 10 + 2  # the way down, its sides, both chains
    take(secrets, 5, 1)
    assert len(secrets.take_changes()) == 1
    take(secrets, 5, 4)
    assert len(secrets.take_changes()) == 3
    take(secrets, 5, 2)
    assert list(secrets.take_changes().values()) == [None]
    assert secrets.take_changes() == {}


def test_the_surplus_that_is_forgotten_is_deleted_from_the_table_too() -> None:
    secrets = tree(4)
    table = dict(secrets.rows())
    for leaf in range(3):
        take(secrets, leaf, MAX_FORWARD)
        for number, data in secrets.take_changes().items():
            table.pop(number, None)
            if data is not None:
                table[number] = data
    assert table == secrets.rows()
    assert len(table) < MAX_KEPT + 20


@pytest.mark.parametrize(
    "rows",
    [
        {15: SECRET},
        {1 << 60 | 8 << 33: bytes(36)},
        {1 << 60: bytes(35)},
        {2 << 60: bytes(44)},
        {3 << 60: b""},
    ],
    ids=["no such node", "no such leaf", "a short chain", "a key without its chain", "no such kind"],
)
def test_broken_rows_are_refused(rows: dict[int, bytes]) -> None:
    with pytest.raises(DecodeError):
        SecretTree.from_rows(SUITE_3, 8, rows)
