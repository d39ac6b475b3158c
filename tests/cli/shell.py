"""The real commands in real processes, each ended by its id."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Final
from unittest import mock

from securechat.cli.main import run
from tests.held_port import HeldPort

PASSWORD: Final = "correct horse battery staple"
SECONDS: Final = 60


@dataclass
class Shell:
    """A folder, a server in it, and the commands a person would type."""

    folder: Path
    fingerprint: str = ""
    children: list[subprocess.Popen[str]] = field(default_factory=list)
    held: HeldPort = field(default_factory=HeldPort)

    @property
    def port(self) -> int:
        """Where the server is, and comes back."""
        return self.held.number

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURECHAT_")}
        return kept | {"SECURECHAT_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}

    def password_file(self, password: str = PASSWORD) -> str:
        path = self.folder / f"password-{abs(hash(password))}"
        path.write_text(password + "\n")
        return str(path)

    def start(self, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "securechat", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.folder,
        )
        self.children.append(child)
        return child

    def run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "securechat", *arguments],
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=self.environment(),
            cwd=self.folder,
        )

    def here(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process: where it counts what is typed and said, not what a process is.

        A process costs half a second before it does anything.
        """
        out, err, before = io.StringIO(), io.StringIO(), os.umask(0o077)
        try:
            with (
                mock.patch.dict(os.environ, self.environment(), clear=True),
                mock.patch("securechat.own_memory.sys", SimpleNamespace(platform="this is a test")),
                mock.patch("sys.stdin", io.StringIO()),
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                code = run(list(arguments))
        finally:
            os.umask(before)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def account(
        self, command: str, user: str, *rest: str, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run(command, user, *rest, "--password-file", self.password_file(), given=given)

    def register(self, *users: str) -> None:
        for user in users:
            done = self.account(
                "register", user, "--server", f"localhost:{self.port}", "--fingerprint", self.fingerprint
            )
            assert done.returncode == 0, done.stderr

    def start_server(self, *options: str) -> subprocess.Popen[str]:
        """Start the server on the shell's port; return when it says that it is ready."""
        server = self.start(
            "server", "--port", str(self.port), "--cert", "server.pem", "--data", "data", *options
        )
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("fingerprint "):
                self.fingerprint = line.split()[1]
            if line.startswith("ready"):
                return server
        assert server.stderr is not None
        raise AssertionError(server.stderr.read())

    @contextmanager
    def holding(self, user: str) -> Iterator[subprocess.Popen[str]]:
        """A chat that holds the account while the block runs, connected."""
        holder = self.start("chat", user, "--password-file", self.password_file(), stdin=subprocess.PIPE)
        assert holder.stderr is not None
        assert any("connected" in line for line in iter(holder.stderr.readline, ""))
        try:
            yield holder
        finally:
            holder.kill()

    @contextmanager
    def agent(self, user: str) -> Iterator[str]:
        """An agent that holds the account while the block runs; its socket's path."""
        arguments = ("agent", user, "--log-format", "json", "--password-file", self.password_file())
        holder = self.start(*arguments)
        assert holder.stdout is not None
        word, _, path = holder.stdout.readline().rstrip("\n").partition(" ")
        assert word == "ready", holder.stderr and holder.stderr.read()
        try:
            yield path
        finally:
            if holder.poll() is None:
                holder.send_signal(signal.SIGTERM)
                holder.wait(timeout=SECONDS)

    def end(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait(timeout=SECONDS)
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # what it was not there to read
                        pipe.close()


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    shell = Shell(folder)
    try:
        yield shell
    finally:
        shell.end()
