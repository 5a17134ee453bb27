"""The donor's side of a call between centers: a guest's line, for an operator who is kept free.

The dialplan asks ``/guest`` and answers nothing. A token that is not for us ends the line at once;
else the core is told that the guest is here, and rings the operator, or turns the guest back. The
citizen's own center keeps his place whatever we do.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.contact_token import ContactToken, TokenError, TokenSigner
from gkc_engine.channels.phone.serve import CitizenSession
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import ContactId
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

REMEMBERED: Final = 2_000
"""Reservations whose guest has come, the oldest are forgotten: the core has no room for those."""

CAUSE_REFUSED: Final = 38
"""Q.850 "network out of order": the owner takes this trunk for broken, and leaves it alone."""


class Guests:
    """Serves them, and counts whom it did not."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self._came: OrderedDict[ContactId, None] = OrderedDict()
        self.refused: Counter[str] = Counter()
        """Why -> how often since the start: ``missing``, ``malformed``, ``forged``, ``foreign``,
        ``replayed``, ``closed``."""

    async def serve(self, agi: AgiSession) -> None:
        """Serve a guest's first socket to its end.

        Raises:
            AgiClosed: his center took him back, or Asterisk goes on by itself.
        """
        try:
            token = self._token(agi)
        except TokenError as error:
            self.refused[error.reason] += 1
            log.warning("guest_refused", reason=error.reason, trunk=endpoint_of(agi.channel))
            await agi.set_variable("GKC_DONE", "1")
            await agi.exec("Hangup", CAUSE_REFUSED)
            return
        await self._come(token, agi)

    def _token(self, agi: AgiSession) -> ContactToken:
        """Return the token by which a guest comes to us, once.

        Raises:
            TokenError: He is not let in.
        """
        between = self._channel.plan.between
        if between is None or not self._channel.engine.accepting:
            raise TokenError("closed")
        text = agi.request.arguments[1] if len(agi.request.arguments) > 1 else ""
        token = TokenSigner(between.token_key).read(text)
        sender = between.comes.get(endpoint_of(agi.channel) or "")
        if token.donor != between.center or token.owner != sender:
            raise TokenError("foreign")
        if token.reservation_id in self._came or token.reservation_id in (
            self._channel.calls.by_contact
        ):
            raise TokenError("replayed")
        self._came[token.reservation_id] = None
        if len(self._came) > REMEMBERED:
            self._came.popitem(last=False)
        return token

    async def _come(self, token: ContactToken, agi: AgiSession) -> None:
        channel = self._channel
        view = channel.contact(token.reservation_id)
        call = Call(
            contact_id=token.reservation_id,
            leg=agi.uniqueid,
            channel=agi.channel,
            language=(view.language if view is not None else "") or channel.plan.language,
            guest=True,
            noticed=True,  # his own center records, and has told him
        )
        channel.calls.add(call)
        await channel.sockets.hold(call, agi, self._serve(call, token, agi))

    async def _serve(self, call: Call, token: ContactToken, agi: AgiSession) -> None:
        channel, request, now = self._channel, agi.request, self._channel.now()
        log.info("guest_came", owner=token.owner)
        known = channel.contact(call.contact_id)
        citizen = None  # An operator's own extension is nobody's key.
        if known is None or not known.advice:
            citizen = channel.desk.citizen(request.callerid_num, request.callerid_name, now)
        channel.submit(
            ev.GuestArrived(
                contact_id=call.contact_id,
                citizen=citizen,
                language=call.language,
                uniqueid=call.leg,
            ),
            f"guest:{call.leg}",
        )
        # While the commit of his arrival runs: the offer finds it done.
        view = channel.contact(call.contact_id)
        queue = view.queue if view is not None else None
        native = channel.plan.fallbacks.get(queue) if queue is not None else None
        await agi.exec(
            "MSet", f"GKC_CONTACT={call.contact_id}", f"GKC_FALLBACK={native or 'gkc-default'}"
        )
        await CitizenSession(channel, call, agi, channel.entry_desk.announcer).serve()
