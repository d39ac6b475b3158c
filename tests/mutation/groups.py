"""What mutation testing is done to: groups of modules, each with the tests that are there for it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Group:
    modules: dict[str, tuple[str, ...]]
    """By module, the tests that are there for it: they are asked before others."""
    tests: tuple[str, ...]
    """All that may be asked."""


GROUPS: Final = {
    "authentication": Group(
        {
            "securechat/server/accounts.py": (
                *("tests/server/test_accounts.py", "tests/server/test_registration_holds.py"),
                "tests/server/test_guesses.py",
            ),
            "securechat/server/login_hash.py": (
                *("tests/server/test_accounts.py", "tests/server/test_registration_holds.py"),
                "tests/server/test_guesses.py",
            ),
            "securechat/membership/login.py": (
                *("tests/membership/test_login.py", "tests/membership/test_guessable.py"),
            ),
            "securechat/membership/passwords.py": (
                *("tests/membership/test_passwords.py", "tests/membership/test_guessable.py"),
            ),
        },
        ("tests/server", "tests/membership"),
    ),
    "mls": Group(
        {
            "securechat/mls/validation.py": (
                *("tests/mls/test_validation.py", "tests/mls/test_proposal_rules.py"),
                *("tests/mls/test_tree_validation.py", "tests/mls/test_certificates.py"),
            ),
            "securechat/mls/protection.py": (
                *("tests/mls/test_group_refusals.py", "tests/mls/test_inner_refusals.py"),
                "tests/mls/test_group.py",
            ),
            "securechat/mls/ratchet_tree.py": ("tests/mls/test_ratchet_tree.py", "tests/mls/test_apply.py"),
            "securechat/mls/staging.py": (
                *("tests/mls/test_group.py", "tests/mls/test_serialization.py"),
                *("tests/mls/test_outside.py", "tests/mls/test_group_refusals.py"),
            ),
            "securechat/mls/joining.py": (
                *("tests/mls/test_joining.py", "tests/mls/test_continuing.py"),
                *("tests/mls/test_outside.py", "tests/mls/test_inner_refusals.py"),
            ),
            "securechat/membership/judge.py": ("tests/membership",),
        },
        ("tests/mls", "tests/membership"),
    ),
    "delivery": Group(
        {
            "securechat/server/delivery.py": (
                *("tests/server/test_delivery.py", "tests/server/test_holes.py"),
                *("tests/server/test_page_bounds.py", "tests/server/test_page_sizes.py"),
            ),
            "securechat/server/named.py": (
                *("tests/server/test_named.py", "tests/server/test_answers.py"),
                "tests/server/test_writer.py",
            ),
            "securechat/server/ordering.py": (
                *("tests/server/test_ordering.py", "tests/server/test_conversation.py"),
                *("tests/server/test_openings.py", "tests/server/test_overtaken.py"),
                "tests/server/test_succession.py",
            ),
            "securechat/server/store/writer.py": (
                *("tests/server/test_writer.py", "tests/server/test_durability.py"),
            ),
            "securechat/server/store/transaction.py": (
                *("tests/server/test_transaction.py", "tests/server/test_answers.py"),
            ),
        },
        ("tests/server",),
    ),
}
