"""A real Prometheus reads a demo city; its own tools check the rules and the dashboard."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from ruamel.yaml import YAML

from gkc_engine.config.loader import load_config
from gkc_engine.monitoring.alert_rules import alert_rules
from gkc_engine.monitoring.bounds import Language
from gkc_engine.monitoring.grafana import dashboard
from gkc_engine.pbx.install import Install
from tests.acceptance.home import CONFIG, Home, until
from tests.acceptance.prometheus import Prometheus, programs, prometheus, promtool

pytestmark = pytest.mark.accept

RULE_TESTS = Path(__file__).with_name("alert_rules.test.yml")


@pytest.fixture(scope="module")
def tools() -> Path:
    found = programs()
    if isinstance(found, str):
        pytest.skip(f"Prometheus cannot be had: {found}")
    return found


def rules(to: Path, language: Language = "ru", *, bare: bool = False, every: str = "15s") -> Path:
    """Write the sample city's rules, as `gkc export alerts` gives them or changed for a test."""
    tree = alert_rules(load_config(CONFIG), "gkc", language)
    [group] = tree["groups"]
    group["interval"] = every
    for rule in group["rules"] if bare else ():
        del rule["annotations"]
    with to.open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)
    return to


def asked() -> list[str]:
    """The dashboard's expressions with its variables filled in, and those of the variables."""
    tree = dashboard(load_config(CONFIG), "ru")
    found = [target["expr"] for panel in tree["panels"] for target in panel.get("targets", ())]
    for variable in tree["templating"]["list"]:
        if variable["type"] == "query":
            of = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert of is not None
            found.append(f"count by ({of[2]}) ({of[1]})")
    for name, value in (("instance", ".*"), ("queue", ".*"), ("__rate_interval", "10s")):
        found = [expression.replace(f"${name}", value) for expression in found]
    return found


@pytest.mark.parametrize("language", ["ru", "en"])
def test_promtool_finds_no_fault_in_the_rules(
    tools: Path, tmp_path: Path, language: Language
) -> None:
    assert "SUCCESS" in promtool(
        tools, "check", "rules", "--lint-fatal", str(rules(tmp_path / "rules.yml", language))
    )


def test_each_alert_fires_when_it_should_and_clears(tools: Path, tmp_path: Path) -> None:
    bare = rules(tmp_path / "bare.yml", bare=True)
    cases = RULE_TESTS.read_text(encoding="utf-8").replace("RULES", bare.name)
    (tmp_path / "test.yml").write_text(cases, encoding="utf-8")
    assert "SUCCESS" in promtool(tools, "test", "rules", str(tmp_path / "test.yml"))
    fired = re.findall(r"alertname: (\w+)\s+exp_alerts:\s*(?:\[\{|- )", cases)
    cleared = re.findall(r"alertname: (\w+), exp_alerts: \[\]", cases)
    names = {rule["alert"] for rule in YAML(typ="safe").load(bare)["groups"][0]["rules"]}
    assert set(fired) == set(cleared) == names, "an alert without a test"


WORDS = """
rule_files: [rules.yml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - series: gkc_longest_wait_seconds{job="gkc", instance="a", queue="passport"}
        values: 95x20
    alert_rule_test:
      - eval_time: 1m
        alertname: GkcLongWait
        exp_alerts:
          - exp_labels: {severity: warning, job: gkc, instance: a, queue: passport}
            exp_annotations:
              summary: "Очередь passport: ждут слишком долго"
              description: "Дольше всех ждут 1m 35s, порог 60 с; housing_emergency: 10 с."
              runbook: >-
                gkc queue show passport: кто ждёт и кто из операторов на паузе. Верните операторов
                с паузы (gkc agent ready), при аварии закройте очередь с объявлением (gkc queue
                close).
"""


def test_the_words_are_filled_in(tools: Path, tmp_path: Path) -> None:
    rules(tmp_path / "rules.yml")
    (tmp_path / "test.yml").write_text(WORDS, encoding="utf-8")
    assert "SUCCESS" in promtool(tools, "test", "rules", str(tmp_path / "test.yml"))


# --- a city that is watched ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def city(
    tools: Path, install: Install, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, Prometheus, int]]:
    folder = tmp_path_factory.mktemp("watched")
    home = Home(folder, install)
    demo = home.start("--rate", "0.5", "--free-ports")  # beside the demos of another file
    try:
        until(home.note.exists)
        port = json.loads(home.note.read_text())["ports"]["metrics"]
        written = rules(folder / "rules.yml", every="1s")
        with prometheus(tools, folder / "prometheus", f"127.0.0.1:{port}", written) as running:
            until(lambda: running.query('up{job="gkc"}') != [])
            yield home, running, port
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
        home.leave()


Figures = dict[tuple[str, str], float]


def shown(rows: list[dict[str, Any]]) -> Figures:
    """What `gkc queue show` says, in the metrics' terms."""
    found: Figures = {}
    for row in rows:
        queue = row["queue"]
        found[queue, "waiting"] = row["waiting"]
        found[queue, "talking"] = row["talking"]
        found[queue, "busy"] = row["busy"] - row["wrap_up"]
        for state in ("ready", "wrap_up", "not_ready", "offline"):
            found[queue, state] = row[state]
    return found


def scraped(running: Prometheus) -> Figures:
    found = {(labels["queue"], "waiting"): n for labels, n in running.query("gkc_waiting")}
    found |= {(labels["queue"], "talking"): n for labels, n in running.query("gkc_talking")}
    for labels, n in running.query("gkc_queue_agents"):
        found[labels["queue"], labels["state"]] = n
    return found


def test_its_series_are_the_figures_of_queue_show(city: tuple[Home, Prometheus, int]) -> None:
    home, running, port = city
    up = {"__name__": "up", "instance": f"127.0.0.1:{port}", "job": "gkc"}
    until(lambda: running.query("up") == [(up, 1.0)])  # 0 when a scrape took more than 0.5 s
    home.says("agent", "pause", "petrov", "--reason", "обед")

    def alike() -> bool:
        before = shown(home.gkc("queue", "show"))
        found = scraped(running)
        # Calls come and go meanwhile: a scrape is at most half a second behind what is shown.
        talks = any(n for (_, what), n in before.items() if what == "talking")
        # Petrov may be in a talk still, another may rest after a miss.
        return found == before and talks and found["passport", "not_ready"] == 1

    until(alike)

    def as_many_not_ready() -> bool:
        """The demo's own on break are among them, and come and go."""
        [(_, told)] = running.query('gkc_agents{state="not_ready"}')
        states = [row["state"] for row in home.gkc("agent", "show")]
        return told == states.count("not_ready") >= 1

    until(as_many_not_ready)


def test_every_rule_is_evaluated_without_an_error(city: tuple[Home, Prometheus, int]) -> None:
    _, running, _ = city

    def loaded() -> list[dict[str, Any]]:
        [group] = running.ask("rules")["groups"]
        rows: list[dict[str, Any]] = group["rules"]
        return rows

    until(lambda: all(rule["health"] != "unknown" for rule in loaded()))
    assert {(rule["health"], rule.get("lastError", "")) for rule in loaded()} == {("ok", "")}
    assert len(loaded()) >= 20
    quiet = {"GkcEngineDown", "GkcEngineUnknown", "GkcAmiDown", "GkcNotAccepting"}
    # A scrape that took more than half a second counts as a failed one, till the next.
    until(lambda: all(r["state"] == "inactive" for r in loaded() if r["name"] in quiet))


def test_every_expression_of_the_dashboard_has_an_answer(
    city: tuple[Home, Prometheus, int],
) -> None:
    _, running, _ = city
    assert len(asked()) > 15
    for expression in asked():
        until(lambda text=expression: running.query(text) != [])  # type: ignore[misc]


def test_promtool_finds_no_fault_in_the_page(
    city: tuple[Home, Prometheus, int], tools: Path
) -> None:
    _, _, port = city
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    assert promtool(tools, "check", "metrics", stdin=page) == ""
    exported = set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))
    named = {
        re.sub(r"_(?:bucket|sum|count)$", "", name)
        for expression in [
            *asked(),
            *(
                rule["expr"]
                for rule in alert_rules(load_config(CONFIG), "gkc", "ru")["groups"][0]["rules"]
            ),
        ]
        for name in re.findall(r"\b(?:gkc|process)_\w+", re.sub(r'"[^"]*"', "", expression))
    }
    assert named <= exported
