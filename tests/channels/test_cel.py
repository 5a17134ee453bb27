"""Asterisk's list of past legs: read from its end, whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.channels.phone import cel
from gkc_engine.ids import SECOND, Instant
from tests.channels.world import at, leg

STARTED = (
    '"CHAN_START","{t}","PJSIP/gkc-trunk-00000001","{leg}","{leg}","+79000000001","+74951112233",'
    '"gkc",""'
)
PHONE = '"CHAN_START","{t}","PJSIP/101-00000002","{leg}","{linked}","101","s","gkc-operators",""'
EVENT = '"{kind}","{t}","PJSIP/x-1","{leg}","{leg}","","","gkc","{extra}"'


def stamp(seconds: float) -> str:
    instant = at(seconds)
    return f"{instant // SECOND}.{instant % SECOND:06d}"


def line(kind: str, leg_id: str, seconds: float, extra: str = "") -> str:
    return EVENT.format(kind=kind, t=stamp(seconds), leg=leg_id, extra=extra.replace('"', '""'))


def test_a_call_and_its_operator_are_told_apart() -> None:
    past = cel.history(
        [
            STARTED.format(t=stamp(0.25), leg=leg(1)),
            line("ANSWER", leg(1), 0.5),
            PHONE.format(t=stamp(3), leg=leg(2), linked=leg(1)),
            line("ANSWER", leg(2), 4),
            line("HANGUP", leg(2), 9, '{"hangupcause":16,"hangupsource":"PJSIP/101-00000002"}'),
            line("HANGUP", leg(1), 9.125, '{"hangupcause":16,"hangupsource":""}'),
        ]
    )
    (citizen,) = past.citizens(at(0))
    assert (citizen.number, citizen.exten, citizen.context) == (
        "+79000000001",
        "+74951112233",
        "gkc",
    )
    assert (citizen.started, citizen.answered, citizen.ended) == (at(0.25), at(0.5), at(9.125))
    (phone,) = past.dialled_for(leg(1))
    assert (phone.endpoint, phone.answered, phone.ended) == ("PJSIP/101", at(4), at(9))
    assert (phone.cause, phone.ended_by) == (16, "PJSIP/101-00000002")
    assert past.citizens(at(1)) == []


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        '"CHAN_START","x"',
        '"ANSWER","12.5.6","a","b","c","d","e","f"',
        '"HANGUP","now","a","b","c","d","e","f"',
        '"CHAN_START","' + "9" * 400,
        "\x00\x01,\x02",
        '"HANGUP","5.1","PJSIP/a-1","","","","","gkc","{not json"',
    ],
)
def test_what_cannot_be_read_is_passed_over(rubbish: str) -> None:
    past = cel.history([rubbish, STARTED.format(t=stamp(1), leg=leg(1)), rubbish])
    assert [x.leg for x in past.citizens(at(0))] == [leg(1)]


def test_events_told_twice_keep_the_first_instant() -> None:
    lines = [line("HANGUP", leg(1), 5), line("HANGUP", leg(1), 7)]
    assert cel.history(lines).legs[leg(1)].ended == at(5)


def test_only_the_end_of_a_long_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cel, "BLOCK", 512)
    path = tmp_path / "legs.csv"
    path.write_text(
        "".join(f"{STARTED.format(t=stamp(n), leg=leg(n, n))}\n" for n in range(2000)),
        encoding="utf-8",
    )
    opened: list[str] = []
    columns = cel.columns

    def counted(text: str) -> list[str]:
        opened.append(text)
        return columns(text)

    monkeypatch.setattr(cel, "columns", counted)
    past = cel.read_history(path, Instant(at(1990)))
    assert [x.leg for x in past.citizens(at(1990))] == [leg(n, n) for n in range(1990, 2000)]
    assert len(opened) < 200, "the whole file was read"


def test_the_tail_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "BLOCK", 256)
    monkeypatch.setattr(cel, "TAIL_MAX", 2000)
    path = tmp_path / "legs.csv"
    text = "".join(f"{STARTED.format(t=stamp(1), leg=leg(n))}\n" for n in range(100))
    path.write_text(text, encoding="utf-8")
    found = cel.read_history(path, Instant(0)).citizens(Instant(0))
    assert 10 < len(found) < 25
    assert leg(99) in [x.leg for x in found]


def test_no_file_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(cel.CelError, match=r"legs\.csv: not there yet: .* else set pbx\.cel"):
        cel.read_history(tmp_path / "legs.csv", Instant(0))
    with pytest.raises(cel.CelError, match="there is no such folder, and Asterisk makes none"):
        cel.read_history(tmp_path / "cel-custom" / "legs.csv", Instant(0))
    with pytest.raises(cel.CelError, match=r"Is a directory; set pbx\.cel"):
        cel.read_history(tmp_path, Instant(0))


def test_a_number_full_of_tricks_stays_in_its_column() -> None:
    trick = (
        '"CHAN_START","{t}","PJSIP/gkc-trunk-1","{leg}","{leg}","a"",""b\x1b[0m${{X}}","1","gkc",""'
    )
    past = cel.history([trick.format(t=stamp(1), leg=leg(1))])
    assert past.legs[leg(1)].number == 'a","b\x1b[0m${X}'
    assert past.legs[leg(1)].context == "gkc"


def test_who_comes_by_the_administrators_own_context_is_a_citizen() -> None:
    """He was sent on by ``Goto(gkc,…)``: the rows after CHAN_START name our context."""
    own = STARTED.replace('"gkc"', '"from-trunk"').replace("+74951112233", "7001")
    there = EVENT.replace('"","","gkc"', '"","{exten}","{context}"')

    def row(kind: str, n: int, seconds: float, context: str, exten: str) -> str:
        fields = {"kind": kind, "t": stamp(seconds), "leg": leg(n), "extra": ""}
        return there.format(**fields, context=context, exten=exten)

    past = cel.history(
        [
            own.format(t=stamp(1), leg=leg(1)),
            row("ANSWER", 1, 2, "gkc", "+74951112233"),
            row("HANGUP", 1, 3, "gkc", "T"),
            own.format(t=stamp(4), leg=leg(2)),
            row("ANSWER", 2, 5, "gkc", "T"),
            own.format(t=stamp(6), leg=leg(3)),
            row("HANGUP", 3, 7, "elsewhere", "9"),
            PHONE.format(t=stamp(8), leg=leg(4), linked=leg(4)),
            row("HANGUP", 4, 9, "gkc", "9"),
        ]
    )
    found = [(c.leg, c.exten, c.context) for c in past.citizens(at(0))]
    assert found == [(leg(1), "+74951112233", "gkc"), (leg(2), "7001", "gkc")]
