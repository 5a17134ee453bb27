"""The citizens' calls that we know of, each found by Asterisk's Uniqueid of the citizen's leg.

Identity is the Uniqueid, never a channel variable: variables can be set from outside and travel
with transfers.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field

from gkc_engine.acd.commands import Command, OfferContact
from gkc_engine.acd.events import Party
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId
from gkc_engine.ivr.fastagi import AgiSession

INBOX_MAX = 64
"""Commands unread by one socket; the core sends a handful between two answers."""


@dataclass(slots=True, kw_only=True)
class Recording:
    """The file that a talk is recorded to."""

    offer_id: OfferId
    name: str
    """Below the folder of recordings."""
    channel: str
    """The leg it is made on; empty until it is begun."""
    muted: bool
    told: bool = False
    """Whether it is on record: there was a word of it."""
    part: int = 1
    """Of the talks that one offer led to, handed over from operator to operator."""


@dataclass(slots=True, kw_only=True, eq=False)
class Outside:
    """A number outside that a citizen is put through to (``put_through``)."""

    target: str = ""
    """What Dial is told; empty: another engine or the operator's own call dialled."""
    ring_s: int = 0
    max_s: int = 0
    """The longest talk; 0: not ours to tell."""
    caller_id: str = ""
    leg: str | None = None
    """The other party's channel."""
    answered: Instant | None = None
    ended: Instant | None = None
    cause: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when Asterisk has told the end of ``leg``."""
    unbridged: bool = False
    """Handed over in the instant of the other party's answer, before Asterisk had bridged it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One citizen's line, from the first AGI session to Asterisk's Hangup."""

    contact_id: ContactId
    leg: str
    channel: str
    entry: str = ""
    consult: bool = False
    """No citizen's, but an operator's own call that stands in a queue (``consults``)."""
    guest: bool = False
    """Another center's citizen: its music plays for him until an operator of ours answers."""
    blocked: bool = False
    """He is on the block list and has just come: he is to be told so, and nothing else."""
    language: str = "ru"
    answered: bool = False
    """Whether our 200 is out: from then on the citizen pays."""
    free_ring: bool = False
    """``answer: operator``: while only operators' phones ring for him, he does not pay."""
    session: AgiSession | None = None
    """The socket that holds the citizen now; ``None`` while Asterisk holds him alone."""
    inbox: deque[Command] = field(default_factory=deque)
    """What the core wants done with him, in order; read by whoever holds the socket."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while ``inbox`` holds something."""
    listening: bool = False
    """Whether he hears music and nothing else: ``arrived`` may wake him for an announcement."""
    dialling: OfferContact | None = None
    """The offer whose Dial runs (ring and talk)."""
    rescinded: set[OfferId] = field(default_factory=set)
    legs: dict[str, AgentId] = field(default_factory=dict)
    """Operators' legs that this Dial made, ringing or talking."""
    causes: dict[str, int] = field(default_factory=dict)
    """Hang-up cause of each of those legs that is gone."""
    ends: dict[str, Instant] = field(default_factory=dict)
    """When each of them was gone, as Asterisk tells it."""
    rang: set[str] = field(default_factory=set)
    """Those of these legs that said that they ring."""
    out: set[str] = field(default_factory=set)
    """Those of several (``ring: all``) that are out while others ring."""
    answered_by: AgentId | None = None
    talk_leg: str | None = None
    ended_by: Party | None = None
    """Who is about to end it, when it is not the citizen."""
    end_reason: str = ""
    """Why, when it is not Asterisk's hang-up cause that tells it."""
    leased: bool = True
    """Whether the dialplan takes him on when our lease on him runs out."""
    lease_set: float = -math.inf
    """When (loop time, s) the lease was set together with other variables, before he waits."""
    back: Instant | None = None
    """When he last came to us, new or out of Asterisk's hands."""
    let_go: Instant | None = None
    """When our last socket of him ended; ``None`` before this engine's first one."""
    leg_gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever an operator's leg of this call has ended."""
    leg_bound: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once this Dial has made a leg."""
    recording: Recording | None = None
    mixed: bool = False
    """Whether a talk was recorded on his channel that another recording there may suffer from."""
    parting: str | None = None
    """The operator's leg whose talk is about to have a recording of its own."""
    earlier: bool = False
    """Whether an engine before us held him: his channel knows what it recorded."""
    noticed: bool = False
    """Whether he has been told that the talk is recorded."""
    outside: Outside | None = None
    """Whom he is being put through to, or talks with since."""
    word: tuple[OfferId, str] | None = None
    """What the phone shows of this offer in place of the queue's title."""
    shown: QueueId | None = None
    """The queue whose title operators' phones show as the caller's name."""

    def tell(self, command: Command) -> bool:
        """Hand a command to whoever reads the socket. False = 64 are unread: a stuck reader."""
        if len(self.inbox) >= INBOX_MAX:
            return False
        self.inbox.append(command)
        self.arrived.set()
        return True

    def take(self) -> Command:
        """Return the next command; there must be one."""
        command = self.inbox.popleft()
        if not self.inbox:
            self.arrived.clear()
        return command


class Calls:
    """All of them, by leg and by contact; a call leaves when Asterisk says Hangup."""

    def __init__(self) -> None:
        self.by_leg: dict[str, Call] = {}
        self.by_contact: dict[ContactId, Call] = {}
        self.by_agent_leg: dict[str, Call] = {}
        self._offered: dict[AgentId, Call] = {}

    def add(self, call: Call) -> None:
        """Take a new call in."""
        assert call.leg not in self.by_leg, call.leg
        self.by_leg[call.leg] = call
        self.by_contact[call.contact_id] = call

    def wake(self) -> None:
        """Let those who only listen to music be asked at once what they are to be told."""
        for call in self.by_leg.values():
            if call.listening:
                call.arrived.set()

    def bind(self, call: Call, leg: str, agent_id: AgentId) -> None:
        """Note that ``leg`` is an operator's phone, rung or talking for ``call``."""
        call.legs[leg] = agent_id
        call.leg_bound.set()
        self.by_agent_leg[leg] = call

    def remove(self, call: Call) -> None:
        """The citizen's line is gone."""
        self.by_leg.pop(call.leg, None)
        self.by_contact.pop(call.contact_id, None)
        self.end_dial(call)

    def start_dial(self, call: Call, offer: OfferContact) -> None:
        """Note that ``call``'s Dial for ``offer`` runs from now on."""
        call.dialling = offer
        for agent_id in offer.agent_ids:
            self._offered[agent_id] = call

    def end_dial(self, call: Call) -> None:
        """Forget the Dial that has returned; its legs end with facts of their own."""
        if call.dialling is not None:
            for agent_id in call.dialling.agent_ids:
                if self._offered.get(agent_id) is call:
                    del self._offered[agent_id]
        call.dialling = None
        call.legs.clear()
        call.causes.clear()
        call.ends.clear()
        call.rang.clear()
        call.out.clear()
        call.leg_bound.clear()
        call.answered_by = None
        call.talk_leg = None
        call.leg_gone.clear()

    def leg_out(self, call: Call, leg: str) -> bool:
        """Note that one of several phones is out; ``False`` = none of the others rings any more."""
        if not call.legs.keys() - call.out - {leg}:
            return False
        call.out.add(leg)
        # What his phone does from now on is a call of his own.
        if self._offered.get(call.legs[leg]) is call:
            del self._offered[call.legs[leg]]
        return True

    def awaits_leg_of(self, agent_id: AgentId) -> bool:
        """Whether a Dial of ours is about to make a leg on this operator's phone."""
        call = self._offered.get(agent_id)
        return call is not None and agent_id not in call.legs.values()

    def leg_ended(self, leg: str, cause: int, at: Instant | None = None) -> Call | None:
        """Note the end of an operator's leg; return the call it belonged to."""
        call = self.by_agent_leg.pop(leg, None)
        if call is not None:
            call.legs.pop(leg, None)
            call.causes[leg] = cause
            if at is not None:
                call.ends[leg] = at
            call.leg_gone.set()
        return call
