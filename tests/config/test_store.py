"""Where the records lie, by the config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gkc_engine.config.loader import load_config
from gkc_engine.config.store import leave_note, sqlite_path, store_name, store_url
from gkc_engine.errors import ConfigError
from tests.config.cities import tiny_city, tiny_config

PG = "postgresql+psycopg://gkc@db.test/gkc"


def config_with(folder: Path, store: str) -> Path:
    return tiny_city(folder, ("pbx:", f"store: {store}\npbx:"))


@pytest.mark.parametrize(
    ("store", "name", "url"),
    [
        ("{}", "/state/gkc.sqlite", "sqlite:////state/gkc.sqlite"),
        ("{path: a/b.sqlite}", "/state/a/b.sqlite", "sqlite:////state/a/b.sqlite"),
        ("{url: 'sqlite:///c.db'}", "/state/c.db", "sqlite:////state/c.db"),
        ("{url: 'sqlite:////d/e.db'}", "/d/e.db", "sqlite:////d/e.db"),
        (f"{{url: '{PG}'}}", PG, PG),
        ("{url: env:GKC_TEST_URL}", "env:GKC_TEST_URL", "postgresql+psycopg://gkc:pw@h/gkc"),
    ],
)
def test_a_store_has_a_name_and_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, name: str, url: str
) -> None:
    monkeypatch.setenv("GKC_TEST_URL", "postgresql+psycopg://gkc:pw@h/gkc")
    model = load_config(config_with(tmp_path, store)).store
    assert store_name(model, Path("/state")) == name
    assert store_url(name, tmp_path) == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://gkc:hunter2@db.test/gkc",
        "postgresql+psycopg://gkc:hunt/er2@db.test/gkc",
        "postgresql+psycopg://gkc@db.test/gkc?password=hunter2",
        "postgresql+psycopg://gkc:hunter2@/gkc?host=/run/postgresql",
    ],
)
def test_a_password_in_clear_is_refused_with_the_remedy_and_not_shown(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config_with(tmp_path, f"{{url: '{url}'}}"))
    said = str(caught.value)
    assert "city.yaml:3:14: store.url: found " in said
    assert "write file:PATH, or use env:VARIABLE" in said
    assert "er2" not in said


def test_what_a_reference_leads_to_is_checked_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_TEST_URL", "mysql://gkc:hunter2@h/gkc")
    with pytest.raises(
        ConfigError, match=r"store.url: env:GKC_TEST_URL: what lies there"
    ) as caught:
        store_url("env:GKC_TEST_URL", tmp_path)
    assert "hunter2" not in str(caught.value)
    (tmp_path / "url").write_text(f"{PG}\n", encoding="utf-8")
    assert store_url("file:url", tmp_path) == PG


@pytest.mark.parametrize("name", ["env:GKC_STORE_URL", PG, "/disk/gkc.sqlite", "{state}/gkc.db"])
def test_commands_are_told_of_a_store_that_is_not_where_they_look(
    tmp_path: Path, name: str
) -> None:
    leave_note(str(tmp_path / "gkc.sqlite"), tmp_path, tmp_path, "Europe/Moscow")
    assert not list(tmp_path.iterdir())
    name = name.format(state=tmp_path)
    leave_note(name, tmp_path, tmp_path, "Europe/Moscow")
    assert json.loads((tmp_path / "records_at.json").read_text("utf-8")) == {
        "store": name,
        "config": str(tmp_path),
        "timezone": "Europe/Moscow",
        "state": str(tmp_path),
    }
    assert sqlite_path("sqlite:////d/e.db") == Path("/d/e.db")
    assert sqlite_path(PG) is None


def test_the_default_is_a_file(tmp_path: Path) -> None:
    assert tiny_config(tmp_path).store.url is None
