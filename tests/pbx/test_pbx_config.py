from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import typer
from typer.testing import CliRunner

from gkc_engine.cli.pbx_config import config as pbx_config
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.errors import ConfigError
from gkc_engine.pbx.from_config import plan_from_config
from gkc_engine.pbx.model import CenterTrunk, PbxPlan
from gkc_engine.pbx.render import templates_dir
from tests.pbx.support import SECRET

SAMPLE = templates_dir().parents[1] / "config"
CITY = templates_dir().parents[1] / "tests" / "acceptance" / "city"


def _run(out: Path, config: Path = SAMPLE) -> str:
    app = typer.Typer()
    app.command()(pbx_config)
    result = CliRunner().invoke(app, [str(config), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_sample_city_has_every_operator_and_queue_in_its_plan() -> None:
    config = load_config(SAMPLE)
    plan = plan_from_config(config, lambda _: SECRET, prompts=SAMPLE / "prompts")
    assert {f"PJSIP/{o.endpoint}" for o in plan.operators} == {
        operator.interface for operator in config.operators.values()
    }
    assert {queue.name for queue in plan.queues} == set(config.queues)
    assert {"+74957777777", "74957777777", "84957777777"} <= set(plan.transfer_targets)
    assert plan.trunks == ()
    assert plan.goodbye_prompt is not None
    assert plan.goodbye_prompt.with_suffix(".alaw").is_file()


def test_the_command_says_what_the_administrator_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_AMI_SECRET", SECRET)
    printed = _run(tmp_path)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.conf"))
    assert [str(path) for path in written] == [
        f"gkc.d/{name}.conf"
        for name in (
            *("cdr_custom", "cel_custom", "extensions", "features", "manager", "pjsip", "queues"),
        )
    ]
    for path in written:
        assert f"#include {path}" in printed
    assert "channelvars = GKC_CONTACT,GKC_ENQ" in printed
    assert 'asterisk -rx "dialplan reload"' in printed
    assert f"  {tmp_path}/cel_custom.conf: [mappings]\n" in printed
    assert f"  {tmp_path}/cdr_custom.conf: [mappings]\n" in printed
    assert "mkdir" not in printed, "the config names no lists"
    assert SECRET not in printed


def test_the_folders_of_asterisks_lists_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_AMI_SECRET", SECRET)
    config = copytree(SAMPLE, tmp_path / "config", ignore=ignore_patterns("music"))
    pbx = (config / "pbx.yaml").read_text("utf-8")
    named = "pbx:\n  cel: /var/log/a/cel-custom/legs.csv\n  cdr: /var/log/a/cdr-custom/calls.csv"
    (config / "pbx.yaml").write_text(pbx.replace("pbx:", named, 1), "utf-8")
    printed = _run(tmp_path / "out", config)
    assert "  mkdir -p /var/log/a/cel-custom /var/log/a/cdr-custom\n" in printed


def test_one_of_several_centers_is_told_to_name_its_asterisk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_AMI_SECRET", SECRET)
    assert "systemname" not in _run(tmp_path / "alone")

    def plan(config: Config, secret: Callable[[str], str], prompts: Path | None) -> PbxPlan:
        found = plan_from_config(config, secret, prompts)
        return replace(found, centers=(CenterTrunk(center="sever", host="10.0.0.2"),))

    monkeypatch.setattr("gkc_engine.pbx.from_config.plan_from_config", plan)
    printed = _run(tmp_path / "several")
    name = load_config(SAMPLE).center.name
    assert f"{tmp_path}/several/asterisk.conf, [options]: systemname = {name}" in printed


def test_the_way_out_of_emergency_calls_is_told_or_its_want_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_AMI_SECRET", SECRET)
    printed = _run(tmp_path / "a")
    assert 'asterisk -rx "dialplan show 112@from-operators-out"' in printed
    assert "REFUSE" not in printed
    written = (tmp_path / "a" / "gkc.d" / "extensions.conf").read_text()
    assert "exten => 112,1,Set(GKC_OUT=from-operators-out)" in written
    printed = _run(tmp_path / "b", CITY)
    assert "pbx.emergency_context is not set, so operators' phones REFUSE 112" in printed
    written = (tmp_path / "b" / "gkc.d" / "extensions.conf").read_text()
    assert "exten => 112,1,Goto(refused,1)" in written


def test_without_its_secret_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GKC_AMI_SECRET", raising=False)
    with pytest.raises(ConfigError, match="GKC_AMI_SECRET"):
        _run(tmp_path)
    assert list(tmp_path.iterdir()) == []
