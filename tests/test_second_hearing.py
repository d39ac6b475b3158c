"""Who failed beside others is heard alone by the gate: what passes there, and what never does."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parent.parent / ".ci" / "second_hearing.py"


@pytest.fixture
def hearing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The gate's script, in a folder with tests of its own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    for folder in ("cli", "mls"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / "test_some.py").write_text(
            "from pathlib import Path\n"
            "def test_steady(): pass\n"
            "def test_wrong(): assert False\n"
            "def test_at_times():\n"
            "    with Path('heard').open('a') as file: file.write('x')\n"
            "    assert len(Path('heard').read_text()) < 3\n"
        )
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("second_hearing", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def heard(hearing: ModuleType, *names: str) -> tuple[int, str]:
    cache = Path(".pytest_cache/v/cache")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(names, True)))
    told = Path("told")
    told.write_text("")
    return hearing.main(told), told.read_text()


def test_who_passes_alone_is_let_through_and_named(hearing: ModuleType) -> None:
    name = "tests/cli/test_some.py::test_steady"
    assert heard(hearing, name) == (0, f"UNSTEADY  {name}: failed beside others, passed 3 times alone\n")


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["tests/cli/test_some.py::test_wrong"], id="wrong"),
        pytest.param(["tests/cli/test_some.py::test_at_times"], id="wrong the third time"),
        pytest.param(["tests/mls/test_some.py::test_steady"], id="pure"),
        pytest.param([f"tests/cli/test_some.py::test_{number}" for number in range(3)], id="three"),
        pytest.param([], id="nobody"),
    ],
)
def test_others_are_not(hearing: ModuleType, names: list[str]) -> None:
    assert heard(hearing, *names) == (1, "")
