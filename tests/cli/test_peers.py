"""Programs that tests need are unpacked, or it is said why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.cli._peers import unpacked
from gkc_engine.errors import GkcError

DOWNLOADS = 'case "$*" in *download*) : > peer_1_all.deb;; esac'
UNPACKS = 'mkdir -p usr/bin && : > usr/bin/tool; echo "$*" >> calls'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_package_is_unpacked_once(programs: Path, tmp_path: Path) -> None:
    program(programs, "apt-get", DOWNLOADS)
    program(programs, "dpkg-deb", UNPACKS)
    for _ in range(2):
        found = unpacked("peer", "tool", tmp_path / "peers")
        assert (found / "tool").is_file()
    calls = (tmp_path / "peers" / "peer" / "calls").read_text().splitlines()
    assert calls == ["-x peer_1_all.deb ."]
    assert list((tmp_path / "peers" / "peer").glob("*.deb")) == []


def test_why_it_cannot_be_had_is_said(programs: Path, tmp_path: Path) -> None:
    program(programs, "apt-get", "echo E: no network >&2; exit 100")
    with pytest.raises(GkcError, match="peer cannot be had: E: no network"):
        unpacked("peer", "tool", tmp_path / "peers")
    program(programs, "apt-get", DOWNLOADS)
    program(programs, "dpkg-deb", "echo broken archive >&2; exit 2")
    with pytest.raises(GkcError, match="peer cannot be unpacked: broken archive"):
        unpacked("peer", "tool", tmp_path / "peers")


def test_without_apt_it_is_said_too(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(GkcError, match=r"peer cannot be had: .*apt-get"):
        unpacked("peer", "tool", tmp_path / "peers")
