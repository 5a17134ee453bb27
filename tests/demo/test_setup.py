from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.config.hours import is_open
from gkc_engine.config.loader import check, load_config
from gkc_engine.demo.city import Ports
from gkc_engine.demo.setup import RING_S, moved_ports, quicker
from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.demo.world import OutsideWorld
from gkc_engine.ids import SECOND, Instant
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.ports import free_udp_range, udp_ports_held

CONFIG = Path(__file__).parents[2] / "config"
MOSCOW = ZoneInfo("Europe/Moscow")
TINY = Path(__file__).parents[1] / "config" / "cities" / "tiny"


@pytest.mark.parametrize("source", [CONFIG, TINY])
def test_a_copy_says_the_same_and_has_our_ports(tmp_path: Path, source: Path) -> None:
    def ours(name: str, document: Document) -> None:
        document.pop("pbx", None)
        if name == "pbx.yaml":
            ami = {"host": "127.0.0.1", "port": 15038, "user": "gkc", "secret": "env:X"}
            document["pbx"] = {"ami": ami}

    folder = copy_tree(source, tmp_path / "copy", ours)
    assert check(folder) == []
    before, after = load_config(source), load_config(folder)
    assert after.pbx.ami.port == 15038
    assert after.model_copy(update={"pbx": before.pbx, "version": before.version}) == before


def test_comments_stay_for_those_who_learn_from_them(tmp_path: Path) -> None:
    folder = copy_tree(CONFIG, tmp_path / "copy", lambda _name, document: quicker(document))
    assert "# who may answer" in (folder / "queues.yaml").read_text()


def test_the_demo_looks_the_same_at_night_and_on_a_holiday(tmp_path: Path) -> None:
    folder = copy_tree(CONFIG, tmp_path / "copy", lambda _name, document: quicker(document))
    config = load_config(folder)
    assert any(queue.hours for queue in config.queues.values())
    new_year = Instant(1_798_750_800 * SECOND)  # 2027-01-01 00:00 in Moscow
    for calendar in config.calendars.values():
        assert all(
            is_open(calendar, MOSCOW, Instant(new_year + hour * 3600 * SECOND))
            for hour in range(48)
        )
    assert {queue.timeout for queue in config.queues.values()} == {RING_S * SECOND}


def test_a_taken_port_is_replaced_and_its_holder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        free = Ports.free(preferred=False)
        usual = Ports(sip=free.sip, ami=port, agi=free.agi, metrics=free.metrics)
        monkeypatch.setattr(Ports, "usual", classmethod(lambda _cls: usual))
        monkeypatch.setattr("gkc_engine.demo.city.RTP_STARTS", (usual.rtp_start,))
        chosen = Ports.free()
        assert (chosen.sip, chosen.agi, chosen.metrics) == (usual.sip, usual.agi, usual.metrics)
        assert chosen.ami != port
        (said,) = moved_ports(chosen)
    assert said.startswith(f"port {port} (AMI) is held by ")
    assert said.endswith(f"): taking {chosen.ami}")


def test_the_phones_port_too_is_replaced_and_its_holder_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        monkeypatch.setattr("gkc_engine.demo.setup.PHONES_PORT", port)
        monkeypatch.setattr("gkc_engine.demo.world.PHONES_PORT", port)
        install = Install(how="none", version="22.0", command=(), modules=Path(), data=Path())
        world = OutsideWorld(install, tmp_path)
        assert world.sip_port != port
        (said,) = moved_ports(Ports.usual(), world.sip_port)
    assert said.startswith(f"port {port} (phones) is held by ")
    assert said.endswith(f"(pid {os.getpid()}): taking {world.sip_port}")


def test_rtp_ports_of_which_one_is_held_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        quiet = next(n for n in range(1024, 60000) if not {*range(n, n + 4)} & udp_ports_held())
        assert free_udp_range((port - 1, quiet), 4) == quiet
        assert free_udp_range((port + 1, quiet), 4) in (port + 1, quiet)
        monkeypatch.setattr("gkc_engine.demo.city.RTP_STARTS", (port - 5, quiet))
        monkeypatch.setattr("gkc_engine.demo.city.RTP_PORTS", 6)
        ports = Ports.free(preferred=False)
        assert ports.rtp_start == quiet
        usual = dataclasses.replace(ports, rtp_start=port - 5)
        monkeypatch.setattr(Ports, "usual", classmethod(lambda _cls: usual))
        (said,) = moved_ports(ports)
    assert said == (
        f"of the ports {port - 5} to {port} (RTP) some are held: taking {quiet} to {quiet + 5}"
    )
