"""A test that failed beside others is heard alone: three times, and three times it must pass.

Only tests that live on real processes, sockets and the machine's clock have this right, and only two of
one run. What is pure has no excuse: there the first failure is the verdict. Who passes is named at the
end of the gate, to be mended.
"""

import json
import subprocess
import sys
from pathlib import Path

MAY_BE_UNSTEADY = ("bench", "cli", "client", "faults", "interop", "scenarios", "server", "tui")
AT_MOST = 2
TIMES = 3
ALONE = (*(sys.executable, "-m", "pytest", "-q", "-n", "0"), *("-W", "error", "-p", "no:cacheprovider"))


def verdict(failed: list[str]) -> str | None:
    """Return why these have no second hearing, or fail in it; None if all have passed."""
    if not 0 < len(failed) <= AT_MOST:
        return f"{len(failed)} tests failed: no second hearing"
    for name in failed:
        if not name.startswith(tuple(f"tests/{folder}/" for folder in MAY_BE_UNSTEADY)):
            return f"{name} hangs on nothing but the code: no second hearing"
        for _ in range(TIMES):
            if subprocess.run([*ALONE, name], check=False).returncode != 0:  # noqa: S603 - our own tests
                return f"{name} fails alone, too"
    return None


def main(told: Path) -> int:
    """Hear those of this folder that failed last, name them in ``told``; return the exit code."""
    failed = sorted(json.loads(Path(".pytest_cache/v/cache/lastfailed").read_text()))
    refused = verdict(failed)
    if refused is not None:
        sys.stdout.write(f"{refused}\n")
        return 1
    told.write_text(
        "".join(f"UNSTEADY  {name}: failed beside others, passed {TIMES} times alone\n" for name in failed)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
