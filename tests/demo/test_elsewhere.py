"""A demo with its records in somebody's database: nothing that is there is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gkc_engine.__main__ import app
from gkc_engine.cli._demo_screen import Lines
from gkc_engine.config.store import named_store
from gkc_engine.demo import elsewhere
from gkc_engine.demo.run import Demo
from gkc_engine.demo.setup import DemoOptions
from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.errors import GkcError
from gkc_engine.pbx.install import Install
from gkc_engine.recorder.store import LedgerStore
from tests.postgres import Server
from tests.recorder.places import Place, PostgresPlace, SqlitePlace
from tests.recorder.test_compare import fill

CONFIG = Path(__file__).parents[2] / "config"
NOBODY = "postgresql+psycopg://gkc@127.0.0.1:1/gkc"
NO_ASTERISK = Install(how="", version="22", command=("false",), modules=Path(), data=Path())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.accept)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where somebody keeps records."""
    sqlite = request.param == "sqlite"
    with (
        SqlitePlace(tmp_path)
        if sqlite
        else PostgresPlace(request.getfixturevalue("postgres")) as made
    ):
        yield made


def prepared(folder: Path, config: Path, store: str | None, *, keep: bool = False) -> Demo:
    """Return a demo that has its own copy of the config; nothing of it runs."""
    options = DemoOptions(
        config=config, state=folder, sockets=folder / "run", store=store, keep=keep, free_ports=True
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(options, NO_ASTERISK, Lines())
    demo._prepare()
    return demo


def test_the_records_lie_where_they_are_told_to(place: Place, tmp_path: Path) -> None:
    demo = prepared(tmp_path / "gkc", CONFIG, place.url)
    assert demo.site.city.config.store.url == place.url
    assert demo.site.store in (place.url, place.url.removeprefix("sqlite:///"))


def test_records_of_before_are_left_alone_unless_kept(place: Place, tmp_path: Path) -> None:
    empty = LedgerStore(place.url)
    empty.open()  # `gkc db upgrade`, as the how-to says: tables, and no record yet.
    empty.close()
    elsewhere.look(place.url, "URL", keep=False)
    fill(place.store())
    before = place.sql("SELECT count(*) FROM event")
    with pytest.raises(GkcError, match=r"^--store \S+: there are records already, .* --keep"):
        prepared(tmp_path / "gkc", CONFIG, place.url)
    assert place.sql("SELECT count(*) FROM event") == before
    prepared(tmp_path / "gkc", CONFIG, place.url, keep=True)


@pytest.mark.accept
def test_a_schema_that_is_not_there_is_named(postgres: Server) -> None:
    url = postgres.schema()  # Only its name: nobody has made it.
    with postgres.connect() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {url.rpartition('%3D')[2]}".encode())
    with pytest.raises(GkcError, match="CREATE SCHEMA it"):
        elsewhere.look(url, "URL", keep=False)


def test_a_server_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GkcError, match=r"^--store postgresql\S+: .*refused.*; start the server"):
        prepared(tmp_path / "gkc", CONFIG, NOBODY)


def test_a_real_center_s_records_are_not_the_demo_s(tmp_path: Path) -> None:
    def real(name: str, document: Document) -> None:
        if name == "pbx.yaml":
            document["store"] = {"url": NOBODY}

    config = copy_tree(CONFIG, tmp_path / "real", real)
    assert NOBODY in (config / "pbx.yaml").read_text()
    demo = prepared(tmp_path / "gkc", config, None)
    assert demo.site.store == str(tmp_path / "gkc" / "demo" / "gkc.sqlite")


def test_a_reference_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_store("file:url.txt") == f"file:{tmp_path / 'url.txt'}"
    assert named_store("env:GKC_URL") == "env:GKC_URL"


@pytest.mark.parametrize("said", ["records.db", "postgresql+psycopg://gkc:hunter2@h/gkc"])
def test_what_is_no_store_is_refused_before_anything_starts(said: str) -> None:
    refused = CliRunner().invoke(app, ["demo", "--store", said])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("gkc demo: --store: expected ")
    assert "hunter2" not in refused.stderr
