import os
import subprocess
import sys
from pathlib import Path

import pytest

from securechat.client import lock as lock_module
from securechat.client.config import Home, ProfileFolder
from securechat.client.errors import ProfileBusy, UnsafeFile
from securechat.client.lock import FileLock, ProfileLock, holder_pid

HOLD = """
import sys
from pathlib import Path
from securechat.client.config import Home
from securechat.client.lock import ProfileLock
with ProfileLock(Home(Path(sys.argv[1])).profile("alice")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    return profile


def test_one_process_owns_a_profile_and_the_other_is_told_which(profile: ProfileFolder) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(profile.folder.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"

    with pytest.raises(ProfileBusy, match=f"alice is in use by process {holder.pid}") as busy:
        ProfileLock(profile).acquire()

    assert busy.value.holder_pid == holder.pid
    assert busy.value.exit_code == 75
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert holder.stdin is not None
    holder.stdin.close()
    with ProfileLock(profile):
        assert holder_pid(profile) == os.getpid()


def test_within_a_process_too_there_is_one_owner(profile: ProfileFolder) -> None:
    with ProfileLock(profile), pytest.raises(ProfileBusy):
        ProfileLock(profile).acquire()

    with ProfileLock(profile):
        pass


def test_a_lock_that_is_held_can_be_taken_again_by_its_holder(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")

    assert lock.acquire()
    assert lock.acquire()
    assert lock.held
    lock.release()
    lock.release()
    assert not lock.held


def test_a_lock_file_that_was_removed_meanwhile_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two owners would each lock a file of this name, one of them gone."""
    path, really = tmp_path / "lock", lock_module._lock
    removals = iter([path])

    def removed_before(descriptor: int, *, block: bool) -> bool:
        for left in removals:
            left.unlink()
        return really(descriptor, block=block)

    monkeypatch.setattr(lock_module, "_lock", removed_before)
    with FileLock(path) as first:
        assert first.held
        assert path.exists()
        assert not FileLock(path).acquire()


def test_a_process_id_that_is_none_is_not_believed(profile: ProfileFolder) -> None:
    assert holder_pid(profile) is None
    for text in ("", "\x1b[2J", "-3", "0", "12x", "9" * 30 + "x"):
        profile.lock.write_text(text)
        profile.lock.chmod(0o600)
        assert holder_pid(profile) is None or text.startswith("9")


def test_a_link_in_the_place_of_a_lock_is_refused(profile: ProfileFolder, tmp_path: Path) -> None:
    """L-01."""
    (tmp_path / "victim").write_text("precious")
    profile.lock.symlink_to(tmp_path / "victim")

    with pytest.raises(UnsafeFile, match="symbolic link"):
        ProfileLock(profile).acquire()

    assert (tmp_path / "victim").read_text() == "precious"


def test_the_client_imports_where_there_is_no_posix() -> None:
    """Windows: fcntl is asked for when something is locked, not before."""
    modules = "client local_socket forwarding registration lock private_files"
    script = "import sys; sys.modules['fcntl'] = None\n" + "".join(
        f"import securechat.client.{module}\n" for module in modules.split()
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
