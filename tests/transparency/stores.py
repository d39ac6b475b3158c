"""Node stores in memory, which count what is read of them."""

from securechat.transparency.errors import MissingNode
from securechat.transparency.merkle import EMPTY_LOG, Frontier, LogNode, append, hash_leaf


class MemoryLog:
    """A log's nodes by (level, index)."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def log_node(self, level: int, index: int) -> bytes:
        self.reads += 1
        try:
            return self.nodes[level, index]
        except KeyError:
            raise MissingNode(f"no node {level}, {index}") from None

    def store(self, nodes: tuple[LogNode, ...]) -> None:
        for node in nodes:
            assert (node.level, node.index) not in self.nodes, "a node never changes"
            self.nodes[node.level, node.index] = node.value


class MemoryPrefix:
    """A prefix tree's nodes by name."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.reads = 0

    def prefix_node(self, name: bytes) -> bytes:
        self.reads += 1
        try:
            return self.nodes[name]
        except KeyError:
            raise MissingNode(f"no node {name.hex()}") from None


def log_of(entries: tuple[bytes, ...]) -> tuple[MemoryLog, Frontier]:
    store, frontier = MemoryLog(), EMPTY_LOG
    for entry in entries:
        frontier, nodes = append(frontier, hash_leaf(entry))
        store.store(nodes)
    return store, frontier
