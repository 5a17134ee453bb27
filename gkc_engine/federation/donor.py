"""The donor's side: what is asked of us, and that it is answered once. Sans-IO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.federation.messages import Ask, Deny, Grant, QueueLoad, Release
from gkc_engine.federation.settings import HOLD_US, FederationSettings
from gkc_engine.ids import ContactId, Micros, QueueId

REMEMBERED: Final = 2_000
"""Answers, so that what is asked twice is answered alike; the oldest are forgotten."""

FLOOR = "floor"
NOT_ASKABLE = "not_askable"
RELEASED = "released"


class Donor:
    """Hands what is asked to the core, and its answer back."""

    def __init__(self, settings: FederationSettings) -> None:
        self.settings = settings
        self.counted: Counter[tuple[str, str]] = Counter()
        """(Owner, ``granted``, why not, or the disposition of its guest) -> how often, since the
        start."""
        self._answers: dict[ContactId, tuple[str, Grant | Deny | None]] = {}
        """Reservation -> its owner, and the answer; ``None``: the core has not given it yet."""
        self._over: dict[ContactId, None] = {}
        """Released before they were asked for: the two have crossed."""

    def asked(
        self, owner: str, ask: Ask, loads: Mapping[QueueId, QueueLoad]
    ) -> ev.ReservationAsked | Grant | Deny | None:
        """Return what the core is to be asked, or the answer; ``None``: it is on its way.

        Args:
            owner: Who asks.
            ask: What for.
            loads: How our queues stand.
        """
        reservation_id = ContactId(ask.reservation_id)
        if reservation_id in self._answers:
            before, answer = self._answers[reservation_id]
            return (
                answer
                if before == owner
                else Deny(reservation_id=ask.reservation_id, reason=NOT_ASKABLE)
            )
        queue = QueueId(ask.queue)
        load = loads.get(queue)
        low = load is not None and load.sl_milli is not None
        if low and load.sl_milli < self.settings.own_sl_min_milli:  # type: ignore[union-attr,operator]
            return self._remember(owner, Deny(reservation_id=ask.reservation_id, reason=FLOOR))
        if reservation_id in self._over:
            return self._remember(owner, Deny(reservation_id=ask.reservation_id, reason=RELEASED))
        self._keep(reservation_id, owner, None)
        return ev.ReservationAsked(
            reservation_id=reservation_id,
            owner=owner,
            contact_id=ContactId(ask.contact_id),
            queue=queue,
            waited_us=Micros(ask.waited_us),
            hold_us=HOLD_US,
            keep_free=0 if queue in self.settings.second_lines else self.settings.keep_free,
            contact_class=ask.contact_class,
            head_start_us=None if ask.head_start_us is None else Micros(ask.head_start_us),
            slope_milli=ask.slope_milli,
            brief=ask.brief,
            advice=ask.advice,
        )

    def released(self, owner: str, release: Release) -> ev.ReservationReleased | None:
        """Return what the core is to be told, if the reservation is this owner's."""
        reservation_id = ContactId(release.reservation_id)
        known = self._answers.get(reservation_id)
        if known is None:
            self._over[reservation_id] = None
            if len(self._over) > REMEMBERED:
                del self._over[next(iter(self._over))]
            return None
        if known[0] != owner:
            return None
        return ev.ReservationReleased(reservation_id=reservation_id, reason=release.reason)

    def said(self, command: cmd.Command) -> tuple[str, Grant | Deny] | None:
        """Return whom to answer, and what, if the command is an answer."""
        match command:
            case cmd.GrantReservation():
                grant = Grant(
                    reservation_id=command.reservation_id,
                    agent_id=command.agent_id,
                    hold_us=command.hold_us,
                    timeout_us=command.timeout_us,
                )
                return command.owner, self._remember(command.owner, grant)
            case cmd.DenyReservation():
                deny = Deny(reservation_id=command.reservation_id, reason=command.reason)
                return command.owner, self._remember(command.owner, deny)
            case cmd.ContactEnded() if command.owner is not None:
                self.counted[command.owner, command.disposition.value] += 1
                return None
            case _:
                return None

    def _remember(self, owner: str, answer: Grant | Deny) -> Grant | Deny:
        self._keep(ContactId(answer.reservation_id), owner, answer)
        what = "granted" if isinstance(answer, Grant) else answer.reason
        self.counted[owner, what] += 1
        return answer

    def _keep(self, reservation_id: ContactId, owner: str, answer: Grant | Deny | None) -> None:
        self._answers[reservation_id] = (owner, answer)
        if len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
