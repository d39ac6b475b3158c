"""Run the working group's test vectors through the code that the product runs.

    python -m tests.mls.conformance DIR_OR_FILE...

A file's format is told by what its cases look like, not by its name, so that other files of the
same formats can be given. One line per file and one in total: ``N passed, N failed, N skipped``;
a case is skipped only if its cipher suite is not offered. The exit code is 1 if anything failed,
and a file of an unknown format is a failure.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from securechat.mls.cipher_suite import SUITES
from tests.mls import vectors_messages, vectors_passive, vectors_tree

Check = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: what every case of it contains, and the check of one case."""

    name: str
    keys: frozenset[str]
    check: Check


@dataclass(slots=True)
class Outcome:
    """What came of one file."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def _format(name: str, keys: str, check: Check) -> Format:
    return Format(name, frozenset(keys.split()), check)


FORMATS: Final = (
    _format("messages", "mls_welcome mls_group_info ratchet_tree commit", vectors_messages.check_messages),
    _format("deserialization", "vlbytes_header length", vectors_messages.check_deserialization),
    _format("crypto-basics", "ref_hash sign_with_label", vectors_messages.check_crypto_basics),
    _format("key-schedule", "initial_init_secret epochs", vectors_messages.check_key_schedule),
    _format("psk_secret", "psks psk_secret", vectors_messages.check_psk_secret),
    _format("secret-tree", "encryption_secret sender_data leaves", vectors_messages.check_secret_tree),
    _format("transcript-hashes", "authenticated_content", vectors_messages.check_transcript_hashes),
    _format(
        "message-protection", "membership_key application_priv", vectors_messages.check_message_protection
    ),
    _format("welcome", "welcome init_priv signer_pub", vectors_messages.check_welcome),
    _format("tree-math", "n_leaves sibling", vectors_tree.check_tree_math),
    _format("tree-operations", "tree_before proposal", vectors_tree.check_tree_operations),
    _format("tree-validation", "tree tree_hashes resolutions", vectors_tree.check_tree_validation),
    _format("passive-client", "welcome init_priv epochs key_package", vectors_passive.check_passive_client),
    _format("treekem", "leaves_private update_paths", vectors_tree.check_treekem),
)


def main(arguments: list[str]) -> int:
    if not __debug__:
        print("the checks are assertions: don't run them under -O")
        return 2
    if not arguments:
        print(__doc__)
        return 2
    outcomes = [run_file(path) for path in vector_files(arguments)]
    for outcome in outcomes:
        print(outcome)
        for fault in outcome.faults[:5]:
            print(f"    {fault}")
    total = Outcome("total")
    for outcome in outcomes:
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
    print(total)
    return 0 if total.passed and not total.failed else 1


def vector_files(arguments: Iterable[str]) -> list[Path]:
    """Return the JSON files among ``arguments``, folders searched through."""
    found: list[Path] = []
    for argument in map(Path, arguments):
        found += sorted(argument.rglob("*.json")) if argument.is_dir() else [argument]
    return found


def run_file(path: Path) -> Outcome:
    outcome = Outcome(path.name)
    try:
        cases = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        outcome.failed = 1
        outcome.faults.append(f"cannot be read: {error}")
        return outcome
    cases = cases if isinstance(cases, list) else [cases]
    if not cases:
        outcome.failed = 1
        outcome.faults.append("there is no case in it")
    for number, case in enumerate(cases):
        run_case(case, outcome, number)
    return outcome


def run_case(case: Any, outcome: Outcome, number: int) -> None:
    vector_format = format_of(case)
    if vector_format is None:
        outcome.failed += 1
        outcome.faults.append(f"case {number}: no format that we know")
        return
    if case.get("cipher_suite", 1) not in SUITES:
        outcome.skipped += 1
        return
    try:
        vector_format.check(case)
    except Exception as error:  # noqa: BLE001 - whatever one case does, the others are run too
        outcome.failed += 1
        outcome.faults.append(f"case {number} ({vector_format.name}): {type(error).__name__}: {error}")
    else:
        outcome.passed += 1


def format_of(case: Any) -> Format | None:
    """Return the format whose keys this case has; None if it is of none."""
    if not isinstance(case, dict):
        return None
    return next((each for each in FORMATS if each.keys <= case.keys()), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
