"""Of an account that is taken off a machine nothing is left (L-04)."""

import os
from pathlib import Path

import pytest

from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.errors import NoProfile, ProfileBusy, StoreFailed, UnsafeFile
from securechat.client.file_names import new_part
from securechat.client.keystore import create_account
from securechat.client.lock import ProfileLock
from securechat.client.part_traces import leave_trace, traced
from securechat.client.store import create_store
from securechat.client.wiping import wipe

KEY = bytes(range(32))


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    home = Home(tmp_path / "home")
    home.make()
    profile = home.profile("alice")
    profile.folder.mkdir(0o700)
    create_account(profile, ServerAddress(), "chat.example", "a long enough password", KEY)
    create_store(profile.database, KEY).close()
    (profile.folder / "parts").mkdir(0o700)
    (profile.folder / "parts" / "one").write_bytes(b"half a file")
    profile.lock.write_bytes(b"")
    profile.lock.chmod(0o600)
    return profile


def test_nothing_is_left(profile: ProfileFolder) -> None:
    wipe(profile)

    assert list(profile.folder.parent.iterdir()) == []
    with pytest.raises(NoProfile):
        wipe(profile)


def test_what_was_fetched_of_a_file_goes_too_and_nothing_else_in_its_folder(
    profile: ProfileFolder, tmp_path: Path
) -> None:
    """A part lies open in a folder of the user's; the store that knows its name is sealed."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    parts = [new_part(downloads) for _ in range(3)]
    for part in parts:
        leave_trace(profile.folder, part)
    (downloads / "letter.txt").write_bytes(b"the user's own")
    for part in parts[:2]:
        part.write_bytes(b"half a file")
    parts[2].unlink()  # it has come to an end
    other = downloads / ".securechat-00112233445566ff.part"
    other.write_bytes(b"of another account")
    traces = profile.folder / "fetching"
    (traces / "letter.txt").write_bytes(os.fsencode(downloads / "letter.txt"))
    (traces / parts[0].name.replace("securechat", "else")).write_bytes(os.fsencode(other))

    wipe(profile)

    assert {each.name for each in downloads.iterdir()} == {"letter.txt", other.name}
    assert list(profile.folder.parent.iterdir()) == []


def test_traces_of_what_has_gone_are_not_kept(profile: ProfileFolder, tmp_path: Path) -> None:
    gone, there, new = (new_part(tmp_path) for _ in range(3))
    for part in (gone, there):
        leave_trace(profile.folder, part)
    gone.unlink()

    leave_trace(profile.folder, new)

    assert set(traced(profile.folder)) == {there, new}


def test_every_file_is_overwritten_before_it_goes_the_wrapped_key_first(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {name: os.open(profile.folder / name, os.O_RDONLY) for name in ("account.json", "store.db")}
    before = {name: os.pread(descriptor, 1 << 20, 0) for name, descriptor in held.items()}
    at_first_end: list[bytes] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as Path has it
        at_first_end.append(os.pread(held["account.json"], 1 << 20, 0))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    wipe(profile)

    assert at_first_end[0] != before["account.json"]
    for name, descriptor in held.items():
        after = os.pread(descriptor, 1 << 20, 0)
        os.close(descriptor)
        assert len(after) == len(before[name])
        assert after != before[name]
        assert b"wrapped_key" not in after


def test_what_a_link_leads_to_stays(profile: ProfileFolder, tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "mine", tmp_path / "folder"
    elsewhere.write_text("mine")
    folder.mkdir()
    (folder / "mine").write_text("mine")
    (profile.folder / "link").symlink_to(elsewhere)
    (profile.folder / "to-folder").symlink_to(folder)
    os.link(elsewhere, profile.folder / "second-name")

    wipe(profile)

    assert elsewhere.read_text() == (folder / "mine").read_text() == "mine"
    assert not profile.folder.exists()


def test_a_link_in_the_place_of_the_keys_is_refused(profile: ProfileFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mine"
    elsewhere.write_text("mine")
    profile.account.unlink()
    profile.account.symlink_to(elsewhere)

    with pytest.raises(StoreFailed):
        wipe(profile)
    assert elsewhere.read_text() == "mine"


def test_what_a_process_holds_is_left_alone(profile: ProfileFolder) -> None:
    with ProfileLock(profile), pytest.raises(ProfileBusy):
        wipe(profile)

    assert profile.account.exists()
    assert profile.database.exists()


def test_a_folder_that_is_open_to_others_is_not_ours(profile: ProfileFolder) -> None:
    """L-01: what others may have put there is not removed by us."""
    profile.folder.chmod(0o777)

    with pytest.raises(UnsafeFile):
        wipe(profile)
    assert profile.account.exists()
