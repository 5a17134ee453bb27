"""Cross checks of ``collector:`` and ``federation.records``: centers that are known, ways apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.config.federation import members
from gkc_engine.config.federation_checks import warn_of_clear_password
from gkc_engine.config.problems import Path, closest, shown

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings


def check_collector(findings: Findings) -> None:
    """Check what brings the records to the city; nothing of it in a center that is alone."""
    config = findings.config
    federation, collector = config.federation, config.collector
    if collector is None:
        return
    if federation is None:
        found = "collector without federation"
        findings.add_key(("collector",), found, "the section federation: the centers of the city")
        return
    known = members(config)
    for name in collector.centers:
        if name not in known:
            expected = "a name from federation.centers"
            path: Path = ("collector", "centers", name)
            findings.add_key(path, shown(name), expected, closest(name, list(known)))
    for name in known:
        if name not in collector.centers:
            found = f"no {name}"
            findings.warn(("collector", "centers"), found, "every center of federation.centers")
    warn_of_clear_password(findings, ("collector", "nats"), collector.nats, collector.tls)
    own, city = config.store, collector.store
    if city.url is not None and city.url == own.url:
        path = ("collector", "store", "url")
        findings.add(path, "the center's own store", "one of its own: another database or schema")
    if city.url is None and own.url is None and city.path == own.path:
        path = ("collector", "store", "path")
        findings.add(path, f"{city.path}, the center's own store", "another file")
