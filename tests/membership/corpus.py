"""Commits and what must be said of them, each built with real groups.

One corpus for the judge, the server and the client: `load` maps a sentence to a `Case`. A real
case's ``steps`` can be replayed at a server and its commit given to the ``receivers``; the few
others have touched-up facts, for what MLS itself already refuses.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.membership.world import Play


@dataclass(frozen=True)
class Case:
    """``rule``: the rule that the refusal must name, or None if the commit is valid.

    ``real``: whether the commit exists as a message; else only its facts do, touched up.
    """

    rule: str | None
    build: Callable[[], Play]
    real: bool


CASES: dict[str, Case] = {}


def case(rule: str | None, *, real: bool = True) -> Callable[[Callable[[], Play]], Callable[[], Play]]:
    """Enter a function into the corpus under its name."""

    def enter(build: Callable[[], Play]) -> Callable[[], Play]:
        name = build.__name__.replace("_", " ")
        assert name not in CASES
        CASES[name] = Case(rule, build, real)
        return build

    return enter


def load() -> dict[str, Case]:
    """Return the whole corpus."""
    from tests.membership import accepted, refused_leaves, refused_rights  # noqa: F401, PLC0415 (they enter themselves)

    return CASES
