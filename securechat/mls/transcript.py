"""Transcript hashes (RFC 9420 section 8.2) and the tag that confirms them (section 6.1)."""

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import encode_before, encode_opaque
from securechat.mls.framing import AuthenticatedContent


def confirmed_transcript_hash(
    suite: CipherSuite, *, interim_before: bytes, commit: AuthenticatedContent
) -> bytes:
    """Return the hash over the history up to and with ``commit``, its confirmation tag not yet in."""
    return suite.hash(interim_before + encode_before(commit, "confirmation_tag"))


def interim_transcript_hash(suite: CipherSuite, *, confirmed: bytes, confirmation_tag: bytes) -> bytes:
    """Return the hash over the history with the commit's confirmation tag."""
    return suite.hash(confirmed + encode_opaque(confirmation_tag))


def confirmation_tag(suite: CipherSuite, confirmation_key: bytes, *, confirmed: bytes) -> bytes:
    """Return the tag by which a committer shows that it has come to the same new epoch."""
    return suite.mac(confirmation_key, confirmed)
