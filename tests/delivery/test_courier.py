"""Each report once, in order, whatever the mail server, the clock and the engine do meanwhile."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path

import pytest

from gkc_engine.config.models import Config
from gkc_engine.delivery.courier import GIVE_UP_US, Courier, RefusedError
from gkc_engine.delivery.outbox import LOG_KEPT_US, State
from gkc_engine.delivery.smtp import Limits
from gkc_engine.ids import SECOND, Instant
from tests.delivery.support import DAY, Maker, Server, city, courier, moment, serving

DAILY = '[{what: day, at: "07:30", to: [a@city.example, b@city.example]}]'
ONE = '{what: day, at: "07:30", to: a@city.example}'
EARLIER = '{what: queues, at: "07:29", to: a@city.example}'
AT = moment("2026-11-28T07:30+03:00")
MINUTE = 60 * SECOND


def later(minutes: float) -> Instant:
    """Return so many minutes after the report of the day was due."""
    return Instant(round(AT + minutes * MINUTE))


def states(one: Courier) -> list[tuple[str, str, int]]:
    """Return period, state and attempts of each mail, the oldest first."""
    return [(r["period"], r["state"], r["attempts"]) for r in reversed(one.outbox.rows(100))]


def attached(message: EmailMessage) -> str:
    """Return the text of the one attachment."""
    (part,) = message.iter_attachments()
    content = part.get_content()
    return (content if isinstance(content, str) else content.decode()).strip()


async def test_due_made_sent_and_on_record(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-1))
            assert states(one) == []
            await one.look(later(0))
            await one.look(later(1))
            assert states(one) == [("2026-11-27", "sent", 1)]
            (row,) = one.outbox.rows(1)
            first = one.outbox.next(State.SENT, later(9))
    assert server.envelopes == [("gkc@city.example", ["a@city.example", "b@city.example"])]
    (message,) = server.messages()
    assert message["Message-ID"] == row["message_id"]
    assert re.fullmatch(r"<gkc\.[0-9a-f]{32}@city\.example>", row["message_id"])
    assert first is not None
    assert first["content"] is None
    assert len(row["sha256"]) == 64
    assert row["sent"] == later(0)


async def test_a_restart_at_the_very_minute_sends_nothing_twice(tmp_path: Path) -> None:
    """The engine is gone after each step in turn; the next one goes on with the same file."""
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-1))
        async with courier(tmp_path, config) as one:
            one._line_up(later(0))
            assert states(one) == [("2026-11-27", "due", 0)]
        async with courier(tmp_path, config) as one:
            await one._make_due(later(0))
            assert states(one) == [("2026-11-27", "queued", 0)]
        for _ in range(3):
            async with courier(tmp_path, config) as one:
                await one.look(later(0))
                assert states(one) == [("2026-11-27", "sent", 1)]
    assert len(server.mails) == 1


async def test_cut_off_between_250_and_our_note_the_same_message_goes_again(tmp_path: Path) -> None:
    """The only window that SMTP leaves: the server has it and nobody on our side knows."""

    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-1))
            one._line_up(later(0))
            await one._make_due(later(0))
            row = one.outbox.next(State.QUEUED, later(0))
            assert row is not None
            assert one.plan.config.mail is not None
            one.outbox.sending(row["mail_id"])
            async with one.open_session(one.plan.config.mail, tmp_path) as session:
                await session.send(one.outbox.addresses(row["mail_id"]), row["content"])
            assert states(one) == [("2026-11-27", "sending", 0)]
        async with courier(tmp_path, config) as one:
            await one.look(later(1))
            assert states(one) == [("2026-11-27", "sent", 1)]
    first, second = server.mails
    assert first == second


async def test_what_was_due_while_no_engine_ran_is_made_up(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-10))
        async with courier(tmp_path, config) as one:
            await one.look(Instant(AT + 9 * DAY))
            periods = [period for period, _, _ in states(one)]
    # Seven days back to the minute, and no farther: of those the report of 11-29 is the first.
    assert periods == ["2026-11-29", "2026-11-30", *(f"2026-12-0{day}" for day in range(1, 7))]
    assert [attached(message) for message in server.messages()] == [f"day {p}" for p in periods]


async def test_a_new_report_is_not_made_up(tmp_path: Path) -> None:
    async with (
        serving(Server()) as server,
        courier(tmp_path, city(DAILY, server.port)) as one,
    ):
        await one.look(later(1))
        assert states(one) == []
        await one.look(later(24 * 60))
        assert states(one) == [("2026-11-28", "sent", 1)]


@pytest.mark.parametrize("step_h", [-1, 1])
async def test_a_step_of_the_clock_sends_nothing_twice_and_nothing_late(
    tmp_path: Path, step_h: int
) -> None:
    """The wall clock is stepped by an hour at 07:45, or at 07:00, and the engine restarts."""
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        before = 15 if step_h < 0 else -30
        async with courier(tmp_path, config) as one:
            for minutes in (-60, before):
                await one.look(later(minutes))
        async with courier(tmp_path, config) as one:
            await one.look(later(before + step_h * 60))
            assert [state for _, state, _ in states(one)] == ["sent"]
            for minutes in (0, 30):
                await one.look(later(minutes))
    assert len(server.mails) == 1


async def test_server_down_for_a_day_then_all_once_in_order(tmp_path: Path) -> None:
    entries = f"[{ONE}, {EARLIER}]"
    async with AsyncExitStack() as stack:
        server = Server()
        async with serving(server):
            pass  # A port where nobody listens any more.
        config = city(entries, server.port)
        one = await stack.enter_async_context(courier(tmp_path, config))
        looks = 0
        for minutes in (-10, 0, 1, 2, 5, 20, *range(60, 24 * 60 - 10, 60)):
            await one.look(later(minutes))
            looks += 1
        waiting = states(one)
        assert [(period, state) for period, state, _ in waiting] == [("2026-11-27", "queued")] * 2
        head = one.outbox.rows(2)[0]
        assert "Connect call failed" in head["last_error"] or "refused" in head["last_error"]
        # After 1, 2, 4, 8, 16, 30 minutes, so not at 2; and by the head of the line alone.
        assert sorted(tries for _, _, tries in waiting) == [0, looks - 2]
        await stack.enter_async_context(serving(server))
        # A new start asks at once: the head of the line, which was just tried, is still the first.
        again = await stack.enter_async_context(courier(tmp_path, config))
        for minutes in (23 * 60 + 1, 24 * 60 + 40):
            await again.look(later(minutes))
        assert {state for _, state, _ in states(again)} == {"sent"}
    subjects = [message["Subject"].split(":")[0] for message in server.messages()]
    assert subjects == ["Показатели очередей", "Отчёт за день"] * 2


@pytest.mark.parametrize("said", ["451 4.3.0 try again", "drop", "hang"])
async def test_a_mail_that_the_server_would_not_have_now_is_sent_later(
    tmp_path: Path, said: str
) -> None:
    limits = Limits(answer=0.2, mail=10.0)
    async with serving(Server(data=[said])) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config, limits=limits) as one:
            await one.look(later(-1))
            await one.look(later(0))
            assert states(one) == [("2026-11-27", "queued", 1)]
            (row,) = one.outbox.rows(1)
            assert row["last_error"]
            assert row["next_try"] == later(1)
            await one.look(later(0.5))
            assert server.mails == []
            await one.look(later(1))
            assert states(one) == [("2026-11-27", "sent", 2)]
    assert len(server.mails) == 1


async def test_one_bad_mail_holds_up_no_other(tmp_path: Path) -> None:
    entries = f"[{EARLIER}, {ONE}]"
    async with serving(Server(data=["drop"])) as server:
        config = city(entries, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-10))
            await one.look(later(0))
            assert sorted(state for _, state, _ in states(one)) == ["queued", "sent"]
            await one.look(later(1))
            assert {state for _, state, _ in states(one)} == {"sent"}
    subjects = [message["Subject"].split(":")[0] for message in server.messages()]
    assert subjects == ["Отчёт за день", "Показатели очередей"]


async def test_refused_for_good_is_given_up_at_once(tmp_path: Path) -> None:
    async with serving(Server(data=["554 5.7.1 no"])) as server:
        config = city(DAILY, server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-1))
            await one.look(later(0))
            await one.look(later(600))
            assert states(one) == [("2026-11-27", "failed", 1)]
            assert "a@city.example: 554 5.7.1 no" in one.outbox.rows(1)[0]["last_error"]
            one.retry(1, later(601))
            await one.look(later(601))
            assert states(one) == [("2026-11-27", "sent", 1)]
    assert len(server.mails) == 1


async def test_each_address_gets_its_own_answer(tmp_path: Path) -> None:
    """One is unknown, one greylisted: the third has it at once, and none gets it twice."""
    to = "[a@city.example, b@city.example, c@city.example]"
    rcpt = {"a@city.example": "550 unknown", "b@city.example": "450 come later"}
    async with serving(Server(rcpt=rcpt)) as server:
        config = city(f'[{{what: day, at: "07:30", to: {to}}}]', server.port)
        async with courier(tmp_path, config) as one:
            await one.look(later(-1))
            await one.look(later(0))
            assert states(one) == [("2026-11-27", "queued", 1)]
            del rcpt["b@city.example"]
            await one.look(later(2))
            (row,) = one.outbox.rows(1)
            assert row["state"] == "failed"
            assert row["last_error"] == "a@city.example: 550 unknown"
            assert [t["state"] for t in row["to"]] == ["failed", "sent", "sent"]
            # The address is put right, and only that one is sent to.
            one.plan = type(one.plan)(city(DAILY.replace("a@", "d@"), server.port), tmp_path)
            one.retry(1, later(3))
            await one.look(later(3))
            assert one.outbox.rows(1)[0]["state"] == "sent"
            # Asked for again with nobody left who has it not: nothing goes, and that is all right.
            one.outbox.give_up(1, "planted")
            one.retry(1, later(4))
            await one.look(later(4))
            assert one.outbox.rows(1)[0]["state"] == "sent"
    told = [to for _, to in server.envelopes]
    assert told == [["c@city.example"], ["b@city.example"], ["d@city.example"]]


async def test_what_cannot_be_made_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        config = city(DAILY, server.port)
        maker = Maker(fails=2)
        async with courier(tmp_path, config, maker=maker) as one:
            await one.look(later(-1))
            for minutes in (0, 0.5, 1, 3, 3.1):
                await one.look(later(minutes))
            assert states(one) == [("2026-11-27", "sent", 1)]
            maker.fails = 99
            for minutes in (24 * 60 + n for n in (0, 0.9, 1, 3, 7, 14.9, 15, 31, 62)):
                await one.look(later(minutes))
            assert maker.fails == 99 - 6
            (row,) = one.outbox.rows(1)
            assert row["state"] == "failed"
            assert (
                "not made after 6 tries: gkc report day: exit code 1: no room" in row["last_error"]
            )
    assert len(server.mails) == 1


async def test_a_mistake_of_ours_in_one_report_holds_up_no_other(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        config = city(f"[{EARLIER}, {ONE}]", server.port)
        async with courier(tmp_path, config, maker=Maker(broken="queues")) as one:
            await one.look(later(-10))
            await one.look(later(0))
            assert [state for _, state, _ in states(one)] == ["due", "sent"]
            assert (
                "our mistake, see the log: KeyError('planted')"
                in one.outbox.rows(9)[-1]["last_error"]
            )


async def test_after_three_days_nobody_tries_any_longer(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        pass
    config = city(DAILY, server.port)
    async with courier(tmp_path, config) as one:
        await one.look(later(-1))
        await one.look(later(0))
        await one.look(Instant(AT + GIVE_UP_US - 1))
        assert states(one)[0][1] == "queued"
        await one.look(Instant(AT + GIVE_UP_US))
        assert states(one)[0][1] == "failed"
        assert "not sent in time: 127.0.0.1" in one.outbox.rows(100)[-1]["last_error"]
        await one.look(Instant(AT + LOG_KEPT_US + DAY))
        assert ("2026-11-27", "failed", 2) not in states(one)


async def test_asked_for_by_hand(tmp_path: Path) -> None:
    async with (
        serving(Server()) as server,
        courier(tmp_path, city(DAILY, server.port)) as one,
    ):
        early = later(-60)
        one.send_now("day", early, again=False)
        await one.look(early)
        await one.look(later(1))  # its own time brings no second one
        assert states(one) == [("2026-11-27", "sent", 1)]
        with pytest.raises(RefusedError, match=r"day of 2026-11-27 is sent \(mail 1\); --again"):
            one.send_now("day", later(2), again=False)
        with pytest.raises(RefusedError, match="mail 1 was sent; once more: gkc report send day"):
            one.retry(1, later(2))
        with pytest.raises(RefusedError, match="no report 'daily'; there are: day"):
            one.send_now("daily", later(2), again=False)
        with pytest.raises(RefusedError, match="no mail 7"):
            one.retry(7, later(2))
        one.send_now("day", later(2), again=True)
        await one.look(later(2))
        first, second = server.messages()
        assert first["Message-ID"] != second["Message-ID"]


async def test_a_report_that_left_the_config_is_not_made(tmp_path: Path) -> None:
    async with (
        serving(Server()) as server,
        courier(tmp_path, city(DAILY, server.port)) as one,
    ):
        await one.look(later(-1))
        one._line_up(later(0))
        other: Config = city(DAILY.replace("what: day", "what: week"), server.port)
        one.plan = type(one.plan)(other, tmp_path)
        await one.look(later(0))
        assert states(one) == [("2026-11-27", "failed", 0)]
        assert "no report day in the config any more" in one.outbox.rows(1)[0]["last_error"]
    assert server.mails == []
