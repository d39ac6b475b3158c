"""Everything measured, in one go: ``python -m tests.bench [--seconds N]`` (docs/benchmarks.md)."""

import argparse
import platform
import subprocess
import sys
from importlib.metadata import version


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="how long the server is measured")
    seconds = str(parser.parse_args().seconds)
    print(f"Python {platform.python_version()}, cryptography {version('cryptography')}, {platform.machine()}")
    for module, *options in (
        ("server", "--seconds", seconds),
        ("mls",),
        ("send",),
        ("finding",),
        ("history",),
    ):
        print(f"\n== {module}", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.bench.{module}", *options], check=True)


if __name__ == "__main__":
    main()
