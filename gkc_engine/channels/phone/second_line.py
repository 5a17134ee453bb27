"""Operators' ways to the second line and back: what a code means, and whether anybody is there.

``*49`` is the number of the second line of the present citizen's service; ``*40`` gives a citizen
back to who sent him. What becomes of it is the core's; here is only what it cannot know: whether
another center that could help is heard at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd.transfers import NOBODY_SENT
from gkc_engine.channels.phone.calls import Call
from gkc_engine.ids import AgentId, QueueId
from gkc_engine.numbers import SECOND_LINE_CODE

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

NONE: Final = "no second line"
"""Why a citizen is not handed on: his service has none, or he is another center's."""

NOBODY: Final = "nobody there"
"""No operator of ours is at work for it, and no other center is heard that could help."""

_WORDS: Final = {
    NONE: ("Второй линии нет", "No second line"),
    NOBODY: ("Вторая линия недоступна", "Second line not available"),
    "closed": ("Вторая линия закрыта", "Second line is closed"),
    "emergency": ("Вторая линия закрыта", "Second line is closed"),
    NOBODY_SENT: ("Возвращать некому", "Nobody sent him"),
}


class SecondLine:
    """Knows the second lines of our services."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self.served_elsewhere: Callable[[QueueId], bool] = lambda _queue: False
        """Whether another center is there to serve a queue's contacts (``federation``)."""

    def behind(self, number: str, call: Call | None) -> QueueId | None:
        """Return the queue that ``*49`` means for a citizen's call; ``None``: another number."""
        if number != SECOND_LINE_CODE or call is None:
            return None
        view = self._channel.contact(call.contact_id)
        queue = None if view is None else view.queue
        return None if queue is None else self._channel.plan.second_line_of.get(queue)

    def is_one(self, queue: QueueId | None) -> bool:
        """Whether a queue is a second line."""
        return queue in self._channel.plan.second_lines

    def barred(self, queue: QueueId | None, call: Call | None) -> str:
        """Return why nobody can be handed on into a queue; empty: he can, or it is none."""
        if queue is None:
            return NONE
        if not self.is_one(queue):
            return ""
        view = self._channel.engine.acd.queue_view(queue)
        if view is not None and view.logged_in > 0:
            return ""
        # A guest has one owner, who sends him on: we do not.
        ours = call is None or not call.guest
        return "" if ours and self.served_elsewhere(queue) else NOBODY

    def show_why(self, call: Call, agent_id: AgentId, said: Sequence[cmd.Command]) -> None:
        """Let the phone of who has him back, and had sent him, show that."""
        back = next((c for c in said if isinstance(c, cmd.OfferContact)), None)
        if back is None or back.agent_ids != (agent_id,):
            return
        ends = (c.reason for c in said if isinstance(c, cmd.SegmentClosed))
        ru, en = _WORDS.get(next(ends, ""), _WORDS[NOBODY])
        call.word = (back.offer_id, ru if self._channel.plan.language == "ru" else en)
