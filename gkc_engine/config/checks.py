"""Cross checks: what no single key can get wrong, but two together can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from gkc_engine.config.alert_checks import check_alerts
from gkc_engine.config.collector_checks import check_collector
from gkc_engine.config.federation import is_served_elsewhere, second_lines
from gkc_engine.config.federation_checks import check_federation
from gkc_engine.config.menu_checks import check_menus
from gkc_engine.config.models import Config, OperatorModel, QueueModel
from gkc_engine.config.outbound_checks import check_outbound
from gkc_engine.config.policy_checks import check_policy
from gkc_engine.config.problems import Path, Place, Problem, closest, problem, shown
from gkc_engine.config.report_checks import check_reports
from gkc_engine.config.second_line_checks import check_second_lines
from gkc_engine.config.source import Source
from gkc_engine.numbers import EMERGENCY_NUMBERS, NumberKind, normalise

TREATMENTS: Final = ("full", "closed", "emergency_closed", "timed_out", "unstaffed")


@dataclass(slots=True)
class Findings:
    """Collects what the checks find, at the places of the source."""

    config: Config
    source: Source
    folder: FilePath
    prompts: bool = True
    """Whether announcements matter; to a simulation they do not."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
    """Definitions that something refers to: ``("skills", "english")``."""

    def add(self, path: Path, found: str, expected: str, hint: str | None = None) -> None:
        """Record a problem of the value at ``path``."""
        place = self.source.place(path) or Place(str(self.folder))
        self.problems.append(problem(place, path, found, expected, hint))

    def add_key(self, path: Path, found: str, expected: str, hint: str | None = None) -> None:
        """Record a problem of the key at ``path``."""
        place = self.source.key_place(path) or Place(str(self.folder))
        self.problems.append(problem(place, path, found, expected, hint))

    def warn(self, path: Path, found: str, expected: str) -> None:
        """Record what is allowed but hardly meant."""
        place = self.source.key_place(path) or Place(str(self.folder))
        self.warnings.append(problem(place, path, found, expected))

    def where(self, path: Path) -> str:
        """Return ``FILE:LINE:COL`` of what stands at ``path``, for a problem elsewhere."""
        return str(self.source.place(path) or Place(str(self.folder)))

    def refer(self, section: str, name: str | None, path: Path, *, key: bool = False) -> None:
        """Check that ``name``, which stands at ``path``, is defined in ``section``."""
        if name is None:
            return
        known: Iterable[str] = getattr(self.config, section)
        if name in known:
            self.used.add((section, name))
            return
        (self.add_key if key else self.add)(
            path, shown(name), f"a name from {section}:", closest(name, known)
        )

    def refer_prompt(self, name: str | None, path: Path) -> None:
        """Check that a prompt is defined, or lies there as a sound in every language."""
        if not self.prompts:
            return
        languages = self.config.center.languages
        if name is None or name in self.config.prompts:
            self.refer("prompts", name, path)
            return
        if not all(self.has_sound(name, language) for language in languages):
            self.refer("prompts", name, path)

    def sound(self, name: str, language: str) -> FilePath:
        """Return where the sound of a prompt is to lie."""
        return self.folder / "prompts" / language / f"{name}.alaw"

    def has_sound(self, name: str, language: str) -> bool:
        """Return whether the sound of a prompt is there and not empty."""
        try:
            return self.sound(name, language).stat().st_size > 0
        except OSError:
            return False


def cross_check(config: Config, source: Source, folder: FilePath) -> Findings:
    """Return everything that is wrong between the sections of ``config``."""
    findings = Findings(config, source, folder)
    _numbers(findings)
    _emergency(findings)
    _doubled_operators(findings)
    check_outbound(findings)
    check_menus(findings)
    check_routing(findings)
    _retention(findings)
    for name in config.guardrails:
        findings.refer("queues", name, ("guardrails", name), key=True)
    check_alerts(findings)
    check_reports(findings)
    check_federation(findings)
    check_collector(findings)
    check_second_lines(findings)
    check_policy(findings)
    for name in config.thresholds.queues:
        findings.refer("queues", name, ("thresholds", "queues", name), key=True)
    _prompts(findings)
    if not findings.problems:
        _nobody_can_serve(findings)
        _unused(findings)
    return findings


def check_routing(findings: Findings) -> None:
    """Check what decides who gets which contact: queues, operators, skills, calendars."""
    for name, queue in findings.config.queues.items():
        _queue(findings, ("queues", name), queue)
    for name, operator in findings.config.operators.items():
        for skill in operator.skills:
            findings.refer("skills", skill, ("operators", name, "skills", skill), key=True)
    _blending(findings)
    _names_alike(findings)
    _cycles(findings)
    _never_open(findings)


def _numbers(findings: Findings) -> None:
    seen: dict[str, str] = {}
    for raw, number in findings.config.numbers.items():
        path = ("numbers", raw)
        normal = normalise(raw)
        if raw.strip() in EMERGENCY_NUMBERS:
            findings.add_key(path, f"the emergency number {raw}", "a number of the city's own")
        if normal.kind not in (NumberKind.E164, NumberKind.SHORT):
            findings.add_key(path, f"the key {shown(raw)}", "a number such as +74957777777")
        form = normal.e164 or raw.strip()
        if form in seen:
            found = f"{form} a second time"
            findings.add_key(path, found, f"each number once (it is also {shown(seen[form])})")
        seen.setdefault(form, raw)
        findings.refer("ivr", number.ivr, (*path, "ivr"))
        findings.refer("queues", number.queue, (*path, "queue"))
        _spoken(findings, number.language, (*path, "language"))
        if number.ivr is not None and number.answer == "operator":
            findings.warn(
                (*path, "answer"),
                "operator beside ivr",
                "menu: many networks carry no digits before the call is answered",
            )


def _emergency(findings: Findings) -> None:
    """112 and 101-104 are always allowed: say where they are not, or lead to a colleague."""
    config = findings.config
    if config.pbx.emergency_context is None:
        findings.warn(
            ("pbx",),
            "no emergency_context, so operators' phones refuse 112 and 101-104",
            "emergency_context: CONTEXT, where Asterisk has a way out for them",
        )
    for name, operator in config.operators.items():
        if operator.interface.removeprefix("PJSIP/") in EMERGENCY_NUMBERS:
            findings.warn(
                ("operators", name, "interface"),
                f"{operator.interface}, an emergency service's number",
                "another: who dials it means the service, not the colleague",
            )


def _retention(findings: Findings) -> None:
    """Masking needs to know where Asterisk's lists are."""
    config = findings.config
    if config.retention.legs is not None and config.pbx.cel is None:
        findings.add_key(
            ("retention", "legs"), "no pbx.cel", "pbx.cel: the path of Asterisk's legs.csv"
        )


def _spoken(findings: Findings, language: str | None, path: Path) -> None:
    spoken = findings.config.center.languages
    if language is not None and language not in spoken:
        findings.add(path, shown(language), "one of center.languages: " + ", ".join(spoken))


def _queue(findings: Findings, path: Path, queue: QueueModel) -> None:
    for skill in queue.require:
        findings.refer("skills", skill, (*path, "require", skill), key=True)
    for number, step in enumerate(queue.relax):
        for skill in step.require:
            where = (*path, "relax", number, "require", skill)
            findings.refer("skills", skill, where, key=True)
    findings.refer("services", queue.service, (*path, "service"))
    findings.refer("calendars", queue.hours, (*path, "hours"))
    findings.refer("queues", queue.fallback, (*path, "fallback"))
    findings.refer_prompt(queue.periodic_announce, (*path, "periodic-announce"))
    findings.refer_prompt(queue.record_notice, (*path, "record_notice"))
    for treatment in TREATMENTS:
        model = getattr(queue, treatment)
        findings.refer_prompt(model.say, (*path, treatment, "say"))
        findings.refer("queues", model.queue, (*path, treatment, "then"))
    _queue_warnings(findings, path, queue)


def _queue_warnings(findings: Findings, path: Path, queue: QueueModel) -> None:
    if queue.record == "always" and queue.record_notice is None:
        findings.warn((*path, "record"), "no record_notice", "a prompt that tells of the recording")
    needs: tuple[tuple[str, ...], ...] = (
        ("closed", "hours"),
        ("timed_out", "maxwait"),
        ("unstaffed", "maxwait_unstaffed", "joinempty", "leavewhenempty"),
    )
    if queue.at_closing == "leave" and queue.hours is None:
        findings.warn(
            (*path, "at_closing"), "leave without hours", "hours, for without them none ever end"
        )
    for treatment, *keys in needs:
        given = treatment in queue.model_fields_set
        if given and not any(getattr(queue, key) for key in keys):
            found = f"{treatment} without {keys[0]}"
            findings.warn(
                (*path, treatment), found, f"{keys[0]}, for without it this never applies"
            )


def meets(operator: OperatorModel, require: Mapping[str, int]) -> bool:
    """Return whether ``operator`` has every skill of ``require`` at its level at least."""
    return all(operator.skills.get(skill, 0) >= level for skill, level in require.items())


def _steps(queue: QueueModel) -> Iterator[Mapping[str, int]]:
    yield queue.require
    yield from (step.require for step in queue.relax)


def _nobody_can_serve(findings: Findings) -> None:
    operators = findings.config.operators.values()
    for name, queue in findings.config.queues.items():
        able = [o for o in operators if o.capacity.get(queue.medium, 0) > 0]
        if any(meets(o, step) for step in _steps(queue) for o in able):
            continue
        if name in second_lines(findings.config) and is_served_elsewhere(name, findings.config):
            continue
        findings.add_key(
            ("queues", name),
            "a queue that nobody can ever serve",
            "an operator who meets require or a step of relax",
        )


def _doubled_operators(findings: Findings) -> None:
    for key in ("interface", "pin"):
        seen: dict[str, str] = {}
        for name, operator in findings.config.operators.items():
            value = getattr(operator, key)
            if value is None:
                continue
            if value in seen:
                found = f"{value if key == 'interface' else 'a PIN'} a second time"
                expected = f"one of its own ({seen[value]} has it)"
                findings.add(("operators", name, key), found, expected)
            seen.setdefault(value, name)


def _blending(findings: Findings) -> None:
    """P8: a medium beside itself is a matter of capacity, and two cannot park each other."""
    rules = findings.config.center.blending
    for medium, rule in rules.items():
        for key in ("excludes", "interrupts"):
            if medium in getattr(rule, key):
                path = ("center", "blending", medium.value, key)
                findings.add(path, f"{medium} itself", "other media; capacity limits this one")
    graph = {m.value: [o.value for o in rule.interrupts if o is not m] for m, rule in rules.items()}
    cycle = find_cycle(graph)
    if cycle is not None:
        path = ("center", "blending", cycle[0], "interrupts")
        findings.add(path, f"media that interrupt each other: {' → '.join(cycle)}", "an order")


def _names_alike(findings: Findings) -> None:
    """Asterisk compares queue and endpoint names without regard to case."""
    for section in ("queues", "operators", "ivr", "prompts"):
        seen: dict[str, str] = {}
        for name in getattr(findings.config, section):
            first = seen.setdefault(name.casefold(), name)
            if first != name:
                expected = f"names that differ by more than case ({first} is there)"
                findings.add_key((section, name), shown(name), expected)


def _cycles(findings: Findings) -> None:
    queues = findings.config.queues
    fallbacks = {name: [("fallback", q.fallback)] for name, q in queues.items() if q.fallback}
    treatments = {
        name: [(f"{t}.then", getattr(q, t).queue) for t in TREATMENTS if getattr(q, t).queue]
        for name, q in queues.items()
    }
    for kind, graph in (("fallbacks", fallbacks), ("treatments", treatments)):
        cycle = find_cycle({n: [target for _, target in edges] for n, edges in graph.items()})
        if cycle is None:
            continue
        first = cycle[0]
        key = next(key for key, target in graph[first] if target == cycle[1])
        path = ("queues", first, *key.split("."))
        findings.add(path, f"{kind} in a circle: {' → '.join(cycle)}", "a way that ends")


def find_cycle(graph: Mapping[str, list[str]]) -> list[str] | None:
    """Return one circle of ``graph`` (first node repeated at its end), or ``None``."""
    done: set[str] = set()
    for start in graph:
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(graph.get(start, ())))]
        on_way = [start]
        while stack and start not in done:
            following = next(stack[-1][1], None)
            if following is None:
                stack.pop()
                done.add(on_way.pop())
            elif following in on_way:
                return [*on_way[on_way.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(graph.get(following, ()))))
                on_way.append(following)
    return None


def _never_open(findings: Findings) -> None:
    for name, calendar in findings.config.calendars.items():
        spans = [*calendar.week.values(), *calendar.dates.values()]
        if not any(spans) and not (calendar.holidays and calendar.holiday_hours):
            path = ("calendars", name)
            findings.add_key(path, "a calendar that never opens", "hours on at least one day")


def _prompts(findings: Findings) -> None:
    for name, prompt in findings.config.prompts.items():
        for language in findings.config.center.languages:
            path = ("prompts", name)
            if getattr(prompt, language) is None:
                findings.add_key((*path, language), "nothing", f"the words in {language}")
                continue
            if findings.config.tts is None and not findings.has_sound(name, language):
                found = f"no sound for {name} in {language}"
                file = findings.sound(name, language)
                findings.add_key((*path, language), found, f"the file {file}")


def _unused(findings: Findings) -> None:
    for section in ("skills", "services", "calendars", "prompts", "webhooks"):
        for name in getattr(findings.config, section):
            if (section, name) not in findings.used:
                findings.warn((section, name), "a name that nothing uses", "a use, or no such line")
