"""One place that makes foreign text safe: for AMI lines, AGI arguments, logs and records.

What a real Asterisk 22.10.1 does (tests/acceptance/test_wire.py repeats it):

* AMI takes a bare LF as the end of a line, so LF is as dangerous as CR LF.
* AGI splits a line at blanks outside double quotes; a backslash protects the next character.
  With both escaped, a value arrives byte for byte.
* ``${...}`` and ``$[...]`` are *not* expanded in AGI's ``SET VARIABLE``, ``GET VARIABLE`` and
  ``EXEC`` (the same in AMI's ``Setvar``); only ``GET FULL VARIABLE`` expands, and no foreign text
  goes there. Yet an application may expand what it gets (``Dial`` its ``b()``, ``MixMonitor`` its
  command), and commas and parentheses are syntax to all of them: `quote_exec` disarms both.
"""

from __future__ import annotations

import re
from typing import Final

AMI_LINE_BYTES: Final = 1000
"""Longest AMI line we send; Asterisk drops a line of 1024 bytes (manager.c, ``inbuf``)."""

AGI_LINE_BYTES: Final = 2000
"""Longest AGI command we send; res_agi.c reads at most ``AGI_BUF_LEN`` = 2048 bytes a line."""

_LINE_ENDS: Final = {ord("\r"): None, ord("\n"): None, 0: None}
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_C_ESCAPE: Final = re.compile(r"\\([abfnrtv\\'\"?])")
_C_VALUE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def wire_text(data: bytes) -> str:
    r"""Return ``data`` as text that can always be encoded again; a bad byte becomes ``\xNN``."""
    return data.decode("utf-8", "backslashreplace")


def clean_text(value: object) -> str:
    r"""Return ``str(value)`` without CR, LF and NUL; a lone surrogate becomes visible text.

    A surrogate stands for a byte that was no UTF-8 (PEP 383); it could not be sent or stored.
    """
    return _SURROGATES.sub(_visible, str(value).translate(_LINE_ENDS))


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clean_ami(value: object) -> str:
    """Return ``value`` as one AMI header value: no CR, LF, NUL, and always encodable."""
    return clean_text(value)


def quote_agi(value: object) -> str:
    """Return ``value`` as one double-quoted AGI argument that Asterisk reads back unchanged."""
    text = clean_text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def quote_exec(value: object) -> str:
    """Return a *foreign* value as one quoted ``EXEC`` argument that no application takes apart.

    A ``$`` before a bracket goes; commas, ``&``, ``|``, ``^`` and parentheses become blanks. Our
    own argument lists (a dial string) go by `quote_agi`.
    """
    text = re.sub(r"\$+(?=[{\[])", "", clean_text(value))
    return quote_agi(re.sub(r"[,()^|&]", " ", text))


def unescape_c(value: str) -> str:
    """Undo Asterisk's C escapes (``ast_escape_c``) of names in AMI events, for display."""
    if "\\" not in value:
        return value
    return _C_ESCAPE.sub(lambda found: _C_VALUE.get(found[1], found[1]), value)


def printable(value: object, max_chars: int = 200) -> str:
    r"""Return ``value`` for a log line or a record: one line, visible, at most ``max_chars``.

    Control characters and those that turn or hide text (bidirectional marks, zero-width, line
    separators) become ``\xNN`` or ``\uNNNN``, bytes that were no UTF-8 ``\xNN``; a longer text
    ends in "…".
    """
    raw = wire_text(value) if isinstance(value, bytes) else str(value)
    text = _SURROGATES.sub(_visible, _HIDDEN.sub(_visible, raw[: max_chars + 1]))
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def mask_number(number: str) -> str:
    """Return a telephone number for logs: ``+7 900 ***-**-67`` of ``+79001234567``.

    A Russian number keeps its code and the last two digits; of another one the first three and
    the last two are kept, of one shorter than eight digits nothing.
    """
    digits = re.sub(r"[^0-9]", "", number)
    if len(digits) < 8:
        return "***"
    if len(digits) == 11 and digits[0] in "78":
        return f"+7 {digits[1:4]} ***-**-{digits[-2:]}"
    return f"{'+' if number.startswith('+') else ''}{digits[:3]} *** {digits[-2:]}"
