"""What is done at one look: what is due gets a row, reports are made, mails are sent, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from gkc_engine.config.models import Config
from gkc_engine.config.report_model import MailModel, ReportModel
from gkc_engine.delivery import letter
from gkc_engine.delivery.making import Made, MakingError
from gkc_engine.delivery.outbox import WAITING_BYTES_MAX, NewMail, Outbox, Row, State
from gkc_engine.delivery.outcome import BrokenOffError, Outcome, ServerError
from gkc_engine.delivery.schedule import Due, due_between, last_due, next_at
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant

log = structlog.get_logger(__name__)

MADE_UP_US: Final = 7 * 86_400 * SECOND
"""Reports that were due while no engine ran are made up, so far back."""

GIVE_UP_US: Final = 3 * 86_400 * SECOND
"""From when a mail is due (or asked for) to when nobody tries any longer."""

MAKING_TRIES: Final = 6
FIRST_PAUSE_S: Final = 60
PAUSE_MAX_S: Final = 1800
"""Between tries: 1, 2, 4, 8, 16 and then 30 minutes."""

BROKEN_OFF_MAX: Final = 2
"""Mails in a row over which the session broke: then it is the server, not the mail."""


def pause_us(attempts: int) -> int:
    """Return how long to wait after so many tries (from 1), in microseconds."""
    seconds: int = FIRST_PAUSE_S * 2 ** min(attempts - 1, 10)
    return min(seconds, PAUSE_MAX_S) * SECOND


class Sends(Protocol):
    """A session of ``smtp``."""

    async def send(self, to: Sequence[str], content: bytes) -> Outcome:
        """See ``smtp.Session.send``."""
        ...


class Makes(Protocol):
    """Makes reports: ``making.Maker``."""

    async def make(self, report: ReportModel, due: Due) -> Made:
        """See ``making.Maker.make``."""
        ...


class Opens(Protocol):
    """Opens a session: ``smtp.session`` with its limits."""

    def __call__(self, mail: MailModel, folder: Path) -> AbstractAsyncContextManager[Sends]:
        """See ``smtp.session``."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What of the config the courier goes by."""

    config: Config
    folder: Path

    @property
    def zone(self) -> ZoneInfo:
        """The center's."""
        return ZoneInfo(self.config.center.timezone)

    @property
    def reports(self) -> Mapping[str, ReportModel]:
        """Each report by its name."""
        return {report.key: report for report in self.config.reports}

    def addresses(self, report: ReportModel) -> list[str]:
        """Return to whom a report goes: the recipient's own addresses first, each once."""
        own = self.config.recipients[report.recipient].to if report.recipient else ()
        return list({a.casefold(): a for a in (*own, *report.to)}.values())


class RefusedError(GkcError):
    """What somebody asked of the outbox cannot be; says why."""


@dataclass(slots=True)
class Courier:
    """Everything between a schedule and the server's 250. One look at a time."""

    outbox: Outbox
    plan: Plan
    maker: Makes
    open_session: Opens
    server_tries: int = 0
    """Looks in a row at which the server could not be used."""
    server_again: Instant = field(default=Instant(0))
    """When it is tried again; until then mails keep their order in the line."""
    _told: tuple[Row, Outcome] | None = None
    """What the server said and the outbox does not know yet."""

    async def look(self, now: Instant) -> None:
        """Do all that can be done now.

        Raises:
            OutboxError: The outbox cannot be used; nothing is lost, look again.
        """
        self._note_told(now)
        self.outbox.requeue()
        self._line_up(now)
        for row in self.outbox.expired(now):
            self._give_up(row, f"not sent in time: {row['last_error'] or 'its turn never came'}")
        await self._make_due(now)
        mail = self.plan.config.mail
        if mail is not None and now >= self.server_again:
            await self._send_queued(mail, now)
        self.outbox.prune(now)

    def next_look(self, now: Instant) -> Instant | None:
        """Return when something is to be done next; ``None``: not of itself."""
        plan = self.plan
        times = [next_at(report, now, plan.zone) for report in plan.config.reports]
        waits = self.outbox.next_try()
        if waits is not None:
            times.append(max(waits, self.server_again))
        return min(times, default=None)

    # --- what somebody asks for -----------------------------------------------------------------

    def send_now(self, name: str, now: Instant, *, again: bool) -> int:
        """Put the last whole period of a report in line at once; return the mail's id.

        Raises:
            RefusedError: No such report; or it is in line or sent already, and not ``again``.
        """
        report = self.plan.reports.get(name)
        if report is None:
            names = ", ".join(self.plan.reports) or "none (reports: in the config)"
            raise RefusedError(f"no report {name!r}; there are: {names}")
        due = last_due(report, now, self.plan.zone)
        before = self.outbox.copies(name, due.first.isoformat())
        if before is not None and not again:
            raise RefusedError(
                f"{name} of {before['period']} is {before['state']} (mail {before['mail_id']}); "
                "--again sends it once more"
            )
        copy = 0 if before is None else before["copy"] + 1
        mail_id = self._add(name, report, due, now, copy, asked=now)
        if mail_id is None:
            raise RefusedError("the outbox is full; `gkc report outbox` shows what waits")
        return mail_id

    def post(self, message: letter.Message, now: Instant) -> int | None:
        """Put a message in line that is no report; return its id, ``None`` if it was there."""
        mail = self.plan.config.mail
        if mail is None:
            log.error("message_without_mail", name=message.name, key=message.key)
            return None
        center = self.plan.config.center.name
        own_id = letter.message_id(center, message.name, message.key, 0, mail.from_)
        new = NewMail(
            name=message.name,
            first=message.key,
            after="",
            period="",
            due=now,
            give_up=Instant(now + GIVE_UP_US),
            to=message.to,
        )
        content = letter.compose_message(message, mail.from_, own_id, now)
        return self.outbox.add(new, content=content, message_id=own_id)

    def retry(self, mail_id: int, now: Instant) -> Row:
        """Try a mail at once: one that waits, or one that was given up; return it as it was.

        Raises:
            RefusedError: No such mail, it is sent, or its report is no longer in the config.
        """
        rows = self.outbox.rows(1, mail_id)
        if not rows:
            raise RefusedError(f"no mail {mail_id}; `gkc report outbox` lists them")
        row = rows[0]
        if row["state"] == State.SENT:
            raise RefusedError(
                f"mail {mail_id} was sent; once more: gkc report send {row['name']} --again"
            )
        if row["state"] == State.FAILED and not row["after"]:
            raise RefusedError(f"mail {mail_id} was of its moment; it is not made again")
        if row["state"] == State.FAILED:
            report = self.plan.reports.get(row["name"])
            if report is None:
                raise RefusedError(
                    f"mail {mail_id}: no report {row['name']} in the config any more"
                )
            to = self.plan.addresses(report)
            self.outbox.again(mail_id, to, now, Instant(now + GIVE_UP_US))
        self.send_all(now, mail_id)
        return row

    def send_all(self, now: Instant, mail_id: int | None = None) -> int:
        """Let everything that waits be tried at once; return how many mails that is."""
        self.server_again = Instant(0)
        return self.outbox.hurry(now, mail_id)

    # --- what is due ----------------------------------------------------------------------------

    def _line_up(self, now: Instant) -> None:
        plan = self.plan
        followed = self.outbox.follow(list(plan.reports), now)
        known = self.outbox.known(Instant(now - 2 * MADE_UP_US))
        for name, report in plan.reports.items():
            since = Instant(max(followed[name], now - MADE_UP_US))
            for due in due_between(report, since, now, plan.zone):
                if (name, due.first.isoformat()) in known:
                    continue
                mail_id = self._add(name, report, due, due.at, 0, asked=now)
                if mail_id is not None:
                    log.info("report_due", name=name, period=due.label, mail=mail_id)

    def _add(
        self, name: str, report: ReportModel, due: Due, at: Instant, copy: int, *, asked: Instant
    ) -> int | None:
        return self.outbox.add(
            NewMail(
                name=name,
                first=due.first.isoformat(),
                after=due.after.isoformat(),
                period=due.label,
                due=at,
                give_up=Instant(asked + GIVE_UP_US),
                to=self.plan.addresses(report),
                copy=copy,
            )
        )

    # --- making ---------------------------------------------------------------------------------

    async def _make_due(self, now: Instant) -> None:
        place = (-1, -1)
        while row := self.outbox.next(State.DUE, now, place):
            place = _place(row)
            if self.outbox.bytes_waiting() >= WAITING_BYTES_MAX:
                log.warning("outbox_full", bytes_max=WAITING_BYTES_MAX)
                return
            await self._make(row, now)

    async def _make(self, row: Row, now: Instant) -> None:
        mail_id, name, plan = row["mail_id"], row["name"], self.plan
        report, mail = plan.reports.get(name), plan.config.mail
        if report is None or mail is None:
            self._give_up(row, f"no report {name} in the config any more")
            return
        to = self.outbox.addresses(mail_id)
        try:
            content, own_id = await self._made(plan, report, mail, row, to, now)
        except MakingError as error:
            self._not_made(row, str(error), now)
        except Exception as error:
            # Ours; one report that we cannot make must not hold up the others.
            log.exception("report_failed", name=name, mail=mail_id)
            self._not_made(row, f"our mistake, see the log: {error!r}", now)
        else:
            self.outbox.made(mail_id, content, own_id, now)
            log.info("report_made", name=name, mail=mail_id, bytes=len(content))

    async def _made(
        self,
        plan: Plan,
        report: ReportModel,
        mail: MailModel,
        row: Row,
        to: Sequence[str],
        now: Instant,
    ) -> tuple[bytes, str]:
        """Return the mail of a report, and its Message-ID."""
        config = plan.config
        first, after = date.fromisoformat(row["first"]), date.fromisoformat(row["after"])
        due = Due(at=row["due"], first=first, after=after)
        made = await self.maker.make(report, due)
        own_id = letter.message_id(
            config.center.name, row["name"], row["first"], row["copy"], mail.from_
        )
        around = letter.Letter(
            report=report,
            first=due.first,
            after=due.after,
            label=due.label,
            center=config.center.title,
            body=config.recipients[report.recipient].title if report.recipient else None,
            service=config.services[report.service].title if report.service else None,
            queue=config.queues[report.queue].title if report.queue else None,
            sender=mail.from_,
            to=to,
            message_id=own_id,
            summary=made.summary,
            attachment=made.content,
        )
        return letter.compose(around, now), own_id

    def _not_made(self, row: Row, error: str, now: Instant) -> None:
        tries = row["attempts"] + 1
        if tries >= MAKING_TRIES:
            self._give_up(row, f"not made after {MAKING_TRIES} tries: {error}")
            return
        log.warning("report_not_made", name=row["name"], mail=row["mail_id"], error=error)
        again = Instant(now + pause_us(tries))
        self.outbox.put_off(row["mail_id"], State.DUE, error, again)

    # --- sending --------------------------------------------------------------------------------

    async def _send_queued(self, mail: MailModel, now: Instant) -> None:
        """Send in order. A server that is away stops the round; one bad mail does not."""
        broken = 0
        row = self.outbox.next(State.QUEUED, now)
        while row is not None:
            tried = row
            try:
                async with self.open_session(mail, self.plan.folder) as session:
                    while row is not None:
                        tried = row
                        await self._send(session, tried, now)
                        self.server_tries = broken = 0
                        row = self.outbox.next(State.QUEUED, now, _place(tried))
            except ServerError as error:
                # Its turn stays what it was: else one that came later would go before it.
                self.outbox.put_off(tried["mail_id"], State.QUEUED, str(error), tried["next_try"])
                self._server_away(str(error), now)
                return
            except BrokenOffError as error:
                broken += 1
                self._put_off(tried, str(error), now)
                if broken == BROKEN_OFF_MAX:
                    self._server_away(str(error), now)
                    return
                row = self.outbox.next(State.QUEUED, now, _place(tried))

    async def _send(self, session: Sends, row: Row, now: Instant) -> None:
        mail_id = row["mail_id"]
        self.outbox.sending(mail_id)
        to = self.outbox.addresses(mail_id)  # nobody: all have it, and one left the config
        outcome = await session.send(to, row["content"]) if to else Outcome()
        self._told = (row, outcome)
        self._note_told(now)

    def _note_told(self, now: Instant) -> None:
        """Put on record what the server said; again at the next look if that failed now."""
        if self._told is None:
            return
        row, outcome = self._told
        mail_id = row["mail_id"]
        self.outbox.reached(mail_id, outcome.sent, State.SENT)
        self.outbox.reached(mail_id, outcome.refused, State.FAILED)
        for address, reply in outcome.refused.items():
            log.error("mail_refused", name=row["name"], mail=mail_id, to=address, reply=reply)
        if outcome.later:
            self.outbox.reached(mail_id, outcome.later, State.QUEUED)
            said = "; ".join(f"{address}: {reply}" for address, reply in outcome.later.items())
            self._put_off(row, said, now)
        else:
            state = self.outbox.finished(mail_id, now)
            period = row["period"]
            log.info("mail_done", name=row["name"], period=period, mail=mail_id, state=state)
        self._told = None

    def _put_off(self, row: Row, error: str, now: Instant) -> None:
        log.warning("mail_put_off", name=row["name"], mail=row["mail_id"], error=error)
        again = Instant(now + pause_us(row["attempts"] + 1))
        self.outbox.put_off(row["mail_id"], State.QUEUED, error, again)

    def _server_away(self, error: str, now: Instant) -> None:
        self.server_tries += 1
        self.server_again = Instant(now + pause_us(self.server_tries))
        log.warning("mail_server_away", error=error, tries=self.server_tries)

    def _give_up(self, row: Row, error: str) -> None:
        log.error("report_given_up", name=row["name"], mail=row["mail_id"], error=error)
        self.outbox.give_up(row["mail_id"], error)


def _place(row: Row) -> tuple[int, int]:
    return (row["due"], row["mail_id"])
