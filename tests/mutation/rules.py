"""Whether the tests that docs/mls.md names for a rule notice that nobody asks it any more.

    python -m tests.mutation.rules [--count N] [--seed S]

Each `raise` of a rule of RFC 9420 is taken out, one function at a time, in a copy of the tree, and the tests
of the rule's row are run: one of them has to fail. Ends with 1 where none does (M-02).
"""

import argparse
import ast
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mls.test_docs import names, rule_rows
from tests.mutation.mutants import Mutant
from tests.mutation.trial import shown, tree_copy
from tests.mutation.verdicts import Chosen, Outcome, Reach

SECONDS: Final = 5.0
"""So long one of the tests takes, about: it may take four times as long, and half a minute."""

STANDS_BEFORE_ANOTHER: Final = {
    "12.4.3.1 path-secret-key joining._private_keys": "`private_from_welcome` refuses it by the same name"
}
"""Where another function sees the same a step later: said where the clause is, and nobody can notice."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, one function that has it, and the tests that stand for it."""

    clause: str
    name: str
    function: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.clause} {self.name} {self.function}"

    @property
    def module(self) -> str:
        return f"securechat/mls/{self.function.partition('.')[0]}.py"


def every_rule() -> list[Rule]:
    return [
        Rule(clause, names(rule)[0], function, tuple(names(tests)))
        for clause, rule, _, functions, tests in rule_rows()
        for function in names(functions)
    ]


def without(rule: Rule, source: str) -> str:
    """Return the module with the rule's `raise` taken out of its function."""
    lines = source.splitlines(keepends=True)
    nodes = ast.walk(_function(rule, source))
    found = [node for node in nodes if isinstance(node, ast.Raise) and _says(node, rule)]
    if not found:
        raise LookupError(f"{rule} is not raised there")
    for node in found:
        end = node.end_lineno or node.lineno
        lines[node.lineno - 1 : end] = [" " * node.col_offset + "pass\n", *[""] * (end - node.lineno)]
    return "".join(lines)


def _function(rule: Rule, source: str) -> ast.AST:
    node: ast.AST = ast.parse(source)
    for step in rule.function.split(".")[1:]:
        node = next(each for each in ast.walk(node) if getattr(each, "name", None) == step)
    return node


def _says(node: ast.Raise, rule: Rule) -> bool:
    if not isinstance(node.exc, ast.Call):
        return False
    said = [each.value for each in node.exc.args[:2] if isinstance(each, ast.Constant)]
    return said == [rule.name, rule.clause]


def notices(folder: Path, rule: Rule) -> bool:
    """Whether a test of the rule's row fails when the rule is taken out."""
    source = (folder / rule.module).read_text()
    tests = [Reach(f"tests/mls/{test.replace('.', '.py::')}", SECONDS, {}) for test in rule.tests]
    mutant = Mutant(0, 0, rule.function, str(rule), without(rule, source))
    return shown(folder, Chosen(rule.module, mutant, source), [tests]) is not Outcome.PASSED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.rules", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked = parser.parse_args()
    rules = [rule for rule in every_rule() if str(rule) not in STANDS_BEFORE_ANOTHER]
    drawn = random.Random(asked.seed).sample(rules, min(asked.count, len(rules)))
    unnoticed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = tree_copy(Path(temporary) / "tree")
        for rule in drawn:
            if not notices(folder, rule):
                unnoticed += 1
                print(f"not noticed: {rule} by {', '.join(rule.tests)}", flush=True)
    print(f"seed {asked.seed}: of {len(drawn)} rules taken out {len(drawn) - unnoticed} were noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
