"""One sentence for everything that stops or troubles a conversation, by its code.

The code is what scripts and reports rely on; the sentence is for the user (rules.md D).
"""

from typing import Final

HOLDS: Final[dict[str, str]] = {
    "identity_changed": "the keys of {who} have changed; nothing is sent until you /accept them",
    "other_keys": "{who} is in here with other keys than those that you hold for theirs; "
    "nothing is sent here until they come in with those",
    "untrusted_keys": "the server offered keys that {who} did not sign; nothing is sent to them ({why})",
    "ghost_device": "the server offered a device that {who} does not list; nothing is sent to it ({why})",
    "revoked_device": "a device of {who} was removed from its account and is still in here; "
    "nothing is sent until it is out, which takes a minute at most",
    "statement_forked": "the server shows another list of the devices of {who} than was known; "
    "nothing is sent to them",
    "statement_older": "the server shows an older list of the devices of {who} than was known; "
    "nothing is sent to them until it shows the newer one",
    "statement_withheld": "the server does not show the newest list of the devices of {who}; "
    "nothing is sent to them until it does",
    "not_verified": "nothing is sent here until a person has compared the safety numbers of {who}",
    "suite_withheld": "the server hands out only older keys of {who} than their devices have; "
    "nothing is sent to them ({why})",
    "suite_forbidden": "nothing can be sent to {who}: {why}",
    "invalid_entry": "the server delivered what no honest server lets through ({why}); reading stops here",
    "missing_commit": "the server no longer has a change of this group that we need; reading stops here",
    "log_altered": "the server's record differs from what {who} saw; compare the code of /fingerprint",
    "group_forked": "elsewhere {who} told another code of this conversation's epoch than it has here; the "
    "server may have parted it in two: compare the code of /fingerprint",
    "server_older": "the server has gone back to an older state and does not say so; "
    "nothing is sent or read until its operator starts it with --restored",
    "restored_gap": "the server came back from an older copy and lacks changes of this group that are "
    "not here either; it goes on when another member brings them",
    "restored_unknown": "the server came back from an older copy that does not know us here; it goes on when "
    "a member brings our joining back, and not at all if the room was made since: then make it again",
    "restored_refused": "the server came back from an older copy and does not take back what it lost "
    "({why}); this is tried again",
    "restored_fork": "while the server was back on an older copy the group went another way than it had; "
    "compare the code of /fingerprint and have somebody remove and invite you again",
    "upgrade_missed": "this conversation went on as a new group while its keys were lost here; "
    "have somebody remove and invite you again",
    "unproven": "this account was brought back, and the group has gone on since your lost device saw it; "
    "nothing is sent until somebody whom you knew before has written here, so that none the server made up "
    "is taken for it",
    "opened_anew": "{who} lost the keys of this conversation and has opened it anew; nothing is sent until "
    "you have seen this",
    "update_needed": "this conversation follows newer rules; update securechat to go on",
}

BY_WEIGHT: Final = (
    "invalid_entry",
    "missing_commit",
    "update_needed",
    "server_older",
    "restored_fork",
    "restored_unknown",
    "restored_gap",
    "restored_refused",
    "upgrade_missed",
    "group_forked",
    "log_altered",
    "unproven",
    "identity_changed",
    "other_keys",
    "opened_anew",
    "statement_forked",
    "statement_older",
    "statement_withheld",
    "revoked_device",
    "not_verified",
    "suite_withheld",
    "suite_forbidden",
    "ghost_device",
    "untrusted_keys",
)
"""All holds, the most serious first: those under which not even reading goes on stand before all others."""

RESTORED: Final = frozenset(
    {"server_older", "restored_gap", "restored_unknown", "restored_refused", "restored_fork"}
)
"""Holds that end by themselves once our place in the server's log is found again."""

PASSING: Final = frozenset({"revoked_device"})
"""Holds that end by themselves within a minute: who waits for a message goes on waiting."""

UNOPENED: Final = frozenset({"untrusted_keys", "ghost_device", "suite_withheld", "suite_forbidden"})
"""Holds of a conversation that could not be opened: who writes again on purpose has it tried again."""

STOPPED: Final = frozenset({"invalid_entry", "missing_commit", "update_needed", "server_older"})
"""Holds under which not even reading goes on."""

UNREADABLE: Final[dict[str, str]] = {
    "no_secrets": "(cannot be read: the keys of that epoch were lost)",
    "wrong_epoch": "(cannot be read: it is not of the epoch it stands in)",
    "content": "(cannot be read: it is not a message this version knows)",
    "own_lost": "(sent from this device, but its text is no longer known here)",
}
EXPIRED: Final = "expired"
"""The code of the line that stands for messages the server had no longer."""

EXPIRED_UNREAD: Final = "expired_unread"
"""The code of a message of ours that the server let go of, as it says before everybody had it."""

UNREAD: Final = "expired on the server before everybody had read it"

NOT_SAID_AGAIN: Final = "not_said_again"
"""The code of a message of ours that a restored server lost and that somebody is here now not to read."""

LOST: Final = "lost by the server, and not said again: somebody has come in since"

OF_SENT: Final[dict[str, str]] = {EXPIRED_UNREAD: UNREAD, NOT_SAID_AGAIN: LOST}
"""What is to be known of a message of ours that was sent, by its code."""

UNREADABLE_ELSE: Final = "(cannot be decrypted: {code})"


def unreadable(code: str) -> str:
    return UNREADABLE.get(code, UNREADABLE_ELSE.format(code=code))


FIRST_MET: Final = (
    "{who} is known from now on, by the keys that were met first; /verify @{who} makes sure that they "
    "are theirs"
)

INVITATION_GONE: Final = (
    "an invitation waited too long on the server and is gone; who invited you can do so again"
)

INBOX_ALTERED: Final = (
    "the server had said that more invitations came than there are now; what is there is looked at again"
)

REJOIN_WAITS: Final = (
    "{name} can be entered anew only after its next change: nothing is read or sent there until another "
    "member makes one (each does within a week, also by itself)"
)

OWN_LIST: Final = (
    "the server shows another list of your own devices than was known here, or hides it; "
    "/devices shows those that are believed"
)

LOG_WITHHELD: Final = (
    "the server says that there is more in {name} than it gives: nothing is read or sent there until it does"
)

NO_TIME: Final = "the server has no time to give what came while this device was away; it is asked again"

WELCOME_WITHHELD: Final = (
    "the server says that {peer} has opened a conversation with you, and does not show it: what you write "
    "waits until it does"
)

WRONG_TIME: Final = (
    "the times of messages in {name} cannot be right: the server's clock or this machine's is wrong, "
    "or the server lies about them"
)

CLOSED: Final = (
    "{who} moves {name} to {suite}; what is written meanwhile goes out there "
    "(if it takes long, /upgrade by somebody who may finishes it)"
)

MOVED: Final = "{name} goes on in {suite}; what was said before stays here"


def gone(count: int) -> str:
    """What stands in the place of messages that nobody can fetch any more (Q-08)."""
    if count == 1:
        return "(1 message was kept too long on the server and is gone)"
    return f"({count} messages were kept too long on the server and are gone)"


def lost(count: int) -> str:
    """What is told of messages of ours that a restored server lost and that are not said again."""
    if count == 1:
        return (
            "1 message of yours was lost by the server, and not said again: somebody has come in since; "
            "who was here then may have it"
        )
    return (
        f"{count} messages of yours were lost by the server, and not said again: somebody has come in since; "
        "who was here then may have them"
    )


def unread(count: int) -> str:
    """What is told of messages of ours that expired before everybody had them (Q-08)."""
    if count == 1:
        return "a message of yours expired on the server before everybody had read it"
    return f"{count} messages of yours expired on the server before everybody had read them"
