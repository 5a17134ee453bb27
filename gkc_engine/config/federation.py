"""The config in the terms of ``gkc_engine.federation``: the tree, the rules, the ways to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gkc_engine.acd.settings import Medium
from gkc_engine.bus.config import records_user
from gkc_engine.config.federation_model import ALL, RELATIONS, OverflowRuleModel, host_and_port
from gkc_engine.config.models import Config
from gkc_engine.config.secrets import resolve_secret
from gkc_engine.config.store import store_name
from gkc_engine.errors import ConfigError
from gkc_engine.federation.settings import (
    CenterLevel,
    CenterStatus,
    CollectorSettings,
    FederationSettings,
    LinkSettings,
    OverflowRule,
    ShipperSettings,
    Trunk,
)
from gkc_engine.ids import QueueId

KEEP_ALL_FREE: Final = 1_000_000
"""More operators than any center has: nobody is left for guests."""

TOKEN_KEY_CHARS_MIN: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A center of the city, as the config has it."""

    name: str
    level: CenterLevel | None
    parent: str | None
    status: CenterStatus
    trunk: str | None
    """``HOST:PORT``, as written."""


def members(config: Config) -> dict[str, Member]:
    """Return every center that the config names, in its order; this one is always among them.

    What ``center:`` does not say of this one is taken from its entry in ``federation.centers``.
    """
    federation = config.federation
    found = {
        name: Member(
            name=name,
            level=entry.level,
            parent=entry.parent,
            status=entry.status,
            trunk=entry.trunk,
        )
        for name, entry in (federation.centers.items() if federation is not None else ())
    }
    center = config.center
    entry = found.get(center.name)
    found[center.name] = Member(
        name=center.name,
        level=center.level or (entry.level if entry else None),
        parent=center.parent or (entry.parent if entry else None),
        status=center.status or (entry.status if entry else CenterStatus.LIVE),
        trunk=entry.trunk if entry else None,
    )
    return found


def related(word: str, own: Member, known: Mapping[str, Member]) -> tuple[str, ...]:
    """Return the centers that ``word`` means to ``own``: one by its name, or by relation."""
    match word:
        case "parent":
            return (own.parent,) if own.parent is not None else ()
        case "children":
            return tuple(m.name for m in known.values() if m.parent == own.name)
        case "siblings":
            return tuple(
                m.name
                for m in known.values()
                if m.parent == own.parent is not None and m.name != own.name
            )
        case _:
            return (word,)


def asked(rule: OverflowRuleModel, own: Member, known: Mapping[str, Member]) -> tuple[str, ...]:
    """Return the centers that ``own`` asks by ``rule``, each once; none: it does not apply here.

    Planned ones are left out.
    """
    if own.level not in rule.levels:
        return ()
    names = dict.fromkeys(name for word in rule.to for name in related(word, own, known))
    return tuple(
        name
        for name in names
        if name != own.name and name in known and known[name].status is not CenterStatus.PLANNED
    )


def queues_of(rule: OverflowRuleModel, config: Config) -> frozenset[QueueId]:
    """Return the queues that ``rule`` is of: of calls only, for only they can be sent."""
    return frozenset(
        QueueId(name)
        for name, queue in config.queues.items()
        if queue.medium is Medium.VOICE and (rule.queues == (ALL,) or name in rule.queues)
    )


def second_lines(config: Config) -> frozenset[QueueId]:
    """Return the queues that are the second line of a service."""
    lines = (service.second_line for service in config.services.values())
    return frozenset(QueueId(line) for line in lines if line is not None)


def is_served_elsewhere(queue: str, config: Config) -> bool:
    """Return whether a rule asks other centers for operators for this queue's contacts."""
    if config.federation is None:
        return False
    known = members(config)
    own = known[config.center.name]
    rules = (rule for rule in config.overflow if queue in queues_of(rule, config))
    return any(asked(rule, own, known) for rule in rules)


def federation_settings(config: Config) -> FederationSettings | None:
    """Return how this center takes part; ``None``: it runs alone."""
    federation = config.federation
    if federation is None:
        return None
    known = members(config)
    own = known[config.center.name]
    planned = own.status is CenterStatus.PLANNED
    return FederationSettings(
        center=own.name,
        rules=() if planned else tuple(_rules(config, own, known)),
        peers=tuple(m.name for m in _others(own, known)),
        planned=tuple(
            name
            for name, member in known.items()
            if member.status is CenterStatus.PLANNED and name != own.name
        ),
        own_planned=planned,
        keep_free=KEEP_ALL_FREE if planned else federation.keep_free,
        own_sl_min_milli=_milli(federation.sl_min),
        second_lines=frozenset() if planned else second_lines(config),
    )


def link_settings(config: Config, folder: Path) -> LinkSettings | None:
    """Return how NATS is reached; ``None``: the center runs alone.

    Raises:
        ConfigError: The password's reference leads nowhere. Shows no secret.
    """
    federation = config.federation
    if federation is None:
        return None
    tls = federation.tls
    return LinkSettings(
        urls=federation.nats,
        user=federation.user,
        password=None if federation.secret is None else resolve_secret(federation.secret, folder),
        ca=_under(folder, tls.ca if tls else None),
        cert=_under(folder, tls.cert if tls else None),
        key=_under(folder, tls.key if tls else None),
    )


def shipper_settings(config: Config, folder: Path) -> ShipperSettings | None:
    """Return where this center's records are sent; ``None``: nowhere.

    Raises:
        ConfigError: The secret's reference leads nowhere. Shows no secret.
    """
    federation = config.federation
    if federation is None or federation.records is None:
        return None
    link = link_settings(config, folder)
    assert link is not None, "there is a federation"
    records = federation.records
    bus = replace(link, user=records.user, password=resolve_secret(records.secret, folder))
    return ShipperSettings(center=config.center.name, bus=bus)


def collector_settings(config: Config, folder: Path, state: Path) -> CollectorSettings:
    """Return what the city's collector works with.

    Raises:
        ConfigError: The config has no ``collector``, or a secret's reference leads nowhere.
    """
    collector = config.collector
    if collector is None:
        raise ConfigError(
            f"{folder}: no section collector: the city's collector needs the hub (nats) and the "
            "secrets of the centers' records (centers)"
        )
    tls = collector.tls
    buses = {
        name: LinkSettings(
            urls=collector.nats,
            user=records_user(name),
            password=resolve_secret(secret, folder),
            ca=_under(folder, tls.ca if tls else None),
            cert=_under(folder, tls.cert if tls else None),
            key=_under(folder, tls.key if tls else None),
        )
        for name, secret in collector.centers.items()
    }
    page = collector.metrics
    return CollectorSettings(
        buses=buses,
        store=store_name(collector.store, state),
        timezone=config.center.timezone,
        metrics=None if page is None else (page.host, page.port),
    )


def trunks(config: Config) -> tuple[Trunk, ...]:
    """Return the ways to the other centers; none to a planned one, nor from one that is."""
    known = members(config)
    own = known[config.center.name]
    if own.status is CenterStatus.PLANNED:
        return ()
    found = []
    for member in _others(own, known):
        assert member.trunk is not None, "the checks ask for it"
        host, port = host_and_port(member.trunk)
        found.append(Trunk(center=member.name, host=host, port=port))
    return tuple(found)


def token_key(config: Config, folder: Path) -> str | None:
    """Return the key that signs contact tokens; ``None``: the center runs alone.

    Raises:
        ConfigError: Its reference leads nowhere, or to less than can be a key. Shows no secret.
    """
    if config.federation is None:
        return None
    reference = config.federation.token_key
    key = resolve_secret(reference, folder)
    if len(key) < TOKEN_KEY_CHARS_MIN:
        raise ConfigError(
            f"federation.token_key: {reference}: {len(key)} characters, expected at least "
            f"{TOKEN_KEY_CHARS_MIN}, the same in every center; make one: openssl rand -hex 32"
        )
    return key


def _rules(config: Config, own: Member, known: Mapping[str, Member]) -> Iterator[OverflowRule]:
    for rule in config.overflow:
        to = asked(rule, own, known)
        queues = queues_of(rule, config)
        if not to or not queues:
            continue
        yield OverflowRule(
            queues=queues,
            to=to,
            after_us=rule.after,
            gain_min_us=rule.gain_min,
            donor_sl_min_milli=_milli(rule.donor_sl_min),
            prefer=own.parent if rule.prefer == RELATIONS[0] else rule.prefer,
            penalties_us=dict(rule.penalties),
        )


def _others(own: Member, known: Mapping[str, Member]) -> Iterator[Member]:
    for member in known.values():
        if member.name != own.name and member.status is not CenterStatus.PLANNED:
            yield member


def _milli(share: float) -> int:
    return round(share * 1000)


def _under(folder: Path, path: str | None) -> str | None:
    return None if path is None else str(folder / path)
