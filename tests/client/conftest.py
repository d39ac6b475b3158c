import hashlib

import pytest

from securechat.membership import passwords
from securechat.membership.passwords import Parameters


@pytest.fixture
def cheap_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch passwords for nothing, where a test is about something else."""

    def cheap(password: str, salt: bytes, _parameters: Parameters) -> bytes:
        return hashlib.sha256(salt + passwords.normalise(password).encode()).digest()

    monkeypatch.setattr(passwords, "_argon2id", cheap)
