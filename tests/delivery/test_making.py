"""A report is another process's work: its failures, its limits, what it is told."""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path

import pytest

from gkc_engine.config.report_model import ReportModel
from gkc_engine.delivery.making import Maker, MakingError
from gkc_engine.delivery.schedule import Due
from gkc_engine.ids import Instant

DUE = Due(at=Instant(0), first=date(2026, 11, 27), after=date(2026, 11, 28))
ROWS = json.dumps([{"queue": "a", "offered": 1}, {"queue": None, "offered": 3}])


def report(**more: str) -> ReportModel:
    entry = {"what": "services", "at": "07:30", "to": ["a@b.example"], "format": "csv", **more}
    return ReportModel.model_validate(entry)


def maker(folder: Path, script: str, **limits: float) -> Maker:
    """Return what runs ``script`` (sh) in place of ``gkc report``; ``$1`` is the kind."""
    command = ("/bin/sh", "-c", f'echo "$@" $GKC_RUN_DIR >> {folder}/told\n{script}', "sh")
    most = int(limits.get("bytes_max", 1000))
    return Maker(
        run_dir=folder / "run",
        command=command,
        timeout_s=limits.get("timeout_s", 20),
        bytes_max=most,
    )


async def test_it_is_asked_for_the_period_and_for_the_recipient(tmp_path: Path) -> None:
    makes = maker(tmp_path, f"case $1 in queues) echo '{ROWS}';; *) printf 'a;b';; esac")
    made = await makes.make(report(recipient="police", queue="passport"), DUE)
    assert made.content == b"a;b"
    assert made.summary == {"queue": None, "offered": 3}
    of = "--from 2026-11-27 --to 2026-11-28 --recipient police --queue passport"
    assert (tmp_path / "told").read_text(encoding="utf-8").splitlines() == [
        f"queues {of} --format json {tmp_path}/run",
        f"services {of} --format csv {tmp_path}/run",
    ]


async def test_no_contact_is_no_summary(tmp_path: Path) -> None:
    makes = maker(tmp_path, "case $1 in queues) echo '[]';; *) echo %PDF;; esac")
    made = await makes.make(report(format="pdf", language="en"), DUE)
    assert (made.content, made.summary) == (b"%PDF\n", None)
    assert "--format pdf --language en" in (tmp_path / "told").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no records >&2; exit 1", "gkc report queues .*: exit code 1: no records"),
        ("kill -9 $$", "exit code -9"),
        ("head -c 1001 /dev/zero", "more than 0 MiB: ask for less"),
        ("exec tail -f /dev/null", "not made within 1 s"),
    ],
)
async def test_what_goes_wrong_is_said(tmp_path: Path, script: str, said: str) -> None:
    # The shell needs some time before it hangs; the others end by themselves.
    timeout_s = 1 if "tail" in script else 20
    makes = maker(tmp_path, f"echo $$ > {tmp_path}/pid; {script}", timeout_s=timeout_s)
    with pytest.raises(MakingError, match=said):
        await makes.make(report(), DUE)
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_by_default_it_is_this_very_program() -> None:
    assert Maker(run_dir=Path()).command == (sys.executable, "-m", "gkc_engine", "report")
