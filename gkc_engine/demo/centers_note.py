"""What ``demo.json`` says of several centers: of the first as of an only one, then of each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from gkc_engine.demo import note
from gkc_engine.demo.centers_net import Net
from gkc_engine.demo.setup import CITIZEN
from gkc_engine.demo.site import Site
from gkc_engine.demo.world import OutsideWorld


def pids(sites: Mapping[str, Site], net: Net, world: OutsideWorld) -> dict[str, int | None]:
    """Return all processes by what they are; ``engine`` is the first center's."""
    first = next(iter(sites.values()))
    each = {
        f"{name} {what}": pid for name, site in sites.items() for what, pid in site.pids().items()
    }
    return {
        "demo": os.getpid(),
        **first.pids(),
        "outside": world.asterisk.pid,
        **each,
        **net.pids(),
    }


def about(sites: Mapping[str, Site], net: Net, world: OutsideWorld) -> dict[str, Any]:
    """Return where everything is, and how one takes part."""
    first = next(iter(sites.values()))
    return {
        "ports": {
            **dataclasses.asdict(first.city.ports),
            "outside_sip": world.sip_port,
            "outside_ami": world.ami.port,
            "hub": net.hub_port,
        },
        "citizen": {"user": CITIZEN, "password": first.password, "dial": first.number},
        "calls": str(world.asterisk.calls_csv),
        **first.note(),
        "centers": {name: _center(name, site, net) for name, site in sites.items()},
    }


def _center(name: str, site: Site, net: Net) -> dict[str, Any]:
    return {
        note.PIDS: {**site.pids(), "leaf": net.leaves[name].pid},
        "ports": {
            **dataclasses.asdict(site.city.ports),
            "leaf": net.leaf_ports[name],
            "trunks": net.trunks(name),
        },
        "run": site.options.run,
        "calls": str(site.city.asterisk.calls_csv),
        **site.note(),
    }
