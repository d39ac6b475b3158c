"""What each reason code means, and what to do about it: the one table behind `why` (Q-06).

A code is what scripts and reports rely on. None is without a sentence: a test reads the codes from the
source, and docs/cli.md lists this table. What the server refuses has words of its own
(`protocol.messages.REFUSALS`).
"""

from typing import Final, NamedTuple

from securechat.client.sentences import EXPIRED, EXPIRED_UNREAD, HOLDS, NOT_SAID_AGAIN


class Reason(NamedTuple):
    """``sentence`` is general: where one with names and numbers was kept, that one is shown."""

    sentence: str
    advice: str


def _hold(code: str, advice: str, *, why: str = "it was told then") -> Reason:
    return Reason(HOLDS[code].replace(" ({why})", "").format(who="somebody", why=why), advice)


_ITSELF: Final = "nothing; it goes on by itself"
_ASK: Final = "ask the sender to say it again"
_LIE: Final = (
    "tell the server's operator; compare the code of /fingerprint with somebody in it, then be removed and "
    "invited again, or open another"
)
_THEIRS: Final = "ask the sender to say it again and to update securechat; if it comes again, report it"

REASONS: Final[dict[str, Reason]] = {
    # Why a conversation is on hold.
    "identity_changed": _hold(
        "identity_changed", "compare /fingerprint with them elsewhere, then /accept @user DIGITS"
    ),
    "other_keys": _hold(
        "other_keys",
        "have them removed and invited again; a conversation of two goes on by itself",
    ),
    "not_verified": _hold(
        "not_verified",
        "compare the number of /verify @user with each of them elsewhere, then /verify @user DIGITS",
    ),
    "untrusted_keys": _hold(
        "untrusted_keys",
        "tell them and the server's operator; it is tried again when you write or connect",
    ),
    "ghost_device": _hold(
        "ghost_device",
        "tell them and the server's operator; it is tried again when you write or connect",
    ),
    "revoked_device": _hold(
        "revoked_device", "nothing; one of those who are online takes it out, and it goes on by itself"
    ),
    "statement_forked": _hold(
        "statement_forked",
        "ask them elsewhere which devices they have, and tell the server's operator; /release goes on with "
        "what was known",
    ),
    "statement_older": _hold(
        "statement_older",
        "tell the server's operator: it came back from an older copy, or hides something; /release goes on "
        "with what was known",
    ),
    "statement_withheld": _hold(
        "statement_withheld", "tell the server's operator; it is asked for again with every connection"
    ),
    "suite_withheld": _hold(
        "suite_withheld", "tell them and the server's operator; write again once it is mended"
    ),
    "suite_forbidden": _hold(
        "suite_forbidden",
        "ask them to update securechat and to type their password in it once; then write again",
        why="a device of theirs is not certified for the cipher suite",
    ),
    "invalid_entry": _hold("invalid_entry", _LIE),
    "missing_commit": _hold("missing_commit", "have somebody remove and invite you again"),
    "log_altered": _hold(
        "log_altered",
        "ask them elsewhere what was said last and for the code of /fingerprint: if nothing is missing here "
        "and the code is the same, /release; if not, have somebody remove and invite you again",
    ),
    "group_forked": _hold(
        "group_forked",
        "ask them elsewhere for the code of /fingerprint: if it is the same, /release, and believe them "
        "less; if not, tell the server's operator, and go on in a room that you make anew",
    ),
    "unproven": _hold(
        "unproven",
        "wait for somebody to write, or compare the code of /fingerprint with somebody in it, then /release",
    ),
    "opened_anew": _hold(
        "opened_anew", "ask them elsewhere whether they have recovered their account; if they have, /release"
    ),
    "server_older": _hold("server_older", "tell the server's operator"),
    "restored_gap": _hold("restored_gap", "ask another member to connect"),
    "restored_unknown": _hold("restored_unknown", "ask a member to connect, or make it again"),
    "restored_refused": _hold("restored_refused", "nothing; if it lasts, tell the server's operator"),
    "restored_fork": _hold("restored_fork", "have somebody remove and invite you again"),
    "upgrade_missed": _hold("upgrade_missed", "have somebody remove and invite you again"),
    "update_needed": _hold("update_needed", "update securechat"),
    # What is under way.
    "opening": Reason(
        "nothing of it is at the server yet", "nothing; it is made once the server has all it takes"
    ),
    "rejoining": Reason(
        "this device has lost the keys of the group and enters it anew; what is said until then cannot be "
        "read here",
        _ITSELF,
    ),
    "upgrading": Reason(
        "somebody moves the conversation to a better cipher suite; what is written meanwhile goes out there",
        "nothing; if it takes long, /upgrade by somebody who may finishes it",
    ),
    "upgraded": Reason(
        "the conversation goes on in a better cipher suite; what was said before stays here", "nothing"
    ),
    "cannot_upgrade": Reason(
        "the conversation stays in its cipher suite: who asked may not move it, or a device in it is not "
        "certified for a better one",
        "have an up-to-date securechat opened, with its password, on the device that was named",
    ),
    "keys_missing": Reason(
        "the server has no keys for the better cipher suite of a device in the conversation",
        "try again once that device was online",
    ),
    # Why a message cannot be read.
    "no_secrets": Reason("the keys of that epoch were lost on this device", _ASK),
    "wrong_epoch": Reason("the server put it into another epoch than it was sealed in", _ASK),
    "content": Reason("it was opened, but is nothing that this version knows", "update securechat"),
    "own_lost": Reason(
        "this device sent it, but its text is no longer here: the folder was restored, or used twice",
        "keep one copy of the folder only",
    ),
    "aead": Reason("it was changed on its way, or sealed with other keys than the group's", _ASK),
    "generation_used": Reason(
        "its key was used before: it is a repeat of a message that was opened", "nothing"
    ),
    "generation_too_far": Reason("its sender skipped more keys than are made ahead", _ASK),
    "message_signature": Reason(
        "another member wrote it in its sender's name", "tell the others in the room"
    ),
    "no_such_leaf": Reason("its sender is at no place of the group", _THEIRS),
    "sender_leaf": Reason("its sender is at no place of the group", _THEIRS),
    "secrets_missing": Reason("the keys for its sender are gone here", _ASK),
    "sender_data": Reason("the part that names its sender is malformed", _THEIRS),
    "private_content": Reason("what was sealed in it is malformed", _THEIRS),
    "padding": Reason("it is padded with something else than nothing", _THEIRS),
    "content_type": Reason("it is no message of a person", _THEIRS),
    "wire_format": Reason("it is not encrypted, so it is not taken", _THEIRS),
    "decodeerror": Reason("its bytes are no message", _THEIRS),
    "wronggroup": Reason("it is of another group than the server says", _ASK),
    "staleepoch": Reason("it is of another epoch than the server says", _ASK),
    "usageerror": Reason("the group takes no messages any more", _ASK),
    "may_not_speak": Reason("somebody wrote who may not speak there; it is kept and not shown", "nothing"),
    "not_author": Reason(
        "somebody tried to change, withdraw or close what another wrote; it stands as it was", "nothing"
    ),
    "not_changeable": Reason(
        "its author tried to put a text in the place of a poll or a file; it stands as it was", "nothing"
    ),
    "withdrawn": Reason("it was taken back before it had left this machine", "nothing"),
    "left": Reason("it came after you had left; it is kept and not shown", "nothing"),
    EXPIRED: Reason("it was kept too long on the server and is gone", "ask in the conversation what it was"),
    EXPIRED_UNREAD: Reason(
        "the server let go of it, as it says, before everybody had read it",
        "say it again if it matters still",
    ),
    NOT_SAID_AGAIN: Reason(
        "the server came back without it, as it says, and somebody is here now who was not when it was said",
        "say it again if everybody who is here now may read it",
    ),
    "first_met": Reason(
        "their keys were met for the first time, and are the ones that are known from now on",
        "compare the number of /verify @user with them elsewhere, if it matters who they are",
    ),
    # What happened, and was mended or not.
    "refused_commit": Reason(
        "a change of the group could not be opened here: who made it sent us other secrets than the others, "
        "or it was changed on its way; the group is entered anew",
        "nothing; if it comes again from the same person, remove them",
    ),
    "refused_proposal": Reason("a proposal of a member does not hold; it was not taken", "nothing"),
    "rejoined": Reason(
        "the group was entered anew; what was said since the change could not be read here",
        "ask in the conversation what was said",
    ),
    "rejoin_waits": Reason(
        "the group can be entered anew only after its next change",
        "ask another member to write or to invite somebody, or wait: each makes one within a week",
    ),
    "conflict": Reason(
        "this device was used elsewhere, or its folder was restored; its groups are entered anew",
        "keep one copy of the folder only",
    ),
    "welcome_refused": Reason(
        "an invitation was not taken: it is made for keys that are not here, or breaks a rule",
        "ask who invited you to do so again",
    ),
    "log_withheld": Reason(
        "the server had announced more of the conversation than it gave",
        "nothing, it is asked again by itself; if it lasts, tell the server's operator",
    ),
    "wrong_time": Reason(
        "the server gave a message a time that cannot be: of the future, or of long before the one ahead "
        "of it",
        "believe no time there; set this machine's date if that is wrong, else tell the server's operator",
    ),
    "inbox_altered": Reason(
        "the server had said that more invitations came than there are now; what is there is looked at again",
        "nothing, unless it comes again: then tell the server's operator",
    ),
    "invitation_expired": Reason(
        "an invitation waited too long on the server and is gone", "ask who invited you to do so again"
    ),
    "server_restored": Reason(
        "the server came back from an older copy; what it lacks of ours is sent to it again", _ITSELF
    ),
    "limited": Reason("the server takes it slowly", _ITSELF),
    "unanswered": Reason(
        "the server is there, and has no answer or never time for what this device asks",
        "nothing if it passes; if it lasts, tell the server's operator",
    ),
    "file_refused": Reason(
        "a file whose sending went on after a restart could not be sent",
        "send it again; the sentence says why not",
    ),
    "room_history": Reason(
        "a room hands newcomers what was said before, or it does not",
        "nothing; an owner changes it with /newcomers",
    ),
    "history_refused": Reason(
        "what somebody handed to a newcomer was not theirs to hand over, or not what they said it was;"
        " nothing of it was taken",
        "ask who let you in to remove and invite you again",
    ),
    "archive": Reason("the archive at the server stands otherwise than before", "the sentence says how"),
    "archive_damaged": Reason(
        "a part of the archive is not what a device of yours put there; nothing of it was taken",
        "tell the server's operator; what this device has, /archive off and on writes anew",
    ),
    "link_asked": Reason(
        "a new device asks to be linked to this account: somebody has the password",
        "if it is yours, type the code that it shows: /devices approve CODE; if not, change the password",
    ),
    "link_refused": Reason(
        "a new device was not linked: it or the server showed something else than it had promised, or it took"
        " too long",
        "begin again on the new device; if it comes again, tell the server's operator",
    ),
    "contacts_refused": Reason(
        "the server shows another list of your contacts than your devices stored there",
        "tell the server's operator; nothing of it is taken, and what is here stays",
    ),
    "contacts_cut": Reason(
        "the list of your contacts that the server keeps for your devices is full: who was only met in a"
        " room, or the conversations used longest ago, are not in it",
        "nothing: your devices have them; leave rooms that you do not need",
    ),
    "names_refused": Reason(
        "the server shows other names of your devices than your devices stored there",
        "tell the server's operator; nothing of it is taken, and what is here stays",
    ),
    "password_changed": Reason(
        "the password of this account was changed on another device",
        "nothing if it was you: type the one of before here until you change it here too; if it was not you, "
        "securechat recover",
    ),
    "password_older": Reason(
        "the server came back from a copy in which this account has the password of before",
        "change the password once more, and make another recovery key if you made one since",
    ),
    "vault_other": Reason(
        "what the server keeps to bring your account back with is not what your devices left there",
        "make another recovery key: securechat recovery USER",
    ),
    "failed_logins": Reason(
        "somebody tried wrong passwords for this account; none opened it",
        "change nothing if it was you; else tell the server's operator",
    ),
    "device_added": Reason(
        "a device was added to your account, by one of your devices and your password or recovery key",
        "nothing if it was you; else take it off: `securechat devices USER revoke DEVICE`",
    ),
    "device_idle": Reason(
        "a device of yours was not seen for 45 days, as the server says",
        "/devices revoke NAME if it is gone, which asks for the password; else nothing, or switch it on",
    ),
    "device_revoked": Reason(
        "a device was removed from your account: it is cut off, and out of all conversations in a minute",
        "nothing if it was you; else change the password and look at /devices",
    ),
    "clock": Reason("this machine's date and the server's differ", "set this machine's date"),
    "events_dropped": Reason("more happened than this chat could show", "nothing; the messages are stored"),
    "key_log_lie": Reason(
        "the server has signed two stories of who has which keys: it lies to you or to others; nobody new is "
        "believed",
        "save the evidence with securechat verify --log --evidence FILE, show it to others, and leave",
    ),
    "key_log_stranger": Reason(
        "the server's key log has an entry of your account that none of your devices made; nobody new is "
        "believed",
        "tell the people you talk to, elsewhere; then the server's operator",
    ),
    "key_log_refused": Reason(
        "the server does not prove what it says of somebody's keys; until it does nobody new is believed",
        "nothing if it passes; if it lasts, tell the server's operator",
    ),
    "key_log_begun": Reason(
        "the server's key log began anew: it came back from an older copy, or hides what it said before",
        "ask the server's operator whether they restored it; if not, leave this server",
    ),
    "internal": Reason("something failed on this machine", "look into the log and report it"),
    "holder_left": Reason(
        "the process that held the account for this chat has ended",
        "in the full screen /lock, then the password; else give the command again",
    ),
}

_UNKNOWN: Final = Reason("this version does not know the code", "update securechat")
"""Of a code that a newer version stored."""


def reason(code: str) -> Reason:
    return REASONS.get(code, _UNKNOWN)
