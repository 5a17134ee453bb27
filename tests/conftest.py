"""What holds for every test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from gkc_engine.recorder import schema
from tests.postgres import NoServerError, Server

# Its examples lie beside the other tools' caches (pyproject.toml), where `gkc clean` removes them.
set_hypothesis_home_dir(Path(__file__).parents[1] / ".gkc" / "cache" / "hypothesis")

# A machine with others at work may stand still for a while: that is no fault of an example.
settings.register_profile("gkc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gkc")


def pytest_collection_finish() -> None:
    """Spare the collector what stays to the end: walking 3 000 tests again and again cost 5 %."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One real server for all tests of a process."""
    try:
        server = Server()
    except NoServerError as error:
        pytest.skip(str(error))
    yield server
    server.close()


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.accept)]
"""What a test that asks for a ``store_url`` runs on: hermetic on SQLite, ``accept`` beside it."""


@pytest.fixture(params=BOTH)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that is not made yet."""
    return _a_store(request, tmp_path)


@pytest.fixture(scope="module", params=BOTH)
def module_store_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The same, for all tests of a module."""
    return _a_store(request, tmp_path_factory.mktemp("store"))


def _a_store(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return schema.sqlite_url(str(folder / "gkc.sqlite"))
    server: Server = request.getfixturevalue("postgres")
    return server.schema()


@pytest.fixture
def server(postgres: Server) -> Iterator[Server]:
    """The same, for a test that ends it and starts it again: whole once more afterwards.

    A server that is started in another thread is ended with that thread (prctl(2),
    ``PR_SET_PDEATHSIG``): this one starts it last.
    """
    yield postgres
    postgres.stop()
    postgres.start()
