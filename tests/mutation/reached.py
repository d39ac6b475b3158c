"""A pytest plugin: which lines of some modules each test runs, and how long the test computes.

``--reached FILE`` names where it is written, ``--reached-in MODULE`` each module (more than once).
What a test does in another process is not seen.
"""

import json
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reached", help="where to write which test ran which line")
    parser.addoption("--reached-in", action="append", default=[], help="a module whose lines count")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--reached"):
        config.pluginmanager.register(Reached(config), "reached")


class Reached:
    """Sees every thread that is started from now on."""

    def __init__(self, config: pytest.Config) -> None:
        self._target = Path(config.getoption("--reached"))
        self._modules = {str(config.rootpath / name): name for name in config.getoption("--reached-in")}
        self._lines: set[tuple[str, int]] = set()
        self._tests: list[dict[str, Any]] = []
        threading.settrace(self._entered)
        sys.settrace(self._entered)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._lines.clear()
        sys.settrace(self._entered)
        began = _computed()
        told = yield
        lines: dict[str, list[int]] = {}
        for module, line in sorted(self._lines.copy()):
            lines.setdefault(module, []).append(line)
        seconds = _computed() - began
        self._tests.append({"test": item.nodeid, "seconds": seconds, "lines": lines})
        return told

    def pytest_sessionfinish(self) -> None:
        sys.settrace(None)
        self._target.write_text(json.dumps(self._tests))

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        module = self._modules.get(frame.f_code.co_filename)
        if module is None:
            return None
        self._lines.add((module, frame.f_lineno))

        def ran(inner: FrameType, _event: str, _argument: object) -> Any:
            self._lines.add((module, inner.f_lineno))
            return ran

        return ran


def _computed() -> float:
    """Return the seconds that this process and those that ended under it have computed, whoever else did."""
    return sum(os.times()[:4])
