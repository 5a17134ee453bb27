"""Records without an engine: the store that the last one left is read, and only read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import contact
from gkc_engine.config.settings import applied
from gkc_engine.ids import SECOND
from gkc_engine.recorder import schema
from gkc_engine.recorder.codec import SCHEMA_VERSION, encode, kind_of
from tests.config.cities import tiny_config
from tests.control.fake import DONE, NOW


def make_store(path: Path, number: str = "2026-ЦАО-000001") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        values: dict[str, Any] = {column.name: None for column in schema.contact.columns}
        values |= {
            "contact_id": DONE,
            "number": number,
            "medium": "voice",
            "direction": "in",
            "initiation": "inbound",
            "center_entry": "centr",
            "did": "+74957777777",
            "language": "ru",
            "queue": "passport",
            "started": NOW,
            "first_queued": NOW + 7 * SECOND,
            "ended": NOW + 40 * SECOND,
            "wait_us": 33 * SECOND,
            "wrap_up_us": 0,
            "offers": 0,
            "disposition": "abandoned",
            "step": 0,
            "config_version": "v1",
        }
        connection.execute(schema.contact.insert(), values)
    engine.dispose()
    return path


def test_the_newest_store_is_read(run: Path, gkc: CliRunner) -> None:
    old = make_store(run.parent / "gkc.sqlite", "2026-ЦАО-000009")
    os.utime(old, (1, 1))
    make_store(run.parent / "demo" / "gkc.sqlite")
    listed = json.loads(gkc.invoke(contact.app, ["list", "--json"]).stdout)
    assert [row["number"] for row in listed] == ["2026-ЦАО-000001"]
    assert listed[0]["wait_s"] == 33.0
    assert listed[0]["started"].endswith("Z")


def test_the_demo_s_note_names_store_and_zone(run: Path, gkc: CliRunner, tmp_path: Path) -> None:
    make_store(run.parent / "gkc.sqlite", "2026-ЦАО-000009")
    store = make_store(tmp_path / "elsewhere.sqlite")
    note = {"store": str(store), "timezone": "Asia/Vladivostok"}
    (run / "demo.json").write_text(json.dumps(note), encoding="utf-8")
    text = gkc.invoke(contact.app, ["show", "2026-ЦАО-000001"]).stdout
    assert "2026-11-18 21:06:40 Asia/Vladivostok" in text
    assert "+0:40  ends: abandoned" in text


def applied_config(path: Path, folder: Path, timezone: str, seq: int) -> None:
    """Put on record that a config of that zone came into force."""
    event = applied(tiny_config(folder, ("Europe/Moscow", timezone)), author="start")
    version = event.settings.version
    row = {
        "seq": seq,
        "event_id": f"e{seq}",
        "ts_us": NOW + seq,
        "center": "tiny",
        "kind": kind_of(event),
        "config_version": version,
        "source": "core",
        "role": "in",
        "schema_version": SCHEMA_VERSION,
        "data": encode(event),
    }
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    with engine.begin() as connection:
        connection.execute(schema.event.insert(), row)
        known = {"hash": version, "applied": NOW + seq, "event_id": f"e{seq}"}
        connection.execute(schema.config_version.insert(), known)
    engine.dispose()


def test_without_a_note_the_zone_is_that_of_the_last_config_on_record(
    run: Path, gkc: CliRunner, tmp_path: Path
) -> None:
    store = make_store(run.parent / "demo" / "gkc.sqlite")
    show = ["show", "2026-ЦАО-000001"]
    assert "2026-11-18 11:06:40 UTC" in gkc.invoke(contact.app, show).stdout
    applied_config(store, tmp_path / "one", "Asia/Vladivostok", 1)
    applied_config(store, tmp_path / "two", "Asia/Omsk", 2)
    assert "2026-11-18 17:06:40 Asia/Omsk" in gkc.invoke(contact.app, show).stdout
    at_noon = gkc.invoke(contact.app, ["list", "--since", "2026-11-18T17:07"]).stdout
    assert at_noon == "No contacts.\n"
    assert "000001" in gkc.invoke(contact.app, ["list", "--since", "2026-11-18T17:06"]).stdout


def test_filters_hold_without_an_engine_too(run: Path, gkc: CliRunner) -> None:
    make_store(run.parent / "gkc.sqlite")
    assert gkc.invoke(contact.app, ["list", "--queue", "housing"]).stdout == "No contacts.\n"
    assert gkc.invoke(contact.app, ["list", "--since", "2026-11-19"]).stdout == "No contacts.\n"
    assert "000001" in gkc.invoke(contact.app, ["list", "--since", "2026-11-18"]).stdout
    assert gkc.invoke(contact.app, ["list", "--since", "soon"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["show", "2026-ЦАО-7"], "not found"), (["show", DONE, "--reveal"], "only it reveals")],
)
def test_refusals_without_an_engine(
    run: Path, gkc: CliRunner, arguments: list[str], said: str
) -> None:
    make_store(run.parent / "gkc.sqlite")
    result = gkc.invoke(contact.app, arguments)
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_named_config_is_never_answered_from_an_old_store(
    run: Path, gkc: CliRunner, tmp_path: Path
) -> None:
    make_store(run.parent / "gkc.sqlite")
    result = gkc.invoke(contact.app, ["list", "--config", str(tmp_path)])
    assert result.exit_code == 1
    assert "No engine is running" in result.stderr
