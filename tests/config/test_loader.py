"""Folders and files as they come: split, cut, misspelt, unreadable, hostile."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gkc_engine.config.loader import FILES_MAX, check, inspect, load_config
from gkc_engine.config.problems import InvalidConfigError
from gkc_engine.config.source import FILE_BYTES_MAX, read
from gkc_engine.errors import ConfigError
from tests.config.cities import SAMPLE, TINY, tiny_city, tiny_config

SAMPLE_FILES = sorted(path.name for path in SAMPLE.glob("*.yaml"))


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of the sample city, its prompts by reference."""
    for name in SAMPLE_FILES:
        shutil.copy(SAMPLE / name, tmp_path / name)
    (tmp_path / "prompts").symlink_to(SAMPLE / "prompts")
    return tmp_path


def test_the_sample_city_is_valid_and_as_large_as_promised() -> None:
    outcome = inspect(SAMPLE)
    assert [*outcome.problems, *outcome.warnings] == []
    config = outcome.config
    assert config is not None
    assert len(config.services) >= 6
    assert len(config.skills) >= 10
    assert {"russian", "english", "tatar"} <= config.skills.keys()
    assert len(config.operators) >= 24
    assert len(config.numbers) == 3
    articles = {c.article for m in config.ivr.values() for c in m.choices.values() if c.article}
    assert len(articles) >= 2


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_sample_file_cut_anywhere_is_refused(name: str) -> None:
    """Every strict prefix, not only those of 64 bytes; reading one file needs no others."""
    data = (SAMPLE / name).read_bytes()
    assert read(data, name).problems == []
    for length in range(len(data)):
        assert read(data[:length], name).broken, f"{length} of {len(data)} bytes"


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_folder_with_a_cut_sample_file_is_refused_at_its_place(name: str, sample: Path) -> None:
    data = (sample / name).read_bytes()
    for length in range(0, len(data), 64):
        (sample / name).write_bytes(data[:length])
        problems = check(sample)
        assert problems[0].file == str(sample / name), f"{length} of {len(data)} bytes"


def keys_of(text: str) -> list[tuple[int, int]]:
    """Return where each key's name stands in a YAML text without comments in values."""
    return [
        (m.start(1), m.end(1))
        for m in re.finditer(
            r'(?:^ *|[{,] |- \{)("[^"\n]+"|[A-Za-z_*-][\w*-]*)(?=:[ \n])', text, re.MULTILINE
        )
        if "#" not in text[text.rfind("\n", 0, m.start(1)) + 1 : m.start(1)]
    ]


@pytest.mark.accept  # 500 readings of whole cities: a quarter of the hermetic minute
@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_sample_file_with_a_misspelt_key_is_refused(name: str, sample: Path) -> None:
    """Operators' own names are free: nothing else knows how an operator is called."""
    text = (sample / name).read_text(encoding="utf-8")
    operators = load_config(sample).operators
    misspelt = 0
    for start, end in keys_of(text):
        key = text[start:end].strip('"')
        if key in operators:
            continue
        wrong = f'"{key}x"' if text[start] == '"' else f"{key}x"
        (sample / name).write_text(text[:start] + wrong + text[end:], encoding="utf-8")
        problems = check(sample)
        line = text.count("\n", 0, start) + 1
        assert problems, f"{key} in line {line}"
        misspelt += 1
    assert misspelt >= text.count("\n") // 4, "the pattern that finds keys finds too few"


def test_each_section_stands_in_one_file_only(tmp_path: Path) -> None:
    tiny_city(tmp_path)
    (tmp_path / "more.yaml").write_text("---\nskills: {tatar: Татарский}\n...\n", encoding="utf-8")
    (problem,) = check(tmp_path)
    assert str(problem) == (
        f"{tmp_path}/more.yaml:2:1: skills: found the section skills a second time, "
        f"expected it in one file only (it stands in {tmp_path}/city.yaml:9)"
    )


def test_all_problems_come_at_once_and_the_last_line_counts_them(tmp_path: Path) -> None:
    tiny_city(
        tmp_path,
        ("timeout: 15s", "timeout: 15 sec"),
        ("wrapuptime: 5s", "wrapup: 5s"),
        ("service: mvd", "service: mwd"),
        ("    maxlen: 20", "    title: П"),
    )
    with pytest.raises(InvalidConfigError) as caught:
        load_config(tmp_path)
    assert isinstance(caught.value, ConfigError)
    assert [p.path for p in caught.value.problems] == [
        "queues.passport.service",
        "queues.passport.timeout",
        "queues.passport.wrapup",
        "queues.passport.title",
    ]
    assert str(caught.value).splitlines()[-1] == "4 problems"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1:1: (file): found an empty file"),
        (b"# only words\n", "1:1: (file): found an empty file"),
        (b"---\n...\n", "1:1: (file): found an empty file"),
        (b"\xff\xfea\0", "1:1: (file): found the byte 0xff, expected text in UTF-8"),
        ("a: ф".encode("cp1251"), "1:4: (file): found the byte 0xf4, expected text in UTF-8"),
        (b"a: 1\n\0", "2:1: (file): found the control character U+0000"),
        (b"- 1\n", "1:1: (file): found a list"),
        (b"x" * (FILE_BYTES_MAX + 1), f"1:1: (file): found {FILE_BYTES_MAX + 1} bytes"),
        (b"a: " + b"[" * 100_000, "found more than 12 levels, expected a flatter file"),
        (b'a: "\\U7fffffff"\n', "1:1: a: found text that is not YAML"),
    ],
)
def test_a_file_that_is_no_config(data: bytes, said: str) -> None:
    source = read(data, "f.yaml")
    assert source.broken
    assert said in str(source.problems[0])


def test_a_file_of_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gkc_engine.config.source.NODES_MAX", 100)
    source = read(b"a: [" + b"1," * 200 + b"]", "f.yaml")
    assert source.broken
    assert str(source.problems[0]).startswith("f.yaml:1:199: a: found more than 100 values")


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(50))
    (problem,) = read(bomb.encode(), "f.yaml").problems
    assert (problem.line, problem.col) == (1, 4)


def test_folders_that_are_none(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    (problem,) = check(missing)
    assert str(problem).startswith(f"{missing}:1:1: (file): found no readable folder (No such file")
    (problem,) = check(tmp_path)
    assert problem.found == "0 files *.yaml"
    (tmp_path / "city.yaml").mkdir()
    (problem,) = check(tmp_path)
    assert problem.found == "a file that cannot be read (Is a directory)"
    for number in range(FILES_MAX):
        (tmp_path / f"{number}.yaml").touch()
    (problem,) = check(tmp_path)
    assert problem.found == f"{FILES_MAX + 1} files *.yaml"


def test_a_pipe_in_the_folder_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    import os

    tiny_city(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    assert stat.S_ISFIFO((tmp_path / "pipe.yaml").stat().st_mode)
    (problem,) = check(tmp_path)
    assert problem.found == "something that is no file"


def test_hidden_files_and_other_suffixes_are_left_alone(tmp_path: Path) -> None:
    tiny_city(tmp_path)
    for name in (".city.yaml.swp", ".#city.yaml", "city.yaml~", "notes.txt"):
        (tmp_path / name).write_text("{", encoding="utf-8")
    assert check(tmp_path) == []


def test_a_file_without_marks_is_taken_with_a_warning(tmp_path: Path) -> None:
    way_out = ("  fastagi:", "  emergency_context: out\n  fastagi:")
    tiny_city(tmp_path, ("---\ncenter", "center"), ("\n...\n", "\n"), way_out)
    outcome = inspect(tmp_path)
    assert outcome.config is not None
    (warning,) = outcome.warnings
    assert "half-written" in str(warning)


def test_marks_hold_with_carriage_returns_a_byte_order_mark_and_indented_comments() -> None:
    whole = "\ufeff  # words\r\n---\r\na: 1\r\n...\r\n".encode()
    assert read(whole, "f.yaml").problems == []
    assert read(whole, "f.yaml").warnings == []
    assert all(read(whole[:length], "f.yaml").broken for length in range(len(whole)))


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    for edit in ("secret: hunter2", "secret: [hunter2]", "secret: {env: hunter2}"):
        tiny_city(tmp_path, ("secret: env:GKC_AMI_SECRET", edit))
        assert "hunter2" not in "\n".join(map(str, check(tmp_path))), edit
    tiny_city(
        tmp_path,
        (
            "ami: {host: 127.0.0.1, port: 5038, user: gkc, secret: env:GKC_AMI_SECRET}",
            "ami: hunter2",
        ),
    )
    (problem,) = check(tmp_path)
    assert "hunter2" not in str(problem)


def test_what_is_written_with_other_words_has_the_same_version(tmp_path: Path) -> None:
    plain = tiny_config(tmp_path / "a")
    same = tiny_config(tmp_path / "b", ("timeout: 15s", "timeout: 15000ms  # a comment"))
    other = tiny_config(tmp_path / "c", ("timeout: 15s", "timeout: 16s"))
    assert plain.version == same.version != other.version


TINY_TEXT = (TINY / "city.yaml").read_bytes()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_read_without_a_traceback(data: bytes) -> None:
    source = read(data, "f.yaml")
    assert source.problems or source.tree


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
@given(data=st.data())
def test_any_damage_to_a_good_file_is_judged_without_a_traceback(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = bytearray(TINY_TEXT)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        junk = data.draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from(
                    [
                        b"&a ",
                        b"*a",
                        b"!!x ",
                        b"{",
                        b"}",
                        b"[",
                        b"]",
                        b": ",
                        b"\n",
                        b"'",
                        b'"',
                        b"|\n",
                        b"0",
                        b"- ",
                        b"? ",
                    ]
                ),
            )
        )
        text[at : at + length] = junk
    folder = tiny_city(tmp_path_factory.mktemp("damaged"))
    (folder / "city.yaml").write_bytes(bytes(text))
    outcome = inspect(folder)
    assert (outcome.config is None) == bool(outcome.problems)
    for problem in outcome.problems:
        assert "\n" not in str(problem)
        assert problem.line >= 1
        assert problem.col >= 1


def test_a_prompt_without_sound_is_spoken_by_tts_where_there_is_one(tmp_path: Path) -> None:
    prompt = ("documents: {ru", "extra: {ru: Да, en: Yes}\n  documents: {ru")
    silent = check(tiny_city(tmp_path / "silent", prompt))
    assert [p.path for p in silent] == ["prompts.extra.ru", "prompts.extra.en"]
    tts = ("\nqueues:", '\ntts: {command: [speak, -o, "{file}"]}\nqueues:')
    assert check(tiny_city(tmp_path / "spoken", prompt, tts)) == []
    half = ("extra: {ru: Да, en: Yes}", "extra: {ru: Да}")
    (missing,) = check(tiny_city(tmp_path / "half", prompt, tts, half))
    assert (missing.path, missing.expected) == ("prompts.extra.en", "the words in en")


def test_an_alert_by_mail_without_a_mail_server_is_warned_of(tmp_path: Path) -> None:
    alert = "alerts: [{name: a, when: ami_down, to: [duty@example.org]}]\n"
    folder = tiny_city(tmp_path, ("services:\n", f"{alert}services:\n"))
    (warning,) = [str(w) for w in inspect(folder).warnings if "duty@example.org" in str(w)]
    assert "alerts[0].to: found the address duty@example.org without mail:" in warning
    assert warning.endswith("no mail is sent")
