"""The working group's vectors, each file through the runner; golden bytes where they are absent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.mls import conformance
from tests.mls.make_golden import MAKERS, golden_files
from tests.mls.vector_files import GOLDEN, PROJECT, folder, names_of, required, shared_folder

OFFICIAL = (
    "crypto-basics",
    "deserialization",
    "key-schedule",
    "message-protection",
    "messages",
    "passive-client-handling-commit",
    "passive-client-random",
    "passive-client-welcome",
    "psk_secret",
    "secret-tree",
    "transcript-hashes",
    "tree-math",
    "tree-operations",
    "tree-validation",
    "treekem",
    "welcome",
)


@pytest.mark.parametrize("name", names_of("mls-vectors", [f"{name}.json" for name in OFFICIAL]))
def test_official_vectors(name: str) -> None:
    """M-16: every case of a suite that is offered passes, and there is at least one."""
    vectors = folder("mls-vectors")
    if vectors is None:
        pytest.skip(f"no official vectors at {shared_folder()}: the golden bytes stand in for them")
    outcome = conformance.run_file(vectors / name)
    assert not outcome.faults
    assert outcome.passed > 0


@pytest.mark.parametrize("name", MAKERS)
def test_golden_vectors(name: str) -> None:
    outcome = conformance.run_file(GOLDEN / name)
    assert (outcome.passed, outcome.faults) == (1, [])


def test_the_golden_bytes_come_out_again() -> None:
    """With seeded randomness every byte that we send and derive is the same as when it was frozen."""
    for name, text in golden_files().items():
        assert (GOLDEN / name).read_text(encoding="ascii") == text, name


def test_nothing_of_the_official_vectors_is_copied_into_the_project() -> None:
    assert {path.name for path in (PROJECT / "tests").rglob("*.json")}.isdisjoint(
        {f"{name}.json" for name in OFFICIAL} - set(MAKERS)
    )


def _file(folder: Path, content: Any) -> Path:
    path = folder / "vectors.json"
    path.write_text(json.dumps(content), encoding="ascii")
    return path


def test_an_unknown_format_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in ([{"what": "is this"}], ["text"], {"cipher_suite": 3}, []):
        assert conformance.main([str(_file(tmp_path, content))]) == 1
        assert "0 passed, 1 failed, 0 skipped" in capsys.readouterr().out


def test_a_file_that_is_no_json_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    path.write_text("{", encoding="ascii")
    assert conformance.main([str(path)]) == 1
    assert conformance.main([str(tmp_path / "missing.json")]) == 1
    assert conformance.main([]) == 2


def test_a_case_that_fails_is_counted_and_the_rest_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.loads((GOLDEN / "secret-tree.json").read_text(encoding="ascii"))[0]
    bad = json.loads(json.dumps(good))
    bad["leaves"][0][0]["handshake_key"] = "00" * 32
    cases = [bad, good, {**good, "cipher_suite": 4}, {**good, "cipher_suite": 0xF000}]
    assert conformance.main([str(_file(tmp_path, cases))]) == 1
    assert "1 passed, 1 failed, 2 skipped" in capsys.readouterr().out


def test_passive_client_files_are_known_by_their_shape(tmp_path: Path) -> None:
    case = json.loads((GOLDEN / "passive-client.json").read_text(encoding="ascii"))[0]
    (tmp_path / "deeper").mkdir()
    path = tmp_path / "deeper" / "any name.json"
    path.write_text(json.dumps(case), encoding="ascii")
    assert conformance.main([str(tmp_path)]) == 0
    case["epochs"][-1]["epoch_authenticator"] = "00" * 32
    path.write_text(json.dumps(case), encoding="ascii")
    assert conformance.main([str(tmp_path)]) == 1


def test_files_of_any_name_are_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the variable leads, what lies there counts: whoever has other cases needs no names of ours."""
    monkeypatch.delenv("SECURECHAT_VECTORS", raising=False)
    assert "known.json" in names_of("mls-vectors", ["known.json"])
    (tmp_path / "mls-vectors").mkdir()
    (tmp_path / "mls-vectors" / "fresh cases.json").write_bytes((GOLDEN / "secret-tree.json").read_bytes())
    monkeypatch.setenv("SECURECHAT_VECTORS", str(tmp_path))
    assert names_of("mls-vectors", ["known.json"]) == ["fresh cases.json"]
    test_official_vectors("fresh cases.json")


def test_in_ci_absent_vectors_are_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECURECHAT_VECTORS", str(tmp_path))
    assert required()
    with pytest.raises(pytest.fail.Exception):
        folder("mls-vectors")
