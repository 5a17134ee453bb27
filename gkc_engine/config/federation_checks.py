"""Cross checks of ``federation:`` and ``overflow:``: one tree, names that are known, ways apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gkc_engine.acd.settings import Medium
from gkc_engine.config.federation import Member, asked, members, queues_of
from gkc_engine.config.federation_model import (
    ALL,
    CENTER_WORDS,
    RELATIONS,
    FederationModel,
    LinkTlsModel,
    OverflowRuleModel,
    host_and_port,
    is_center_name,
)
from gkc_engine.config.problems import Path, closest, shown
from gkc_engine.config.schema import duration_text
from gkc_engine.federation.messages import QUEUES_MAX
from gkc_engine.federation.settings import CenterLevel, CenterStatus
from gkc_engine.ids import QueueId

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings

LEVELS: Final = tuple(CenterLevel)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def check_federation(findings: Findings) -> None:
    """Check the tree of centers and who is sent where; nothing of it in a center that is alone."""
    config = findings.config
    if config.federation is None:
        if config.overflow:
            found = "overflow without federation"
            findings.add_key(("overflow",), found, "the section federation: the other centers")
        if config.center.parent is not None:
            found = f"{config.center.parent} without federation"
            expected = "federation:, for without it this center runs alone"
            findings.warn(("center", "parent"), found, expected)
        return
    known = members(config)
    _own(findings, config.federation)
    _names(findings, known)
    _tree(findings, known)
    _trunks(findings, known)
    _link(findings, config.federation)
    _queues(findings)
    _rules(findings, known)


def _own(findings: Findings, federation: FederationModel) -> None:
    """What ``center:`` and the file of all centers say of this one must be the same."""
    center = findings.config.center
    if not is_center_name(center.name):
        hint = center.name.lower()
        findings.add(("center", "name"), shown(center.name), CENTER_WORDS, hint)
    entry = federation.centers.get(center.name)
    if entry is None:
        # A wrong one is told already.
        if center.level is None and findings.source.value(("center", "level")) is None:
            expected = f"level: {', '.join(LEVELS)}; or federation.centers.{center.name}"
            findings.add_key(("center", "level"), "no level beside federation", expected)
        return
    for key in ("level", "parent", "status"):
        ours, theirs = getattr(center, key), getattr(entry, key)
        if ours is not None and ours != theirs:
            there: Path = ("federation", "centers", center.name, key)
            expected = f"{theirs or 'none'} as in {findings.where(there)}, or no such line"
            findings.add(("center", key), shown(ours), expected)


def _path(findings: Findings, name: str, key: str) -> Path:
    """Return where ``key`` of a center stands: that of our own most often in ``center:``."""
    center = findings.config.center
    if name == center.name and getattr(center, key, None) is not None:
        return ("center", key)
    return ("federation", "centers", name, key)


def _names(findings: Findings, known: dict[str, Member]) -> None:
    for name in known:
        if name in RELATIONS:
            path: Path = ("federation", "centers", name)
            if name == findings.config.center.name:
                path = ("center", "name")
            expected = f"a name that is none of {', '.join(RELATIONS)}: in to they have a meaning"
            findings.add_key(path, shown(name), expected)


def _tree(findings: Findings, known: dict[str, Member]) -> None:
    from gkc_engine.config.checks import find_cycle

    circle = find_cycle({m.name: [m.parent] for m in known.values() if m.parent is not None})
    if circle is not None:
        path = _path(findings, circle[0], "parent")
        found = f"parents in a circle: {' → '.join(circle)}"
        findings.add(path, found, "a way up that ends in the city")
    for member in known.values():
        parent = known.get(member.parent or "")
        path = _path(findings, member.name, "parent")
        if member.parent is not None and parent is None:
            _unknown_center(findings, path, member.parent, known)
        if parent is None or circle is not None or member.level is None or parent.level is None:
            continue
        if LEVELS.index(parent.level) >= LEVELS.index(member.level):
            above = LEVELS[: LEVELS.index(member.level)]
            expected = f"a center of level {' or '.join(above)}" if above else "no parent"
            found = f"{shown(parent.name)}, level {parent.level}, above level {member.level}"
            findings.add(path, found, expected)
    cities = [m.name for m in known.values() if m.level is CenterLevel.CITY]
    for name in cities[1:]:
        expected = f"one center of level city ({cities[0]} is it)"
        findings.add(_path(findings, name, "level"), "a second city", expected)


def _unknown_center(
    findings: Findings,
    path: Path,
    name: str,
    known: dict[str, Member],
    words: tuple[str, ...] = (),
    *,
    key: bool = False,
) -> None:
    expected = "a name from federation.centers" + "".join(f", {word}" for word in words)
    add = findings.add_key if key else findings.add
    add(path, shown(name), expected, closest(name, [*known, *words]))


def _trunks(findings: Findings, known: dict[str, Member]) -> None:
    taken: dict[tuple[str, int], str] = {}
    for member in known.values():
        path: Path = ("federation", "centers", member.name, "trunk")
        if member.trunk is None:
            planned = member.status is CenterStatus.PLANNED
            wrong = findings.source.value(path) is not None  # And told already.
            if member.name != findings.config.center.name and not planned and not wrong:
                expected = "trunk: HOST:PORT where its Asterisk takes our calls, or status: planned"
                findings.add_key(path, "no trunk", expected)
            continue
        first = taken.setdefault(host_and_port(member.trunk), member.name)
        if first != member.name:
            there = findings.where(("federation", "centers", first, "trunk"))
            expected = f"one of its own ({first} has it, {there})"
            findings.add(path, f"{member.trunk} a second time", expected)


def _link(findings: Findings, federation: FederationModel) -> None:
    if federation.user is not None or federation.records is not None:
        warn_of_clear_password(findings, ("federation", "nats"), federation.nats, federation.tls)


def warn_of_clear_password(
    findings: Findings, key: Path, urls: Sequence[str], tls: LinkTlsModel | None
) -> None:
    """Warn of a password that would cross the network as it is."""
    if tls is not None:
        return
    for number, url in enumerate(urls):
        scheme, _, rest = url.partition("://")
        host = rest if rest.endswith("]") else rest.rpartition(":")[0] or rest
        if scheme == "nats" and host not in _LOOPBACK:
            single = isinstance(findings.source.value(key), str)
            findings.warn(
                key if single else (*key, number),
                "nats:// beside user, to another machine",
                "tls:// or the section tls: the password would cross the network in clear",
            )


def _queues(findings: Findings) -> None:
    queues = findings.config.queues
    calls = [name for name, queue in queues.items() if queue.medium is Medium.VOICE]
    if len(calls) > QUEUES_MAX:
        expected = f"at most {QUEUES_MAX} beside federation: so many fit what centers tell"
        findings.add_key(("queues",), f"{len(calls)} queues of calls", expected)


def _rules(findings: Findings, known: dict[str, Member]) -> None:
    config = findings.config
    own = known[config.center.name]
    if config.overflow and ALL in config.queues:
        expected = "another name beside overflow: there all means every queue"
        findings.add_key(("queues", ALL), f"a queue {ALL}", expected)
    ruled: set[QueueId] = set()
    for number, rule in enumerate(config.overflow):
        path: Path = ("overflow", number)
        _rule_queues(findings, path, rule)
        _rule_centers(findings, path, rule, own, known)
        if not asked(rule, own, known):
            continue
        queues = queues_of(rule, config)
        if queues and queues <= ruled:
            findings.warn(
                path,
                "a rule that never applies: rules before it have all its queues",
                "one of queues that have no rule yet; the first that applies holds",
            )
        _in_time(findings, (*path, "after"), rule, queues - ruled)
        ruled |= queues


def _in_time(
    findings: Findings, path: Path, rule: OverflowRuleModel, queues: frozenset[QueueId]
) -> None:
    for name in sorted(queues):
        limit = findings.config.queues[name].maxwait
        if limit is not None and limit <= rule.after:
            findings.warn(
                path,
                f"{duration_text(rule.after)}, and queues.{name}.maxwait is"
                f" {duration_text(limit)}: who came to that queue first is never sent",
                f"less than {duration_text(limit)}",
            )


def _rule_queues(findings: Findings, path: Path, rule: OverflowRuleModel) -> None:
    if rule.queues == (ALL,):
        return
    for number, name in enumerate(rule.queues):
        where: Path = (*path, "queues", number)
        findings.refer("queues", name, where)
        queue = findings.config.queues.get(name)
        if queue is not None and queue.medium is not Medium.VOICE:
            found = f"{shown(name)}, a queue of {queue.medium}"
            findings.add(where, found, "a queue of calls: only they go to other centers")


def _rule_centers(
    findings: Findings,
    path: Path,
    rule: OverflowRuleModel,
    own: Member,
    known: dict[str, Member],
) -> None:
    applies = own.level in rule.levels
    for number, name in enumerate(rule.to):
        where: Path = (*path, "to", number)
        if name not in RELATIONS and name not in known:
            _unknown_center(findings, where, name, known, RELATIONS)
        if name == own.name and applies:
            expected = "other centers; in a file that several share: siblings, children, or levels"
            findings.add(where, f"{name}, the center itself", expected)
    for name in rule.penalties:
        if name not in known:
            _unknown_center(findings, (*path, "penalties", name), name, known, key=True)
    _preferred(findings, (*path, "prefer"), rule, own, known)


def _preferred(
    findings: Findings,
    path: Path,
    rule: OverflowRuleModel,
    own: Member,
    known: dict[str, Member],
) -> None:
    if rule.prefer is None:
        return
    if rule.prefer != "parent" and rule.prefer not in known:
        _unknown_center(findings, path, rule.prefer, known, ("parent",))
        return
    preferred = known.get(own.parent or "") if rule.prefer == "parent" else known[rule.prefer]
    if preferred is None or preferred is own or preferred.status is CenterStatus.PLANNED:
        return
    to = asked(rule, own, known)
    if to and preferred.name not in to:
        found = f"{rule.prefer}, which to does not name"
        findings.warn(path, found, "a center among those of to")
