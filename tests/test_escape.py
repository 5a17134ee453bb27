from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gkc_engine.channels.phone.ami_messages import AmiReply, broad_rights
from gkc_engine.escape import (
    clean_ami,
    clean_text,
    mask_number,
    printable,
    quote_agi,
    quote_exec,
    unescape_c,
    wire_text,
)

ANY_TEXT = st.text(st.characters()) | st.text("\r\n\0\"\\${}[](),|&^' \t", max_size=40)
HOSTILE = ['"', "\\", '\\"', "${SHELL(x)}", "$[1+1]", "a\r\nAction: x", "\0", "x" * 1024, "\udcd0"]


def agi_argument(line: str) -> str:
    """Read one argument as res_agi.c's parse_args does."""
    out, quoted, escaped = "", False, False
    for char in line:
        if escaped:
            out, escaped = out + char, False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        else:
            assert quoted or char not in " \t", "the argument was split"
            out += char
    assert not quoted
    assert not escaped
    return out


@given(ANY_TEXT)
@example("\r\n\0")
@example('"\\')
@example("\ud800\udcd0")
def test_nothing_that_ends_a_line_gets_out(text: str) -> None:
    for made in (clean_ami(text), quote_agi(text), quote_exec(text)):
        assert not set(made) & set("\r\n\0")
        made.encode()


@given(ANY_TEXT)
def test_a_quoted_value_is_read_back_unchanged(text: str) -> None:
    assert agi_argument(quote_agi(text)) == clean_text(text)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_name_stays_one_argument(value: str) -> None:
    line = f"SET VARIABLE CALLERID(name) {quote_agi(value)} 1"
    assert shlex.split(line.replace("$", "x"))[-1] == "1"
    assert len(shlex.split(line)) == 5


@given(ANY_TEXT)
@example("$${x}")
@example("${a${b}}")
@example("$\n{SHELL(x)}")
def test_nothing_expands_and_nothing_is_syntax_in_a_foreign_exec_argument(text: str) -> None:
    made = agi_argument(quote_exec(text))
    assert "${" not in made
    assert "$[" not in made
    assert not set(made) & set(",()|&^")


@given(st.binary())
def test_bytes_from_the_wire_become_text_that_can_be_stored(data: bytes) -> None:
    text = wire_text(data)
    text.encode()
    if data.isascii():
        assert text == data.decode()


def test_a_bad_byte_is_shown_by_its_number() -> None:
    assert wire_text("Ива".encode()[:-1]) == "Ив\\xd0"
    assert clean_text("Ив\udcd0\r\n") == "Ив\\xd0"
    assert printable("Ив\udcd0") == "Ив\\xd0"
    assert printable("Ива".encode()[:-1]) == "Ив\\xd0"
    assert printable("\ud800") == "\\ud800"


@given(ANY_TEXT | st.binary(), st.integers(1, 300))
def test_a_log_value_is_one_bounded_visible_line(value: str | bytes, limit: int) -> None:
    text = printable(value, limit)
    assert len(text) <= limit
    assert text.isprintable() or not set(text) & set(map(chr, [*range(32), *range(127, 160)]))
    assert len(text.splitlines()) <= 1
    text.encode()


def test_log_values_as_a_person_sees_them() -> None:
    assert printable("Иванов А. П.") == "Иванов А. П."
    assert printable("a\r\nINFO x\x1b[31m") == "a\\x0d\\x0aINFO x\\x1b[31m"
    assert printable("\u202egnp") == "\\u202egnp"
    assert printable("x" * 300, 10) == "x" * 9 + "…"
    assert printable(None) == "None"


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+79001234567", "+7 900 ***-**-67"),
        ("89001234567", "+7 900 ***-**-67"),
        ("+442071234567", "+442 *** 67"),
        ("101", "***"),
        ("", "***"),
        ("sip:anonymous", "***"),
    ],
)
def test_numbers_are_masked(number: str, masked: str) -> None:
    assert mask_number(number) == masked


@given(st.text("0123456789", min_size=8, max_size=20))
def test_a_masked_number_keeps_at_most_five_digits_and_the_country(number: str) -> None:
    assert sum(char.isdigit() for char in mask_number(number)) <= 6


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [(r"Иван \"Пётр\"", 'Иван "Пётр"'), (r"a\\b", r"a\b"), (r"\n\x", "\n\\x"), ("plain", "plain")],
)
def test_c_escapes_are_undone(escaped: str, plain: str) -> None:
    assert unescape_c(escaped) == plain


def test_rights_are_told_by_what_is_listed() -> None:
    assert broad_rights(["Hangup channel.  (Priv: system,call,all)", "(Priv: <none>)"]) == set()
    assert broad_rights(["Run a command.  (Priv: command,all)"]) == {"command"}
    assert broad_rights(["Reload.  (Priv: system,config,all)"]) == {"system", "config"}
    assert broad_rights(["no rights named"]) == set()


def test_a_reply_says_what_asterisk_said() -> None:
    reply = AmiReply({"response": "Error", "message": "No\x1b such"})
    assert not reply.ok
    assert reply.message == "No\\x1b such"
    assert AmiReply({"response": "Goodbye"}).ok
