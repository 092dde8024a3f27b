"""What every test starts from: a clean environment, and end-to-end tests that cannot be skipped in CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _clean_variables(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No variable of the person who runs the tests reaches the code under test."""
    kept = {"RZP_PVE_RECORDINGS", "RZP_ARGOCD_MANIFEST", "RZP_REQUIRE_E2E", "RZP_LAB_CACHE", "RZP_LAB_MIRROR"}
    for name in list(os.environ):
        if name.startswith("RZP_") and name not in kept:
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout under test."""
    return Path(__file__).parents[1]


def _cannot_boot() -> str | None:
    if sys.platform != "linux":
        return "boots machines: needs Linux"
    return None if os.geteuid() == 0 else "boots machines: needs root"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what boots machines where none can be booted; in CI (RZP_REQUIRE_E2E) let it fail there instead."""
    reason = _cannot_boot()
    if reason and not os.environ.get("RZP_REQUIRE_E2E"):
        for item in items:
            if item.get_closest_marker("e2e"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped end-to-end test is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and item.get_closest_marker("e2e") and os.environ.get("RZP_REQUIRE_E2E"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid}: an end-to-end test was skipped, and RZP_REQUIRE_E2E is set: {report.longrepr}"
        )
