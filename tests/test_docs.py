"""The documents and the code agree: links, commands, options, config keys, words, decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML
from typer._click import Command  # Typer's own copy of click.

from gkc_engine.__main__ import COMMANDS, _load
from gkc_engine.acd.commands import Disposition
from gkc_engine.config.explain import keys_of
from gkc_engine.config.models import Config
from gkc_engine.config.schema import json_schema
from gkc_engine.simulation.model import ScenarioModel
from gkc_engine.statistics.figures import Counts

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "asterisk" / "README.md",
    ]
)
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))

Tree: TypeAlias = Any
"""What YAML gives: dicts, lists, scalars."""

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!\!)\[[^\]\n]+\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    return FENCE.sub("", text)


# --- links ----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """GitHub's: lower case, punctuation dropped, blanks to hyphens."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for target in LINK.findall(prose(text)):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else (page.parent / name).resolve()
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_every_document_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    targets = LINK.findall(index.read_text(encoding="utf-8"))
    listed = {(index.parent / t.split("#")[0]).resolve() for t in targets}
    documents = {p.resolve() for p in (ROOT / "docs").rglob("*.md")} - {index}
    assert documents - listed == set()


# --- commands -------------------------------------------------------------------------------------


def code_lines(text: str) -> Iterator[str]:
    """Every line of a shell-like block, and every piece of code in the prose."""
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "console"):
            yield from block.splitlines()
    yield from CODE.findall(prose(text))


CALL = re.compile(r"(?:^|[\s(]|\./|bin/)gkc ((?:[a-z]+|-)[^#`|;]*)")


def calls(text: str) -> Iterator[list[str]]:
    """The words after ``gkc`` wherever it is called; log lines and sentences are none."""
    for line in code_lines(text):
        match = CALL.search(line.strip().removeprefix("$ "))
        if match and not line.strip().startswith(("written ", "gkc:", ";", "#", "|")):
            yield match[1].removeprefix("--city ").split()


def options_of(command: Command) -> set[str]:
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}


def wrong_call(words: list[str]) -> str | None:
    """Return what of a call the program does not know; None when all is well."""
    name, *rest = words
    if name not in COMMANDS:
        return f"no command {name}"
    command: Any = _load(name)
    while rest and re.fullmatch(r"[a-z]+", rest[0]) and hasattr(command, "commands"):
        children: dict[str, Any] = command.commands
        name, *rest = rest
        if name not in children:
            return f"no command {words[0]} {name}"
        command = children[name]
    known = options_of(command) | {"--help", "--"}
    for word in rest:
        option = word.strip("[]").split("=")[0]
        if option.startswith("--") and option not in known:
            return f"{' '.join(words)}: no option {option}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_exist_with_their_options(page: Path) -> None:
    found = [wrong_call(words) for words in calls(page.read_text(encoding="utf-8"))]
    assert [problem for problem in found if problem] == []


def test_every_command_is_told_in_the_documents() -> None:
    told = {tuple(w[:2]) for p in PAGES for w in calls(p.read_text(encoding="utf-8"))}
    untold = []
    for name in COMMANDS:
        children = getattr(_load(name), "commands", {})
        untold += [
            f"{name} {child or ''}".strip()
            for child in children or [None]
            if not any(w[0] == name and child in (None, *w[1:2]) for w in told)
        ]
    assert untold == []


# --- config ---------------------------------------------------------------------------------------


@cache
def known_keys() -> set[str]:
    models = {**json_schema()["$defs"], **ScenarioModel.model_json_schema()["$defs"]}
    keys = {k for model in models.values() for k in model.get("properties", {})}
    return keys | set(keys_of(Config)) | set(keys_of(ScenarioModel))


def examples(text: str) -> Iterator[Tree]:
    for language, block in FENCE.findall(text):
        if language == "yaml":
            yield YAML(typ="safe").load(block)


def keys_in(tree: Tree, names: Callable[[str], bool]) -> Iterator[str]:
    """Keys of a config example that are ours to define: not names of queues, skills, prompts."""
    if isinstance(tree, list):
        for item in tree:
            yield from keys_in(item, names)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            inner = value
            if names(str(key)) and isinstance(value, dict):
                entries = [v for v in value.values() if isinstance(v, dict)]
                inner = entries
            if key not in ("require", "skills"):
                yield from keys_in(inner, names)


NAMED_BY_PEOPLE = frozenset(
    (
        *("queues", "operators", "prompts", "services", "skills", "ivr", "calendars", "numbers"),
        *("pools", "traffic", "guardrails", "files", "recipients", "centers", "penalties", "week"),
    )
)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_examples_use_keys_of_the_config(page: Path) -> None:
    known = known_keys()
    used = {
        key
        for tree in examples(page.read_text(encoding="utf-8"))
        for key in keys_in(tree, NAMED_BY_PEOPLE.__contains__)
    }
    assert used - known - {"voice", "ru", "en"} == set()


DOTTED = re.compile(
    r"^(center|federation|pbx|queues|operators|store|metrics|recording|tts)\.([a-z_.-]+)$"
)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_dotted_keys_are_keys_of_the_config(page: Path) -> None:
    known = known_keys()
    unknown = []
    for piece in CODE.findall(prose(page.read_text(encoding="utf-8"))):
        match = DOTTED.match(piece.split(":")[0])
        file = piece.endswith((".yaml", ".py", ".conf"))
        if match and not file and match[2].split(".")[-1] not in known:
            unknown.append(piece)
    assert unknown == []


def rows(text: str, columns: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("| ") and len(cells) == columns and not set(line) <= set("| -"):
            yield cells


def test_tuning_names_keys_of_the_config() -> None:
    text = (ROOT / "docs" / "howto" / "tune-a-queue.md").read_text(encoding="utf-8")
    table = text.split("## What is wrong")[1].split("\n## ")[0]
    known, values = known_keys(), {"no_answer", "strategy: spare-specialists"}
    advice = [code for _, right in rows(table, 2) for code in CODE.findall(right)]
    keys = {a.split(".")[-1] for a in advice if a not in values and not a.startswith("gkc ")}
    assert keys - known == set()
    assert len(keys) >= 10


# --- words, figures, decisions --------------------------------------------------------------------


def test_each_term_stands_once_in_the_glossary_and_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [cells[0] for cells in rows(text.split("\n## ")[0], 4)][1:]
    plain = [re.sub(r"[`:]", "", t).lower() for t in terms]
    assert len(plain) > 40
    assert len(set(plain)) == len(plain)
    assert plain == sorted(plain)


def test_figures_name_every_disposition_and_count() -> None:
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    section = text.split("## Dispositions")[1].split("\n## ")[0]
    assert {cells[0].strip("`") for cells in rows(section, 2)} - {"disposition"} == {
        d.value for d in Disposition
    }
    counted = {"answered", "abandoned", "abandoned_short"}
    assert counted <= {f for f in Counts.__dataclass_fields__ if f"`{f}`" in text}


def test_decisions_have_numbers_of_their_own_and_are_indexed() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    numbers = [p.name[:4] for p in ADRS]
    assert numbers == [f"{n:04d}" for n in range(1, len(ADRS) + 1)]
    for page in ADRS:
        lines = page.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {page.name[:4]} ")
        assert f"[{page.name[:4]}](adr/{page.name})" in index
        headings = [line for line in lines if line.startswith("## ")]
        assert [h.split()[1] for h in headings] == [
            "Context",
            "Decision",
            "Rejected",
            "Consequences",
        ]
        assert 10 <= len(lines) <= 40, page.name


@pytest.mark.parametrize("folder", ["gkc_engine", "tests", "bench", "scripts"])
def test_the_code_cites_decisions_and_pages_that_exist(folder: str) -> None:
    numbers = {p.name[:4] for p in ADRS}
    missing = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        missing += [
            f"{named(file)}: ADR {n}" for n in re.findall(r"ADR (\d{4})", text) if n not in numbers
        ]
        pages = re.findall(r"(?:docs|asterisk)/[\w/-]+\.md", text)
        missing += [f"{named(file)}: {p}" for p in pages if not (ROOT / p).is_file()]
    assert missing == []


# --- the checks themselves ------------------------------------------------------------------------


def test_a_wrong_link_command_or_option_is_found() -> None:
    assert broken_links(ROOT / "README.md", "[a](nothing.md) [b](#no-such)") == [
        "nothing.md",
        "#no-such",
    ]
    assert [wrong_call(w) for w in calls("`gkc agent wake ivanova`")] == ["no command agent wake"]
    assert [wrong_call(w) for w in calls("```\ngkc dance --now\n```")] == ["no command dance"]
    assert [wrong_call(w) for w in calls("`gkc queue show --lively`")] == [
        "queue show --lively: no option --lively"
    ]
    assert list(keys_in({"queues": {"a": {"wrapup": "1s"}}}, NAMED_BY_PEOPLE.__contains__)) == [
        "queues",
        "wrapup",
    ]


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = (ROOT / "packaging" / "systemd" / "gkc@.service").read_text(encoding="utf-8")
    start = re.findall(r"^ExecStart=.*/gkc (.*)$", unit, re.MULTILINE)
    assert [wrong_call(line.split()) for line in start] == [None]
    assert "docs/adr/0016-own-watchdog.md" in unit
