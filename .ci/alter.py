"""Change one bit in the middle of a file: `alter.py FILE`."""

import sys
from pathlib import Path

file = Path(sys.argv[1])
data = bytearray(file.read_bytes())
data[len(data) // 2] ^= 1
file.write_bytes(data)
