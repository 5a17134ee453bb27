"""The dashboard and the alert rules: bounds from the config, only series that there are."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from ruamel.yaml import YAML
from typer.testing import CliRunner

from gkc_engine.__main__ import app
from gkc_engine.acd.settings import Medium
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.control.day import DayCounters
from gkc_engine.control.observe import Observer
from gkc_engine.metrics import Metrics
from gkc_engine.monitoring.alert_rules import alert_rules
from gkc_engine.monitoring.bounds import Language
from gkc_engine.monitoring.grafana import dashboard
from tests.control.fake import NOW, ZONE, FakeBackend

CONFIG = Path(__file__).parents[2] / "config"
OF_THE_SCRAPE = {"up"}
"""Prometheus makes it itself."""


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG)


def expressions(config: Config) -> Iterator[str]:
    for rule in alert_rules(config, "gkc", "ru")["groups"][0]["rules"]:
        yield rule["expr"]
    for panel in panels(dashboard(config, "ru")):
        for target in panel.get("targets", ()):
            yield target["expr"]


def panels(tree: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tree["panels"]
    return found


def exported() -> dict[str, set[str]]:
    """Every series that an engine has, with its labels."""
    observer = Observer(Metrics(), DayCounters(ZONE, NOW))
    observer.expect({"passport": Medium.VOICE})
    observer.sample(FakeBackend())
    observer.metrics.events.labels("ami")
    observer.metrics.info.labels("1", "centr")
    found: dict[str, set[str]] = {}
    for family in observer.metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_expression_asks_for_series_and_labels_that_the_engine_has(config: Config) -> None:
    known = exported()
    asked = 0
    for expression in expressions(config):
        bare = re.sub(r'"[^"]*"', '""', expression)
        for name, labels in re.findall(r"\b((?:gkc|process)_\w+|up)(?:\{([^}]*)\})?", bare):
            asked += 1
            assert name in known or name in OF_THE_SCRAPE, (name, expression)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|=|!=)", labels):
                scraped = known.get(name, set()) | {"job", "instance"}
                assert label in scraped, (label, expression)
    assert asked > 50


def test_bounds_are_those_of_the_config_and_a_queue_s_own_are_its_own(config: Config) -> None:
    tree = config.thresholds.model_validate(
        {
            "longest_wait": {"warn": "90s", "bad": "2m"},
            "queues": {
                "tax": {"longest_wait": {"warn": "5s", "bad": "6s"}},
                "health": {"longest_wait": {"warn": "5s", "bad": "6s"}},
                "english": {"abandon_rate": {"warn": 0.2, "bad": 0.3}},
            },
        }
    )
    changed = config.model_copy(update={"thresholds": tree})
    rules = alert_rules(changed, "gkc", "en")["groups"][0]["rules"]
    long_wait = [rule for rule in rules if rule["alert"] == "GkcLongWait"]
    assert [rule["expr"] for rule in long_wait] == [
        (
            'gkc_longest_wait_seconds{queue!~"tax|health"} > 90'
            ' or gkc_longest_wait_seconds{queue=~"tax|health"} > 5'
        ),
        (
            'gkc_longest_wait_seconds{queue!~"tax|health"} > 120'
            ' or gkc_longest_wait_seconds{queue=~"tax|health"} > 6'
        ),
    ]
    assert long_wait[0]["annotations"]["description"].endswith("the bound 90 s; tax, health: 5 s.")
    assert not [rule for rule in rules if rule["alert"] == "GkcManyWaiting"], "no bound, no rule"
    level = next(rule for rule in rules if rule["alert"] == "GkcServiceLevelLow")
    assert level["expr"].startswith("(gkc_service_level_ratio < 0.8) and ")
    assert level["annotations"]["description"].endswith("bound 80 %.")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_each_rule_has_what_people_need(config: Config, language: Any) -> None:  # noqa: ANN401
    rules = alert_rules(config, "gkc", language)["groups"][0]["rules"]
    pairs = [(rule["alert"], rule["labels"]["severity"]) for rule in rules]
    assert len(set(pairs)) == len(pairs), "one rule for each: a doubled one would hide the other"
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        words = " ".join(rule["annotations"].values())
        assert "LIMIT" not in words
        assert bool(re.search("[а-яё]", words)) is (language == "ru"), rule["alert"]
        assert words.count("{{") == words.count("}}")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_dashboard_is_whole(config: Config, language: Any) -> None:  # noqa: ANN401
    tree = dashboard(config, language)
    found = panels(tree)
    assert len({panel["id"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
    names = {variable["name"] for variable in tree["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(tree)))
    assert names == used == {"datasource", "instance", "queue"}
    titles = " ".join(panel["title"] for panel in found)
    assert bool(re.search("[а-яё]", titles)) is (language == "ru")
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in found if "fieldConfig" in panel}
    assert units == {"short", "s", "percentunit"}


def test_the_dashboard_draws_the_bounds_in_their_order(config: Config) -> None:
    def steps(title: str) -> list[tuple[str, float | None]]:
        panel = next(p for p in panels(dashboard(config, "en")) if p["title"] == title)
        found = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        return [(step["color"], step["value"]) for step in found]

    assert steps("Longest wait") == [("green", None), ("#EAB839", 60), ("red", 180)]
    assert steps("Service level, 30 min") == [("red", None), ("#EAB839", 0.6), ("green", 0.8)]
    assert steps("Waiting") == [("green", None)], "the sample city has no bound for all queues"


def test_a_file_is_written_whole_and_what_it_replaces_stays_when_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rules.yml"
    run = CliRunner().invoke
    done = run(app, ["export", "alerts", "--config", str(CONFIG), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    tree = YAML(typ="safe").load(out.read_text(encoding="utf-8"))
    assert tree["groups"][0]["name"] == "gkc-centr"

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = run(app, ["export", "grafana", "--config", str(CONFIG), "--out", str(out)])
    assert done.exit_code == 1
    assert str(done.exception) == f"{out} cannot be written: No space left on device."
    assert YAML(typ="safe").load(io.StringIO(out.read_text(encoding="utf-8"))) == tree
    assert list(tmp_path.iterdir()) == [out], "nothing half-written is left"


def test_stdout_is_the_file_and_nothing_else() -> None:
    done = CliRunner().invoke(app, ["export", "grafana", "--config", str(CONFIG)])
    assert json.loads(done.stdout)["uid"] == "gkc-center"
    done = CliRunner().invoke(app, ["export", "alerts", "--job", 'a"b', "--config", str(CONFIG)])
    assert done.exit_code == 2
    assert "expected letters, digits" in done.output


def unknown(ours: object, theirs: object, place: str = "") -> list[str]:
    """Return where what Grafana's own model keeps differs from what was written."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        gone = [f"{place}/{key}" for key in ours if key not in theirs]
        return gone + [
            x for k in ours if k in theirs for x in unknown(ours[k], theirs[k], f"{place}/{k}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [x for n, (one, two) in pairs for x in unknown(one, two, f"{place}/{n}")]
    return [] if ours == theirs else [place]


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_dashboard_is_of_grafana_s_own_schema(config: Config, language: Language) -> None:
    """Grafana's classes, made of its schemas, drop every key that it does not know."""
    register_default_plugins()
    written = json.loads(json.dumps(dashboard(config, language)))
    model = Dashboard.from_json(written)
    read = json.loads(JSONEncoder().encode(model))
    # What the editor of variables shows; Grafana writes it itself, its schema does not name it.
    assert unknown(written, read) == [f"/templating/list/{n}/definition" for n in (1, 2)]
    for panel in model.panels or ():
        kind = type(getattr(panel, "options", None)).__module__
        assert panel.type_val == "row" or kind.startswith("grafana_foundation_sdk."), panel.type_val
