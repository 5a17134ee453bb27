"""Talks that a citizen had while we were away, told to the core in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.cel import PastLeg
from gkc_engine.ids import AgentId, Instant

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An operator's leg that was connected with a citizen."""

    agent_id: AgentId
    leg: str
    answered: Instant | None
    ended: Instant | None
    native: bool
    """The native queue connected them, not our Dial."""


def before(
    last: Talk,
    legs: Iterable[PastLeg],
    since: Instant,
    agent_of: Callable[[str | None], AgentId | None],
) -> list[Talk]:
    """Return the talks from ``since`` on that were over before ``last`` began, in their order.

    A colleague who was only asked answered and left while another had the citizen: he is none.
    """
    found: list[Talk] = []
    for told in sorted(legs, key=lambda told: told.answered or Instant(0)):
        agent_id, answered, ended = agent_of(told.endpoint), told.answered, told.ended
        if agent_id is None or answered is None or ended is None or last.answered is None:
            continue
        asked = bool(found) and ended <= (found[-1].ended or ended)
        if since <= answered and ended <= last.answered and not asked and told.leg != last.leg:
            found.append(
                Talk(agent_id=agent_id, leg=told.leg, answered=answered, ended=ended, native=True)
            )
    return found


def tell(
    channel: PhoneChannel,
    call: Call,
    talks: Sequence[Talk],
    *,
    left: tuple[AgentId, Instant] | None = None,
) -> None:
    """Tell the core of talks one after the other; between two of them Asterisk had the citizen.

    ``left``: whom the core takes him to talk with, and when that was over.
    """
    for talk in talks:
        if left is not None:
            channel.submit(
                ev.TransferRequested(contact_id=call.contact_id, from_agent=left[0], at=left[1]),
                f"moved:{call.leg}:{talk.leg}",
            )
        channel.submit(
            ev.FallbackAnswered(
                contact_id=call.contact_id,
                agent_id=talk.agent_id,
                at=talk.answered if talk.answered is not None else channel.now(),
                leg=talk.leg or None,
            ),
            f"fallback:{call.leg}:{talk.leg}",
        )
        left = None if talk.ended is None else (talk.agent_id, talk.ended)
