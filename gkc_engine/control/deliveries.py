"""Methods of the control socket about reports that are sent by themselves."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec

from gkc_engine.control.audit import Change
from gkc_engine.control.methods import LIMIT_MAX, Nothing
from gkc_engine.control.protocol import Json
from gkc_engine.control.server import Call, ControlServer

Row = dict[str, Any]


class Deliveries(Protocol):
    """What sends them: ``delivery.service.Delivery``. Each method raises GkcError to refuse."""

    async def outbox(self, limit: int, mail_id: int | None = None) -> list[Row]:
        """Return the last mails, the newest first."""
        ...

    async def send(self, name: str, *, again: bool) -> Row:
        """Put the last whole period of a report in line."""
        ...

    async def retry(self, mail_id: int) -> tuple[Row, Row]:
        """Try a mail at once; return it before and after."""
        ...

    async def send_all(self) -> int:
        """Try everything that waits at once."""
        ...


class ListOutbox(msgspec.Struct, forbid_unknown_fields=True):
    """The last mails, or one."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 50
    mail: int | None = None


class SendReport(msgspec.Struct, forbid_unknown_fields=True):
    """A report by its name; ``again``: also when its period is in line or sent."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    again: bool = False


class OneMail(msgspec.Struct, forbid_unknown_fields=True):
    """One mail by its number."""

    mail: int


class DeliveryMethods:
    """``report.outbox``, ``report.send``, ``report.retry``, ``report.send_all``."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("report.outbox", ListOutbox, self.outbox)
        server.method("report.send", SendReport, self.send, changes=True)
        server.method("report.retry", OneMail, self.retry, changes=True)
        server.method("report.send_all", Nothing, self.send_all, changes=True)

    async def outbox(self, params: ListOutbox, _call: Call) -> Json:
        """Return what was sent, and what waits."""
        return await self._deliveries.outbox(params.limit, params.mail)

    async def send(self, params: SendReport, _call: Call) -> Change:
        """Put a report in line at once."""
        row = await self._deliveries.send(params.name, again=params.again)
        return Change(
            object=f"report {params.name}",
            before=None,
            after={"mail": row["mail_id"], "period": row["period"], "copy": row["copy"]},
            result=[row],
        )

    async def retry(self, params: OneMail, _call: Call) -> Change:
        """Try a mail at once, also one that was given up."""
        before, after = await self._deliveries.retry(params.mail)
        return Change(
            object=f"mail {params.mail}",
            before={"state": before["state"]},
            after={"state": after["state"]},
            result=[after],
        )

    async def send_all(self, _params: Nothing, _call: Call) -> Change:
        """Try everything that waits at once."""
        mails = await self._deliveries.send_all()
        return Change(
            object="outbox", before=None, after={"mails": mails}, result=[{"mails": mails}]
        )
