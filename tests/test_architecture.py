"""The house keeps its own rules, read from its source (A-08, S-03).

Every check is a function from a module to complaints; each is also shown a module that breaks it.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1] / "securechat"

FLOORS: Final = {
    name: height
    for height, names in enumerate(
        [
            ("errors", "version"),
            ("names", "text", "sizes"),
            ("mls", "protocol", "content"),
            ("membership",),
            ("transparency",),
            ("local_rpc", "unix_socket", "private_files", "own_memory", "folders", "locale"),
            ("pictures",),
            ("client", "server"),
            ("tui",),
            ("cli",),
            ("__main__",),
        ]
    )
    for name in names
}
"""docs/architecture.md: imports go down, never sideways."""

PURE: Final = frozenset(
    {"mls", "protocol", "content", "membership", "transparency", "names", "text", "sizes", "errors"}
)
NOT_PURE: Final = {
    *("asyncio", "select", "socket", "ssl", "urllib", "apsw", "sqlite3"),
    *("io", "os", "pathlib", "platformdirs", "shutil", "tempfile", "subprocess", "sys"),
    *("datetime", "time", "signal", "threading", "logging", "click", "prompt_toolkit", "random"),
}
RANDOMNESS: Final = frozenset({"mls/randomness.py"})
"""Where the pure floors draw: one named source, which a test can seed."""

GAMBLERS: Final = {
    "client/backoff.py": "jitter: who guesses a delay gains nothing",
    "client/session.py": "hands the system's source to the jitter",
}
"""Modules that may use `random`: for what no adversary gains by guessing."""

DEPENDENCIES: Final = {
    *("apsw", "argon2", "cbor2", "click", "cryptography", "msgspec", "prompt_toolkit", "segno"),
    *("desktop_notifier", "PIL", "prometheus_client", "rich", "textual", "uvloop"),
}
"""S-03: nothing else is imported, so cryptography comes from pyca and argon2-cffi only."""

MAX_FILE: Final = 420
"""Lines: a room is about 400."""
MAX_FUNCTION: Final = 50
LONG_FILES: Final = {
    "protocol/messages.py": "the wire's vocabulary: one class per frame, no code",
    "client/events.py": "what the client tells: one class per value, no code",
    "client/errors.py": "the tree of what goes wrong: one small class per error",
    "mls/codec.py": "one compiler; its readers and writers are small and belong side by side",
}
LONG_FUNCTIONS: Final[dict[str, str]] = {}
TASK_ROOTS: Final = {
    "cli/main.py:run": "the root of all: a person is told in a sentence, a log where it was",
    "client/follow.py:watch": "a task's root: who waits for a message is told",
    "client/local_line.py:_answer": "a call's root: one front end's failure must not end the holder",
    "client/local_line.py:_tell": "a task's root: as above",
    "client/session.py:_run": "a task's root: the owner is told that the session is over",
    "client/tasks.py:_run": "a task's root: nothing above would ever see the failure",
    "pictures/decoder.py:main": "a process's root: whatever a decoder raises, the picture is damaged",
    "pictures/code_decoder.py:main": "a process's root: whatever a decoder raises, the picture is damaged",
    "server/transparency.py:_fill": "a task's root: without it accounts of before would never be in the log",
    "server/turns.py:_operation": "a request's root: a mistake of ours ends it, not the server",
    "server/session.py:_answer": "a request's root: a mistake of ours ends it, not the server",
    "server/listener.py:_accept": "a task's root: a mistake of ours does not shut the port",
    "server/listener.py:_open": "a task's root: nobody else would take the connection off the budget",
    "server/listener.py:_sweep": "a timer's root: the others that are silent go too",
    "server/retention.py:_rounds": "a task's root: without it nothing would ever be let go of again",
    "server/app.py:_renew": "a timer's root: it looks again tomorrow",
    "server/app.py:close": "what follows is closed too",
    "server/app.py:_bid_farewell": "the others that are connected are told too",
    "server/http.py:_answer": "a request's root: a mistake of ours ends it, not the server",
    "server/admin_socket.py:_answer": "a call's root: a mistake of ours ends it, not the server",
    "server/store/writer.py:judged": "a job's root: the other jobs of the batch go on",
    "server/store/writer.py:_tell": "a job's root: the other jobs of the batch are told",
    "server/store/writer.py:_work": "a thread's root: whatever it is, nothing more is written",
    "tui/bridge.py:_run": "a thread's root: the screen is told that the account has closed",
}
"""``file:function`` of each broad ``except`` that does not raise again, and why it is there."""

SECRET: Final = re.compile(
    r"(^|_)(secret|password|passphrase|token|mac|vault_key|store_key|private_key|recovery_key)s?$|_tag$"
)
OPEN_COMPARISONS: Final = {
    "cli/new_password.py:_generated": "what somebody has just typed twice, compared for them alone",
    "client/handshakes.py:_own_commit": "confirmation tags of commits travel in the clear",
    "mls/public_group.py:check_group_info": "confirmation tags of commits travel in the clear",
}
"""``file:function`` where a name sounds secret but the values are public, and why."""


@dataclass(frozen=True)
class Module:
    """A source file, by its path within the package."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def floor(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each imported module, with the names taken from it."""
        return _imports(self.nodes)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", tuple(alias.name for alias in node.names)


MODULES: Final = [
    Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in sorted(ROOT.rglob("*.py"))
]

Complaints = Iterator[str]


def goes_up(module: Module) -> Complaints:
    """Imports go down, never sideways, never round."""
    if module.path == "__init__.py":
        return
    for name, taken in module.imports():
        parts = name.split(".")
        for inner in (taken if parts == ["securechat"] else parts[1:2]) if parts[0] == "securechat" else ():
            if inner != module.floor and FLOORS[inner] >= FLOORS[module.floor]:
                yield f"imports {name}"


def is_impure(module: Module) -> Complaints:
    """The pure floors do no I/O, read no clock, log nothing."""
    if module.floor in PURE:
        for name, _ in module.imports():
            if name.split(".")[0] in NOT_PURE:
                yield f"imports {name}"
        for node in module.nodes:
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"open", "print"}
            ):
                yield f"calls {node.func.id}"


def draws_elsewhere(module: Module) -> Complaints:
    """Randomness: the pure floors have one source; `random` is for the modules named above only."""
    for name, _ in module.imports():
        if name == "random" and module.path not in GAMBLERS:
            yield "imports random"
        if name in {"secrets", "uuid"} and module.floor in PURE and module.path not in RANDOMNESS:
            yield f"imports {name}"
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {
            "urandom",
            "getrandom",
            "uuid4",
            "uuid1",
        }:
            yield f"draws from {node.attr}"


def asks_a_package(module: Module) -> Complaints:
    """Inside the project one imports from the module that defines a thing, not from a package."""
    for name, taken in module.imports():
        if name.split(".")[0] == "securechat" and (ROOT.parent / name.replace(".", "/")).is_dir():
            for inner in taken:
                if not list((ROOT.parent / name.replace(".", "/")).glob(f"{inner}*")):
                    yield f"takes {inner} from {name}"


def hides_an_import(module: Module) -> Complaints:
    """No TYPE_CHECKING: move the type down instead."""
    for name, taken in module.imports():
        if name == "typing" and "TYPE_CHECKING" in taken:
            yield "imports TYPE_CHECKING"


def depends_on_more(module: Module) -> Complaints:
    """S-03: only declared dependencies and the standard library are imported."""
    for name, _ in module.imports():
        top = name.split(".")[0]
        if top != "securechat" and top not in sys.stdlib_module_names and top not in DEPENDENCIES:
            yield f"imports {name}"


def is_too_long(module: Module) -> Complaints:
    """A file is a room of about 400 lines."""
    lines = module.source.count("\n")
    if lines > MAX_FILE and module.path not in LONG_FILES:
        yield f"has {lines} lines"


def has_a_long_function(module: Module) -> Complaints:
    """A function is one page."""
    for function in module.functions():
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > MAX_FUNCTION and f"{module.path}:{function.name}" not in LONG_FUNCTIONS:
            yield f"{function.name} has {length} lines"


def swallows(module: Module) -> Complaints:
    """A broad ``except`` that does not raise again stands only at a task's root."""
    for function in module.functions():
        for node in ast.walk(function):
            broad = isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
            if broad and f"{module.path}:{function.name}" not in TASK_ROOTS:
                yield f"{function.name} catches everything"


def loses_a_cancellation(module: Module) -> Complaints:
    """``asyncio.wait_for`` of Python 3.11 forgets a cancellation in the turn in which its future is done.

    Whoever waits for the end of such a task waits for ever; ``asyncio.timeout`` does not forget.
    """
    for function in module.functions():
        if any(isinstance(node, ast.Attribute) and node.attr == "wait_for" for node in ast.walk(function)):
            yield f"{function.name} waits with wait_for"


def compares_openly(module: Module) -> Complaints:
    """A-08: what is secret is compared by ``hmac.compare_digest``, never by ``==``."""
    for function in module.functions():
        for node in ast.walk(function):
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) for side in sides):
                continue  # with a literal: asks for presence, or the type of something
            names = [name for name in map(_name, sides) if SECRET.search(name)]
            if names and f"{module.path}:{function.name}" not in OPEN_COMPARISONS:
                yield f"{function.name} compares {names[0]}"


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_name(one) in {"Exception", "BaseException"} for one in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


CHECKS: Final[dict[Callable[[Module], Complaints], Module]] = {
    goes_up: Module("mls/x.py", "from securechat.membership import judge\n"),
    is_impure: Module("mls/x.py", "import time\n"),
    draws_elsewhere: Module("membership/x.py", "import secrets\n"),
    asks_a_package: Module("client/x.py", "from securechat.mls import Group\n"),
    hides_an_import: Module("client/x.py", "from typing import TYPE_CHECKING\n"),
    depends_on_more: Module("mls/x.py", "import nacl.bindings\n"),
    is_too_long: Module("mls/x.py", "\n" * (MAX_FILE + 1)),
    has_a_long_function: Module("mls/x.py", "def f():\n" + "    pass\n" * MAX_FUNCTION),
    swallows: Module("mls/x.py", "def f():\n    try:\n        pass\n    except Exception:\n        pass\n"),
    loses_a_cancellation: Module("client/x.py", "def f():\n    asyncio.wait_for(g(), 1)\n"),
    compares_openly: Module("server/x.py", "def f(a, secret):\n    return a == secret\n"),
}
"""Every check, with a module that it complains about."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_module_breaks_a_rule_of_the_house(check: Callable[[Module], Complaints]) -> None:
    complaints = [f"{module.path} {complaint}" for module in MODULES for complaint in check(module)]
    assert complaints == []


@pytest.mark.parametrize(("check", "broken"), CHECKS.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_module_that_breaks_the_rule_is_found(
    check: Callable[[Module], Complaints], broken: Module
) -> None:
    assert len(list(check(broken))) == 1


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module.path: set(_needed(module)) for module in MODULES}
    done: set[str] = set()
    while ready := [path for path, needed in graph.items() if path not in done and needed <= done]:
        done.update(ready)
    assert sorted(graph.keys() - done) == []


def test_every_exception_is_still_needed() -> None:
    paths = {module.path for module in MODULES}
    functions = {f"{module.path}:{function.name}" for module in MODULES for function in module.functions()}
    assert {*LONG_FILES, *GAMBLERS} <= paths
    assert all(module.source.count("\n") > MAX_FILE for module in MODULES if module.path in LONG_FILES)
    assert {*TASK_ROOTS, *LONG_FUNCTIONS, *OPEN_COMPARISONS} <= functions
    assert all({**LONG_FILES, **GAMBLERS, **TASK_ROOTS, **LONG_FUNCTIONS, **OPEN_COMPARISONS}.values())


def _needed(module: Module) -> Iterator[str]:
    """The modules that must be there first. What the command line imports when it is called need not."""
    lazy = {id(node) for function in module.functions() for node in ast.walk(function)}
    early = [node for node in module.nodes if module.floor != "cli" or id(node) not in lazy]
    for name, taken in _imports(early):
        if name.split(".")[0] != "securechat":
            continue
        for candidate in (name, *(f"{name}.{inner}" for inner in taken)):
            path = candidate.replace(".", "/").removeprefix("securechat/") + ".py"
            if (ROOT / path).is_file():
                yield path
