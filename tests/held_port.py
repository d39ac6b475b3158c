"""A loopback port that stays one server's own, also while that server is down."""

import os
import socket
import sys
import weakref


class HeldPort:
    """Bound and never listened at, for as long as this lives.

    Linux gives such a port to nobody who asks for a free one, and refuses who connects to it; who sets
    ``SO_REUSEADDR``, as every server here does, may listen at it again and again. Without it a port that
    was free a moment ago, or is for the length of a restart, may be that of another test's server.
    """

    def __init__(self) -> None:
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            self.number: int = held.getsockname()[1]
            if sys.platform == "linux":
                weakref.finalize(self, os.close, held.detach())
