"""The commands of the README in a pipe, with real processes."""

import json
import signal
import stat
import subprocess

from tests.cli.shell import PASSWORD, SECONDS, Shell


def test_what_alice_pipes_into_chat_bob_receives_as_json(shell: Shell) -> None:
    shell.register("alice", "bob")

    said = shell.account("chat", "alice", given="@bob: hello\nand more\nexit\n")
    got = shell.account("receive", "bob", "--json", "--count", "2")

    assert (said.returncode, got.returncode) == (0, 0), said.stderr + got.stderr
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    assert [(line["type"], line["room"], line["from"], line["text"]) for line in lines] == [
        ("message", "@alice", "alice", "hello"),
        ("message", "@alice", "alice", "and more"),
    ]
    assert lines[0]["verified"] == "known"


def test_receive_prints_each_message_once_and_then_says_8(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "once").returncode == 0

    first = shell.account("receive", "bob")
    second = shell.account("receive", "bob", "--timeout", "1")

    assert first.stdout.endswith("@alice: once\n")
    assert (second.returncode, second.stdout) == (8, "")


def test_a_local_key_repeated_sends_nothing_again(shell: Shell) -> None:
    shell.register("alice", "bob")

    first = shell.account("send", "alice", "@bob", "the backup is done", "--id", "backup-1", "--json")
    again = shell.account("send", "alice", "@bob", "the backup is done", "--id", "backup-1", "--json")
    got = shell.account("receive", "bob", "--json")

    assert json.loads(first.stdout)["id"] == json.loads(again.stdout)["id"]
    assert len(got.stdout.splitlines()) == 1


def test_without_a_server_a_message_is_queued_with_75_and_goes_out_later(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "first").returncode == 0
    server = shell.children[0]
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0

    queued = shell.account("send", "alice", "@bob", "second", "--timeout", "1")
    shell.start_server()
    sent = shell.account("send", "alice", "@bob", "third")
    got = shell.account("receive", "bob", "--json", "--count", "3")

    assert queued.returncode == 75
    assert "queued as" in queued.stderr
    assert sent.returncode == 0
    assert [json.loads(line)["text"] for line in got.stdout.splitlines()] == ["first", "second", "third"]


def test_a_one_shot_goes_through_the_process_that_holds_the_account(shell: Shell) -> None:
    shell.register("alice", "bob")
    with shell.holding("alice") as holder:
        sent = shell.run("send", "alice", "@bob", "without a password")
        rooms = shell.run("rooms", "alice", "--json")
        second = shell.run("chat", "alice", given="@bob: nor here\n/status\nexit\n")
        first = holder.stdout.readline() if holder.stdout is not None else ""
    got = shell.account("receive", "bob", "--json")

    assert sent.returncode == 0, sent.stderr
    assert json.loads(rooms.stdout)["room"] == "@bob"
    assert second.returncode == 0
    assert "connected: True" in second.stderr
    assert first.endswith("@alice to @bob: without a password\n")
    assert [json.loads(line)["text"] for line in got.stdout.splitlines()] == [
        "without a password",
        "nor here",
    ]


def test_a_conversation_in_the_best_suite_is_not_upgraded(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "hello").returncode == 0
    with shell.holding("alice"):
        held = shell.run("upgrade", "alice", "@bob")
    alone = shell.account("upgrade", "alice", "@bob")
    unknown = shell.account("upgrade", "alice", "bob")

    for refused in (held, alone):
        assert (refused.returncode, refused.stdout) == (6, "")
        assert "@bob is in" in refused.stderr
        assert "there is none better" in refused.stderr
    assert unknown.returncode == 1


def test_what_cannot_be_done_is_a_sentence_and_a_code(shell: Shell) -> None:
    shell.register("alice")
    server = ("--server", f"localhost:{shell.port}", "--fingerprint", shell.fingerprint)

    cases = {
        "wrong password": (
            shell.run("chat", "alice", "--password-file", shell.password_file("not the password")),
            1,
        ),
        "no account here": (shell.account("chat", "nobody"), 1),
        "bad name": (shell.account("register", "Älice", *server), 1),
        "name taken": (shell.account("register", "alice", *server, "--home", "other"), 1),
        "unknown user": (shell.account("send", "alice", "@nobody", "hi"), 1),
        "unknown room": (shell.account("send", "alice", "#nowhere", "hi"), 1),
        "short password": (
            shell.run("register", "bob", *server, "--password-file", shell.password_file("short")),
            1,
        ),
        "no password": (shell.run("chat", "alice"), 1),
        "nobody trusts it": (
            shell.account("register", "bob", "--server", f"localhost:{shell.port}", "--home", "fresh"),
            4,
        ),
        "other fingerprint": (
            shell.account(
                "register",
                "bob",
                *("--server", f"localhost:{shell.port}", "--home", "fresh2"),
                *("--fingerprint", "SHA256:" + "A" * 43),
            ),
            4,
        ),
        "no server": (shell.account("register", "bob", "--server", "localhost:1", "--accept-new"), 3),
        "bad address": (shell.account("register", "bob", "--server", "localhost:http"), 1),
    }

    for name, (done, code) in cases.items():
        assert done.returncode == code, f"{name}: {done.returncode} {done.stderr}"
        assert done.stdout == "", name
        assert done.stderr.startswith("securechat: "), f"{name}: {done.stderr}"
        assert "Traceback" not in done.stderr, name


def test_the_certificate_is_made_once_private_and_the_fingerprint_stays(shell: Shell) -> None:
    pem = shell.folder / "server.pem"
    before, fingerprint = pem.read_bytes(), shell.fingerprint
    shell.children[0].send_signal(signal.SIGTERM)
    assert shell.children[0].wait(timeout=30) == 0

    shell.start_server()

    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert (pem.read_bytes(), shell.fingerprint) == (before, fingerprint)
    shown = shell.run("cert", "fingerprint", "--data", "data")
    assert shown.stdout == fingerprint + "\n"


def test_an_unknown_command_in_a_pipe_is_not_sent(shell: Shell) -> None:
    shell.register("alice", "bob")

    said = shell.account("chat", "alice", given="@bob: first\n/mgs @bob secret\nlast\n")
    got = shell.account("receive", "bob", "--json", "--count", "2")

    assert said.returncode == 1
    assert [json.loads(line)["text"] for line in got.stdout.splitlines()] == ["first", "last"]


def test_no_word_of_it_is_in_any_file(shell: Shell) -> None:
    """Canaries: text, room name and password are in no file of server or client (L-02)."""
    shell.register("alice", "bob")
    lines = (
        "/create #canaryroom announce canarytopic\n#canaryroom: canarytext\n/invite @bob #canaryroom\nexit\n"
    )
    assert shell.account("chat", "alice", given=lines).returncode == 0

    files = [
        path for path in shell.folder.rglob("*") if path.is_file() and not path.name.startswith("password-")
    ]
    stored = b"\n".join(path.read_bytes() for path in files)

    assert len(files) > 3
    for canary in ("canaryroom", "canarytopic", "canarytext", PASSWORD):
        assert canary.encode() not in stored, canary


def test_a_chat_shows_what_only_receive_has_seen_and_shows_it_once(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "while bob was away").returncode == 0
    assert shell.account("receive", "bob").stdout.endswith("@alice: while bob was away\n")

    first = shell.account("chat", "bob", given="exit\n")
    second = shell.account("chat", "bob", given="exit\n")

    assert first.stdout.endswith("@alice: while bob was away\n")
    assert second.stdout == ""


def test_a_follower_whose_holder_ends_says_75(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "before").returncode == 0
    with shell.holding("bob"):
        follower = shell.start("receive", "bob", "--follow")
        assert next_line(follower) == "@alice: before"

    assert follower.wait(timeout=SECONDS) == 75


def test_a_follower_with_the_password_takes_over_from_its_holder(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "before").returncode == 0
    with shell.holding("bob"):
        follower = shell.start(
            "receive", "bob", "--follow", "--count", "2", "--password-file", shell.password_file()
        )
        assert next_line(follower) == "@alice: before"

    assert shell.account("send", "alice", "@bob", "after").returncode == 0
    assert next_line(follower) == "@alice: after"
    assert follower.wait(timeout=SECONDS) == 0


def next_line(child: "subprocess.Popen[str]") -> str:
    """The next message a command prints, without its time."""
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n").split(" ", 1)[1]


def test_an_answer_and_a_topic_are_sent_from_a_shell(shell: Shell) -> None:
    shell.register("alice", "bob")
    first = json.loads(shell.account("send", "alice", "@bob", "lunch?", "--thread", "food", "--json").stdout)
    answer = shell.account("send", "alice", "@bob", "one", "--reply-to", first["id"][:12], "--json")
    nowhere = shell.account("send", "alice", "@bob", "x", "--reply-to", "01" * 9)
    lines = shell.account("send", "alice", "@bob", "--lines", "--thread", "food")

    told = json.loads(answer.stdout)
    assert (told["reply_to"], told["thread"]) == (first["id"], "food")
    assert (nowhere.returncode, lines.returncode) == (1, 1)
