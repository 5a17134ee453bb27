from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gkc_engine.control.methods import Methods
from gkc_engine.control.server import ControlServer, Limits
from tests.control.fake import AuditLog, FakeBackend

LIMITS = Limits(connections=4, idle_s=5.0, handle_s=1.0, write_s=0.3)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def audit() -> AuditLog:
    return AuditLog()


@pytest.fixture
async def server(
    tmp_path: Path, backend: FakeBackend, audit: AuditLog
) -> AsyncIterator[ControlServer]:
    serving = ControlServer(tmp_path / "run" / "engine.sock", audit, LIMITS)
    Methods(backend, "0.1.0").register(serving)
    await serving.start()
    yield serving
    await serving.close()
