"""Cross checks of ``ivr:``: every choice leads somewhere, every menu is reached, all ways end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gkc_engine.config.menu_model import ChoiceModel, MenuModel
from gkc_engine.config.problems import Path, shown

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings


def choices(menu: MenuModel) -> Iterator[tuple[Path, ChoiceModel]]:
    """Yield every choice of ``menu`` with its path in the menu; ``then`` after its article."""
    roots: list[tuple[Path, ChoiceModel]] = [
        (("choices", digit), choice) for digit, choice in menu.choices.items()
    ]
    roots.append((("on_timeout",), menu.on_timeout))
    if menu.on_invalid is not None:
        roots.append((("on_invalid",), menu.on_invalid))
    for path, root in roots:
        choice: ChoiceModel | None = root
        while choice is not None:
            yield path, choice
            path, choice = (*path, "then"), choice.then


def check_menus(findings: Findings) -> None:
    """Find wrong references, menus that nothing reaches, and ways on which silence never ends."""
    for name, menu in findings.config.ivr.items():
        base: Path = ("ivr", name)
        findings.refer_prompt(menu.prompt, (*base, "prompt"))
        findings.refer_prompt(menu.invalid, (*base, "invalid"))
        for path, choice in choices(menu):
            _choice(findings, (*base, *path), choice)
    if not any(p.path.startswith(("ivr.", "numbers.")) for p in findings.problems):
        _unreachable(findings)  # Else a misspelt name would make all behind it unreachable, too.
    _endless(findings)


def _choice(findings: Findings, path: Path, choice: ChoiceModel) -> None:
    findings.refer_prompt(choice.say, (*path, "say"))
    findings.refer_prompt(choice.article, (*path, "article"))
    findings.refer("ivr", choice.menu, (*path, "menu"))
    findings.refer("queues", choice.queue, (*path, "queue"))
    spoken = findings.config.center.languages
    if choice.language is not None and choice.language not in spoken:
        expected = "one of center.languages: " + ", ".join(spoken)
        findings.add((*path, "language"), shown(choice.language), expected)


def _unreachable(findings: Findings) -> None:
    menus = findings.config.ivr
    waiting = [number.ivr for number in findings.config.numbers.values() if number.ivr]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reached or name not in menus:
            continue
        reached.add(name)
        waiting += [choice.menu for _, choice in choices(menus[name]) if choice.menu]
    for name in menus:
        if name not in reached:
            found = "a menu that no number and no choice leads to"
            findings.add_key(("ivr", name), found, "a way to it, or no such menu")


def _endless(findings: Findings) -> None:
    """Who presses nothing, or only wrong digits, must come to a queue or to the call's end."""
    from gkc_engine.config.checks import find_cycle

    menus = findings.config.ivr
    graph = {
        name: [
            target
            for choice in (menu.on_timeout, menu.on_invalid)
            if choice is not None and (target := _next_menu(name, choice)) is not None
        ]
        for name, menu in menus.items()
    }
    cycle = find_cycle(graph)
    if cycle is not None:
        menu = menus[cycle[0]]
        by_silence = _next_menu(cycle[0], menu.on_timeout) == cycle[1]
        path: Path = ("ivr", cycle[0], "on_timeout" if by_silence else "on_invalid")
        found = f"a dead end, menus in a circle: {' → '.join(cycle)}"
        findings.add(path, found, "a way that ends in a queue or in hangup: true")


def _next_menu(name: str, choice: ChoiceModel) -> str | None:
    """Return the menu in which a silent citizen is after ``choice``, if in any."""
    while choice.article is not None:
        if choice.then is None:
            return name
        choice = choice.then
    return choice.menu
