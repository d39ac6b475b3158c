"""What a process that has keys in its memory keeps from the rest of its machine (L-03)."""

import ctypes
import importlib
import importlib.util
import os
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""prctl(2)"""


def keep_memory_to_itself() -> None:
    """Write no core, let no other process of the user read our memory, make no file for others.

    Keys are in this memory. Root still reads it, and what the system swaps out is the system's
    business: encrypted swap or none.
    """
    os.umask(0o077)
    if importlib.util.find_spec("resource") is not None:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
