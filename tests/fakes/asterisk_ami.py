"""AMI of the fake Asterisk, on the wire; its events may be lost, doubled, late, out of order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.fakes.ami import BANNER, Fields, frame
from tests.fakes.asterisk import Asterisk
from tests.fakes.asterisk_queue import Member, NativeQueues


@dataclass(slots=True, kw_only=True)
class EventFaults:
    """Rates of what happens to one event; order is kept for each leg, not between legs."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_max_s: float = 2.0


class ManagerConnection(asyncio.Protocol):
    """One logged-in manager."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._buffer = b""
        self.logged_in = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._manager.connections[self] = None
        self.transport.write(BANNER)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._manager.connections.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            block, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            lines = block.decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines if ": " in line)
            self._manager.action(self, fields)

    def send(self, headers: Iterable[str]) -> None:
        self.transport.write(frame(*headers))

    def event(self, headers: Fields) -> None:
        self.send(f"{key}: {value}" for key, value in headers.items())

    def reply(self, fields: Fields, response: str = "Success", *lines: str) -> None:
        self.send([f"Response: {response}", f"ActionID: {fields['ActionID']}", *lines])

    def rows(self, fields: Fields, rows: Iterable[Fields]) -> None:
        action_id = f"ActionID: {fields['ActionID']}"
        self.reply(fields, "Success", "EventList: start", "Message: will follow")
        for row in rows:
            self.send([f"Event: {row['Event']}", action_id, *_lines(row)])
        self.send([f"Event: {fields['Action']}Complete", action_id, "EventList: Complete"])


def _lines(row: Fields) -> list[str]:
    return [f"{key}: {value}" for key, value in row.items() if key != "Event"]


def _duration(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class Manager:
    """The manager interface."""

    def __init__(self, pbx: Asterisk, queues: NativeQueues, rng: random.Random) -> None:
        self._pbx = pbx
        self._queues = queues
        self._rng = rng
        self.connections: dict[ManagerConnection, None] = {}
        self.faults = EventFaults()
        self.lost: list[tuple[int, Fields]] = []
        """Events that nobody got: when, and what."""
        self.unknown: set[str] = set()
        """Actions asked for that this fake does not know."""
        self._due: dict[str, int] = {}
        pbx.publish = self.publish

    def new_connection(self) -> ManagerConnection:
        return ManagerConnection(self)

    # --- events ----------------------------------------------------------------------------

    def publish(self, key: str, headers: Fields) -> None:
        """Send one event to everybody, or not, or twice, or later."""
        faults, now = self.faults, self._pbx.loop.now_us
        if self._rng.random() < faults.lost:
            self.lost.append((now, headers))
            return
        late = self._rng.random() < faults.late
        delay = self._rng.uniform(0, faults.late_max_s) if late else 0.0
        due = max(now + round(delay * 1_000_000), self._due.get(key, 0))
        if due > now:
            self._due[key] = due
        else:
            self._due.pop(key, None)
        self._send_at(due, headers)
        if self._rng.random() < faults.doubled:
            again = due + round(self._rng.uniform(0, faults.late_max_s) * 1_000_000)
            self._send_at(again, headers)

    def _send_at(self, due_us: int, headers: Fields) -> None:
        if due_us <= self._pbx.loop.now_us:
            self._send(headers)
        else:
            self._pbx.loop.call_at_us(due_us, self._send, headers)

    def _send(self, headers: Fields) -> None:
        for connection in list(self.connections):
            if connection.logged_in:
                connection.event(headers)

    # --- faults of the link ----------------------------------------------------------------

    def cut(self) -> None:
        """RST on every link."""
        for connection in list(self.connections):
            connection.transport.abort()

    def freeze(self) -> None:
        """Half-open: the peer hears nothing and is not told."""
        for connection in list(self.connections):
            connection.transport.frozen = True  # type: ignore[attr-defined]
            connection.transport.peer.frozen = True  # type: ignore[attr-defined]
            self.connections.pop(connection)

    # --- actions ---------------------------------------------------------------------------

    def action(self, link: ManagerConnection, fields: Fields) -> None:
        """Do what is asked and answer."""
        name = fields["Action"]
        handler = getattr(self, f"_{name.lower()}", None)
        if handler is None:
            self.unknown.add(name)
            link.reply(fields, "Error", "Message: Invalid/unknown command")
        else:
            handler(link, fields)

    def _login(self, link: ManagerConnection, fields: Fields) -> None:
        link.reply(fields, "Success", "Message: Authentication accepted")
        link.event({"Event": "FullyBooted", "Status": "Fully Booted"})
        link.logged_in = True

    def _ping(self, link: ManagerConnection, fields: Fields) -> None:
        link.reply(fields, "Success", "Ping: Pong")

    def _listcommands(self, link: ManagerConnection, fields: Fields) -> None:
        link.reply(fields, "Success", "Hangup: Hangup channel.  (Priv: system,call,all)")

    def _corestatus(self, link: ManagerConnection, fields: Fields) -> None:
        booted = datetime.fromtimestamp(self._pbx.booted_us // 1_000_000, UTC).astimezone()
        link.reply(
            fields,
            "Success",
            f"CoreStartupDate: {booted:%Y-%m-%d}",
            f"CoreStartupTime: {booted:%H:%M:%S}",
        )

    def _setvar(self, link: ManagerConnection, fields: Fields) -> None:
        name = fields.get("Channel")
        if name is None:
            self._pbx.globals[fields["Variable"]] = fields["Value"]
            link.reply(fields)
            return
        channel = self._pbx.find(name)
        if channel is None:
            link.reply(fields, "Error", "Message: No such channel")
            return
        if fields["Variable"] == "TIMEOUT(absolute)":
            channel.limit(float(fields["Value"]))
        else:
            channel.variables[fields["Variable"]] = fields["Value"]
        link.reply(fields)

    def _getvar(self, link: ManagerConnection, fields: Fields) -> None:
        channel = self._pbx.find(fields.get("Channel", ""))
        values = self._pbx.globals if "Channel" not in fields else {}
        values = values if channel is None else channel.variables
        link.reply(fields, "Success", f"Value: {values.get(fields['Variable'], '')}")

    def _hangup(self, link: ManagerConnection, fields: Fields) -> None:
        channel = self._pbx.find(fields["Channel"])
        if channel is None:
            link.reply(fields, "Error", "Message: No such channel")
            return
        link.reply(fields)
        channel.hang_up(int(fields.get("Cause", "16")))

    def _queueadd(self, link: ManagerConnection, fields: Fields) -> None:
        members = self._queues.members.setdefault(fields["Queue"], {})
        if fields["Interface"] in members:
            link.reply(fields, "Error", "Message: Unable to add interface: Already there")
            return
        members[fields["Interface"]] = Member(
            interface=fields["Interface"],
            name=fields.get("MemberName", ""),
            paused=fields.get("Paused") in ("true", "1", "yes"),
        )
        link.reply(fields)

    def _queueremove(self, link: ManagerConnection, fields: Fields) -> None:
        members = self._queues.members.get(fields["Queue"], {})
        if members.pop(fields["Interface"], None) is None:
            link.reply(fields, "Error", "Message: Unable to remove interface: Not there")
        else:
            link.reply(fields)

    def _queuepause(self, link: ManagerConnection, fields: Fields) -> None:
        for name, members in self._queues.members.items():
            member = members.get(fields["Interface"])
            if member is not None and fields.get("Queue", name) == name:
                member.paused = fields["Paused"] in ("true", "1", "yes")
        link.reply(fields)

    def _queuewithdrawcaller(self, link: ManagerConnection, fields: Fields) -> None:
        if self._queues.withdraw(fields["Queue"], fields["Caller"]):
            link.reply(fields)
        else:
            link.reply(fields, "Error", "Message: Caller not found")

    def _controlplayback(self, link: ManagerConnection, fields: Fields) -> None:
        if self._queues.wake(fields["Channel"]):
            link.reply(fields)
        else:
            link.reply(fields, "Error", "Message: No such channel")

    # --- lists -----------------------------------------------------------------------------

    def _coreshowchannels(self, link: ManagerConnection, fields: Fields) -> None:
        rows = [
            {
                "Event": "CoreShowChannel",
                "Channel": c.name,
                "Uniqueid": c.uniqueid,
                "Linkedid": c.linkedid,
                "ChannelStateDesc": c.state,
                "Application": c.application,
                "BridgeId": c.bridge,
                "Context": "gkc" if c.truth is not None else "gkc-phones",
                "Exten": c.variables.get("EXTEN", ""),
                "CallerIDNum": c.number,
                "Duration": _duration((self._pbx.loop.now_us - c.began_us) // 1_000_000),
                "ChanVariable": f"GKC_CONTACT={c.variables.get('GKC_CONTACT', '')}",
            }
            for c in self._pbx.channels.values()
        ]
        self._rng.shuffle(rows)  # not in order, says the contract
        link.rows(fields, rows)

    def _devicestatelist(self, link: ManagerConnection, fields: Fields) -> None:
        link.rows(
            fields,
            [
                {"Event": "DeviceStateChange", "Device": name, "State": phone.state()}
                for name, phone in self._pbx.phones.items()
            ],
        )

    def _queuestatus(self, link: ManagerConnection, fields: Fields) -> None:
        rows: list[Fields] = []
        for name in sorted({*self._queues.members, *(e.queue for e in self._queues.entries)}):
            rows.append({"Event": "QueueParams", "Queue": name})
            rows += [
                {
                    "Event": "QueueMember",
                    "Queue": name,
                    "Name": m.name,
                    "Location": m.interface,
                    "Paused": "1" if m.paused else "0",
                }
                for m in self._queues.members.get(name, {}).values()
            ]
            rows += [
                {
                    "Event": "QueueEntry",
                    "Queue": name,
                    "Position": str(place),
                    "Channel": e.channel.name,
                    "Uniqueid": e.channel.uniqueid,
                    "Wait": str((self._pbx.loop.now_us - e.joined_us) // 1_000_000),
                }
                for place, e in enumerate(self._queues.line(name), 1)
            ]
        link.rows(fields, rows)
