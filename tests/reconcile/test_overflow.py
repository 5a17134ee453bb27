"""What centers do for each other, against Asterisk's lists: a guest's line, a trunk's leg."""

from __future__ import annotations

from pathlib import Path

from gkc_engine.acd import events as ev
from gkc_engine.acd.guests import HANDED_OVER
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId, seconds
from gkc_engine.reconcile.model import Count, Kind, Outcome
from tests.reconcile.day import Day, Line

THERE = AgentId("sever:115")


class Joined(Day):
    """A day of a center that others ask, and that asks others."""

    def asked(self, guest: str, *, advice: bool = False) -> None:
        self.say(
            ev.ReservationAsked(
                reservation_id=ContactId(guest),
                owner="sever",
                contact_id=ContactId("s1"),
                queue=QueueId("passport"),
                waited_us=seconds(30),
                hold_us=seconds(3),
                advice=advice,
            )
        )

    def comes(self, guest: str) -> None:
        line = self.lines[guest] = Line(guest, self.uid(), self.wall)
        self.asterisk.leg("CHAN_START", self.wall, "PJSIP/sever-1", line.uid, context="gkc-centers")
        self.say(ev.GuestArrived(contact_id=ContactId(guest), uniqueid=line.uid, at=self.now))

    def sent(self, contact: str, reservation: str) -> None:
        """Another center's operator is kept free for one who waits; the trunk is dialled."""
        line = self.lines[contact]
        commands = self.say(
            ev.ReservationGranted(
                contact_id=ContactId(contact),
                reservation_id=ContactId(reservation),
                center="sever",
                agent_id=THERE,
                until=Instant(self.now + seconds(3)),
                timeout_us=seconds(20),
            )
        )
        assert commands
        line.phone, line.channel = self.uid(), f"PJSIP/sever-{self.legs:08x}"
        self.phone_leg("CHAN_START", line)

    def answered_there(self, contact: str, offer: int, *, leg: bool = True) -> None:
        line = self.lines[contact]
        self.phone_leg("ANSWER", line)
        line.answered = self.wall
        self.asterisk.leg("ANSWER", self.wall, "PJSIP/trunk-1", line.uid)
        self.say(
            ev.OfferAccepted(
                offer_id=OfferId(offer),
                agent_id=THERE,
                leg=line.phone if leg else None,
                at=self.now,
            )
        )


def found(day: Joined, folder: Path) -> Outcome:
    day.at(300)
    return day.written(folder).verified()


def test_a_guest_came_when_its_line_did_not_when_an_operator_was_kept_free(tmp_path: Path) -> None:
    day = Joined()
    day.login("anna")
    day.at(10).call("c0")  # So that the file begins before.
    day.goes("c0", phone=False)
    day.at(20)
    day.asked("r1")
    day.at(22.5)
    day.comes("r1")
    day.at(23)
    assert day.ring("r1") == "anna"
    day.at(27).picks_up("r1")
    day.at(60).goes("r1")
    outcome = found(day, tmp_path)
    assert outcome.differences == []
    assert outcome.counts[Count.CONTACTS] == 2


def test_a_guests_talk_on_another_leg_is_found(tmp_path: Path) -> None:
    day = Joined()
    day.login("anna")
    day.asked("r1")
    day.comes("r1")
    day.ring("r1")
    day.at(4).picks_up("r1")
    day.at(60).goes("r1")
    written = day.at(300).written(tmp_path)
    written.change("UPDATE segment SET channel_uniqueid = 'centr-1.1' WHERE kind = 'talk'")
    assert Kind.SEGMENT_LEG in {one.kind for one in written.verified().differences}


def test_a_guest_that_did_not_come_is_no_call(tmp_path: Path) -> None:
    day = Joined()
    day.login("anna")
    day.at(10).call("c0")
    day.goes("c0", phone=False)
    day.at(20)
    day.asked("r1")
    outcome = found(day, tmp_path)
    assert outcome.differences == []
    assert outcome.counts[Count.CONTACTS] == 1


def test_a_guest_without_its_line_is_missed(tmp_path: Path) -> None:
    day = Joined()
    day.login("anna")
    day.at(10).call("c0")
    day.goes("c0", phone=False)
    day.at(20)
    day.asked("r1")
    day.say(ev.GuestArrived(contact_id=ContactId("r1"), uniqueid="centr-9.9", at=day.now))
    day.at(30).leave("r1")
    assert [one.kind for one in found(day, tmp_path).differences] == [Kind.NO_LEG]


def test_the_trunks_leg_is_the_operators_of_another_center(tmp_path: Path) -> None:
    for leg in (True, False):
        day = Joined()
        day.at(10).call("c1")
        day.at(15)
        day.sent("c1", "g1")
        day.at(20)
        day.answered_there("c1", 1, leg=leg)
        day.at(60).goes("c1")
        assert found(day, _made(tmp_path / str(leg))).differences == [], leg


def test_a_ring_over_the_trunk_is_that_offers(tmp_path: Path) -> None:
    day = Joined()
    day.at(10).call("c1")
    day.at(15)
    day.sent("c1", "g1")
    day.say(ev.OfferRinging(offer_id=OfferId(1), at=day.now))
    day.at(25)
    day.phone_leg("HANGUP", day.lines["c1"])
    day.say(ev.OfferFailed(offer_id=OfferId(1), failure=ev.OfferFailure.NO_ANSWER, at=day.now))
    day.at(40).goes("c1", phone=False)
    assert found(day, tmp_path).differences == []


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_line_of_who_asks_for_advice_is_a_guests(tmp_path: Path) -> None:
    for handed_over in (False, True):
        day = Joined()
        day.login("anna")
        day.at(10).call("c0")
        day.goes("c0", phone=False)
        day.at(20)
        day.asked("r1", advice=True)
        day.at(21)
        day.comes("r1")
        day.ring("r1")
        day.at(27).picks_up("r1")
        if handed_over:
            day.at(40)
            day.say(ev.ReservationReleased(reservation_id=ContactId("r1"), reason=HANDED_OVER))
        day.at(60).goes("r1")
        written = day.at(300).written(_made(tmp_path / str(handed_over)))
        assert written.verified().differences == []
        written.change("UPDATE segment SET channel_uniqueid = 'centr-1.1' WHERE kind = 'consult'")
        assert Kind.SEGMENT_LEG in {one.kind for one in written.verified().differences}
