"""Whether the tests would notice a mistake: `python -m tests.mutation GROUP [--count N] [--seed S]`.

Each mutant is one small change in one module, in a copy of the tree; the module's own tests run until
the first that fails. One that nothing notices survives and is printed; those of `survivors.toml` have
a reason and count as equivalent. Ends with 1 where fewer than 90 % are noticed (S-04).
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutation.mutants import Mutant, mutants

ROOT: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
NEEDED: Final = 0.9
MEMORY: Final = 4 * 1024**3
SECONDS: Final = 180.0

GROUPS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "authentication": {
        "securechat/server/accounts.py": ("tests/server/test_accounts.py", "tests/server/test_hostile.py"),
        "securechat/server/login_hash.py": ("tests/server/test_accounts.py",),
        "securechat/membership/login.py": ("tests/membership/test_login.py", "tests/server/test_accounts.py"),
        "securechat/membership/passwords.py": ("tests/membership/test_passwords.py",),
    },
    "delivery": {
        "securechat/server/delivery.py": ("tests/server",),
        "securechat/server/named.py": ("tests/server",),
        "securechat/server/ordering.py": ("tests/server",),
        "securechat/server/store/writer.py": ("tests/server",),
        "securechat/server/store/transaction.py": ("tests/server",),
    },
}
"""By group: modules, and the tests that are asked about each."""


@dataclass(frozen=True, slots=True)
class Chosen:
    module: str
    mutant: Mutant

    @property
    def key(self) -> str:
        return f"{self.module}: {self.mutant.what}"


def choose(group: str, *, count: int, seed: int) -> list[Chosen]:
    every = [
        Chosen(module, mutant) for module in GROUPS[group] for mutant in mutants((ROOT / module).read_text())
    ]
    return random.Random(seed).sample(every, min(count, len(every)))


def tree_copy(folder: Path) -> Path:
    for name in ("securechat", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def is_noticed(folder: Path, tests: tuple[str, ...]) -> bool:
    """Whether a test fails, or does not end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),  # noqa: PLW1509 - no threads here
    )
    try:
        return process.wait(SECONDS) != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("group", choices=sorted(GROUPS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    known: dict[str, str] = tomllib.loads(SURVIVORS.read_text())
    began, survivors, asked = time.monotonic(), [], 0
    print(f"group {chosen.group}, seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = tree_copy(Path(temporary))
        for tests in set(GROUPS[chosen.group].values()):
            if is_noticed(folder, tests):
                print(f"{' '.join(tests)} fail without any mistake in the code")
                return 1
        for pick in choose(chosen.group, count=chosen.count, seed=chosen.seed):
            if pick.key in known:
                continue
            place = folder / pick.module
            original = place.read_text()
            place.write_text(pick.mutant.source)
            asked += 1
            if not is_noticed(folder, GROUPS[chosen.group][pick.module]):
                survivors.append(pick)
                print(f"survived: {pick.module}:{pick.mutant.line} {pick.mutant.what}", flush=True)
            place.write_text(original)
    share = 1 - len(survivors) / max(asked, 1)
    print(
        f"{asked} mutants, {len(survivors)} survived, {share:.1%} noticed, {time.monotonic() - began:.0f} s"
    )
    return 0 if asked and share >= NEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
