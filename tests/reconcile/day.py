"""A day of calls told to both sides: to the core, and to Asterisk's lists as it writes them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.ids import SECOND, ContactId, Instant, QueueId
from gkc_engine.reconcile.model import Outcome
from gkc_engine.reconcile.run import Asked, compare
from gkc_engine.recorder import schema
from gkc_engine.recorder.queue_log import QueueLog
from tests.recorder.support import START
from tests.rolled import count_anew
from tests.simulation.ledgers import CITY, Center

COMPILED: dict[Any, Any] = {}
"""The same statements for every store: making their text anew takes longer than running them."""

PHONES = {"anna": "PJSIP/101", "boris": "PJSIP/102", "gleb": "PJSIP/104"}


def stamp(at: Instant) -> str:
    return f"{at // SECOND}.{at % SECOND:06d}"


@dataclass
class Line:
    """A citizen's line and the phones that ring for it."""

    contact: str
    uid: str
    started: Instant
    answered: Instant | None = None
    phone: str = ""
    """Uniqueid of the phone's leg that rings or talks now."""
    channel: str = ""


@dataclass
class Lists:
    """What Asterisk writes."""

    cel: list[str] = field(default_factory=list)
    cdr: list[str] = field(default_factory=list)

    def leg(
        self,
        kind: str,
        at: Instant,
        channel: str,
        uid: str,
        linked: str = "",
        *,
        context: str = "gkc",
        exten: str = "+74957777777",
    ) -> None:
        row = (kind, stamp(at), channel, uid, linked or uid, "+79000000001", exten, context, "")
        self.cel.append(",".join(f'"{cell}"' for cell in row))

    def call(
        self, uid: str, start: Instant, answer: Instant | None, end: Instant, said: str = ""
    ) -> None:
        billed = "0.000000" if answer is None else f"{(end - answer) / SECOND:.6f}"
        row = (
            *("", "", "+79000000001", "+74957777777", stamp(start)),
            *(stamp(answer) if answer else "0.000000", stamp(end), f"{(end - start) / SECOND:.6f}"),
            *(said or billed, "ANSWERED" if answer else "NO ANSWER", uid),
        )
        self.cdr.append(",".join(f'"{cell}"' for cell in row))


class Day(Center):
    """The core and Asterisk's lists of the same calls."""

    def __init__(self) -> None:
        super().__init__()
        tree = {"operators": {name: {"interface": phone} for name, phone in PHONES.items()}}
        self.say(ev.SettingsApplied(settings=CITY, tree=json.dumps(tree)))
        self.asterisk = Lists()
        self.lines: dict[str, Line] = {}
        self.legs = 0
        self.shift = 0
        """How far Asterisk's clock has been stepped."""

    def at(self, second: float) -> Day:
        super().at(second)
        return self

    @property
    def wall(self) -> Instant:
        return Instant(self.now + self.shift)

    def uid(self) -> str:
        self.legs += 1
        return f"centr-{self.wall // SECOND}.{self.legs}"

    def call(self, contact: str, queue: str = "passport", *, said: bool = True) -> Line:
        """A citizen dials; without ``said`` the engine is not told."""
        line = self.lines[contact] = Line(contact, self.uid(), self.wall)
        self.asterisk.leg("CHAN_START", self.wall, f"PJSIP/trunk-{self.legs:08x}", line.uid)
        if said:
            self.came += 1
            self.say(
                ev.ContactStarted(
                    contact_id=ContactId(contact),
                    medium=Medium.VOICE,
                    number=f"2026-ЦАО-{self.came:06d}",
                    entry="+74957777777",
                    uniqueid=line.uid,
                )
            )
            self.say(ev.QueueRequested(contact_id=ContactId(contact), queue=QueueId(queue)))
        return line

    def ring(self, contact: str) -> str:
        """The phone of whom the core offers it to rings; returns the operator."""
        line, offer = self.lines[contact], self.offers[ContactId(contact)]
        line.phone = self.uid()
        line.channel = f"{PHONES[offer.agent_ids[0]]}-{self.legs:08x}"
        self.phone_leg("CHAN_START", line)
        self.say(ev.OfferRinging(offer_id=offer.offer_id, at=self.now))
        return offer.agent_ids[0]

    def phone_leg(self, kind: str, line: Line) -> None:
        self.asterisk.leg(
            kind, self.wall, line.channel, line.phone, line.uid, context="gkc-operators", exten="s"
        )

    def picks_up(self, contact: str) -> None:
        line, offer = self.lines[contact], self.offers[ContactId(contact)]
        self.phone_leg("ANSWER", line)
        line.answered = self.wall
        self.asterisk.leg("ANSWER", self.wall, "PJSIP/trunk-1", line.uid)
        self.say(
            ev.OfferAccepted(
                offer_id=offer.offer_id,
                agent_id=offer.agent_ids[0],
                leg=line.phone,
                at=self.now,
            )
        )

    def misses(self, contact: str) -> None:
        self.phone_leg("HANGUP", self.lines[contact])
        self.fail(contact, ev.OfferFailure.NO_ANSWER)

    def goes(self, contact: str, *, phone: bool = True) -> None:
        """He hangs up; with ``phone`` somebody's rings or talks."""
        line = self.lines[contact]
        if phone:
            self.phone_leg("HANGUP", line)
        self.asterisk.leg("HANGUP", self.wall, "PJSIP/trunk-1", line.uid)
        self.asterisk.call(line.uid, line.started, line.answered, self.wall)
        self.leave(contact)

    def written(self, folder: Path) -> Written:
        self.login("anna")  # The engine's last word: it changes nothing.
        store = self.write(folder / "gkc.sqlite")
        made = Written(folder, store, self.now)
        made.put("legs.csv", self.asterisk.cel)
        made.put("calls.csv", self.asterisk.cdr)
        made.put("queue_log", QueueLog().lines(self.steps))
        return made


@dataclass
class Written:
    """Store and lists on disk."""

    folder: Path
    store: Path
    last: Instant
    url: str = ""
    """Of the records, if they do not lie in ``store``."""

    def put(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")

    def lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text(encoding="utf-8").splitlines()

    def without(self, name: str, n: int) -> str:
        """Delete a line; return it."""
        lines = self.lines(name)
        gone = lines.pop(n)
        self.put(name, lines)
        return gone

    def change(self, *statements: str) -> None:
        engine = self._engine()
        with engine.begin() as connection:
            for statement in statements:
                assert connection.exec_driver_sql(statement).rowcount == 1, statement
        engine.dispose()

    def _engine(self, *, read_only: bool = False) -> sa.Engine:
        url = self.url or schema.sqlite_url(str(self.store))
        return schema.make_engine(url, read_only=read_only)

    def copy(self, folder: Path) -> Written:
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Written(folder, folder / self.store.name, self.last)

    def roll_up(self) -> None:
        """Let the roll-ups be of the contacts as they stand now."""
        engine = schema.make_engine(schema.sqlite_url(str(self.store)))
        with engine.begin() as connection:
            count_anew(connection)
        engine.dispose()

    def verified(
        self, *, running: bool = False, since: Instant = START, until: Instant | None = None
    ) -> Outcome:
        asked = Asked(
            since=since,
            until=until or Instant(self.last + 3600 * SECOND),
            cel=self.folder / "legs.csv",
            cdr=self.folder / "calls.csv",
            queue_log=self.folder / "queue_log",
            now=Instant(self.last + 60 * SECOND),
            running=running,
        )
        engine = self._engine(read_only=True)
        try:
            with engine.connect() as connection:
                return compare(connection.execution_options(compiled_cache=COMPILED), asked)
        finally:
            engine.dispose()
