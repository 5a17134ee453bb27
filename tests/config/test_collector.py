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
    folder = tiny_city(tmp_path, ("services:\n", text + "services:\n"))
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
    assert "secret-C" not in repr(collector)


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
