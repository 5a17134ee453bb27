"""What the config says of records that go to the city."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.config.federation import collector_settings, shipper_settings
from gkc_engine.config.loader import check, inspect, load_config
from gkc_engine.config.reload import diff
from gkc_engine.errors import ConfigError
from tests.config.cities import tiny_city
from tests.config.collector_cases import COLLECTOR
from tests.config.federation_cases import FEDERATION


def test_a_city_collects_the_records_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ABCDR":
        monkeypatch.setenv(name, f"secret-{name}")
    records = ("  token_key", "  records: {user: records, secret: env:R}\n  token_key")
    text = FEDERATION.replace(*records) + COLLECTOR
    elsewhere = ("Europe/Moscow}", "Asia/Omsk}")
    folder = tiny_city(tmp_path, ("services:\n", text + "services:\n"), elsewhere)
    assert check(folder) == []
    config = load_config(folder)
    shipper = shipper_settings(config, folder)
    assert shipper is not None
    assert (shipper.center, shipper.bus.user, shipper.bus.password) == (
        "tiny",
        "records",
        "secret-R",
    )
    collector = collector_settings(config, folder, tmp_path / "state")
    assert list(collector.buses) == ["centr", "tiny", "yug", "luga"]
    yug = collector.buses["yug"]
    assert (yug.user, yug.password) == ("yug-records", "secret-C")
    assert collector.store == str(tmp_path / "state" / "city.sqlite")
    assert collector.metrics is None
    assert collector.timezone == "Asia/Omsk"
    assert "secret-C" not in repr(collector)


def test_where_the_hub_is_and_what_it_must_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ABCD":
        monkeypatch.setenv(name, name)
    tls = "  tls: {ca: ca.pem, cert: own.pem, key: own.key}\n  metrics: {}\n"
    text = FEDERATION + COLLECTOR.replace("  centers", f"{tls}  centers")
    folder = tiny_city(tmp_path, ("services:\n", text + "services:\n"))
    settings = collector_settings(load_config(folder), folder, tmp_path / "state")
    yug = settings.buses["yug"]
    files = [str(folder / name) for name in ("ca.pem", "own.pem", "own.key")]
    assert [yug.ca, yug.cert, yug.key] == files
    assert yug.urls == ("nats://127.0.0.1:4222",)
    assert settings.metrics == ("127.0.0.1", 9470)


def warnings(folder: Path, old: str, new: str, own: str = "") -> list[str]:
    """Return the warnings of a city that collects with one text replaced; no problem is left."""
    text = FEDERATION + COLLECTOR
    assert text.count(old) == 1, old
    outcome = inspect(
        tiny_city(folder, ("services:\n", text.replace(old, new) + own + "services:\n"))
    )
    assert outcome.problems == ()
    return [str(one) for one in outcome.warnings]


HUB = "  nats: nats://127.0.0.1:4222\n  centers: {centr: env:A"
AWAY = HUB.replace("127.0.0.1", "10.1.0.1")


def test_a_secret_in_clear_to_another_machine_is_a_warning(tmp_path: Path) -> None:
    def told(number: int, old: str, new: str) -> list[str]:
        found = warnings(tmp_path / str(number), old, new)
        return [one for one in found if "in clear" in one]

    assert told(1, HUB, HUB) == []
    (one,) = told(2, HUB, AWAY)
    assert "collector.nats: found nats:// beside user, to another machine" in one
    assert told(3, HUB, AWAY.replace("  centers", "  tls: {}\n  centers")) == []
    leaf = "  nats: nats://127.0.0.1:4222\n  token_key: env:TOKEN_KEY\n"
    away = leaf.replace("127.0.0.1", "10.1.0.1")
    assert told(4, leaf, away) == []  # No user, so there is no password.
    (one,) = told(5, leaf, f"{away}  records: {{user: records, secret: env:R}}\n")
    assert "federation.nats: found nats:// beside user" in one


@pytest.mark.parametrize(
    ("city", "own"),
    [
        ("{url: 'postgresql+psycopg://gkc@h/city'}", "{path: city.sqlite}"),
        ("{path: gkc.sqlite}", "{url: 'postgresql+psycopg://gkc@h/gkc'}"),
        ("{url: 'postgresql+psycopg://gkc@h/city'}", "{url: 'postgresql+psycopg://gkc@h/gkc'}"),
    ],
)
def test_a_store_of_its_own_is_taken(tmp_path: Path, city: str, own: str) -> None:
    store = HUB.replace("  centers", f"  store: {city}\n  centers")
    warnings(tmp_path, HUB, store, own=f"store: {own}\n")


def test_a_center_that_the_city_does_not_collect_is_a_warning(tmp_path: Path) -> None:
    text = FEDERATION + COLLECTOR.replace(", luga: env:D", "")
    outcome = inspect(tiny_city(tmp_path, ("services:\n", text + "services:\n")))
    assert not outcome.problems
    assert any("collector.centers: found no luga" in str(one) for one in outcome.warnings)


def test_without_a_collector_there_is_nothing_to_collect_with(tmp_path: Path) -> None:
    folder = tiny_city(tmp_path)
    with pytest.raises(ConfigError, match="no section collector"):
        collector_settings(load_config(folder), folder, tmp_path)
    assert shipper_settings(load_config(folder), folder) is None


def test_what_ships_and_collects_waits_for_the_next_start(tmp_path: Path) -> None:
    before = load_config(tiny_city(tmp_path / "a", ("services:\n", FEDERATION + "services:\n")))
    records = ("  token_key", "  records: {user: records, secret: env:R}\n  token_key")
    text = FEDERATION.replace(*records) + COLLECTOR
    after = load_config(tiny_city(tmp_path / "b", ("services:\n", text + "services:\n")))
    lines = diff(before, after)
    assert len(lines) == 2
    assert all(line.endswith("(from the next start on)") for line in lines)
