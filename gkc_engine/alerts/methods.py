"""What ``gkc alert`` asks of the engine."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gkc_engine.alerts.limits import KEPT
from gkc_engine.alerts.service import Alerts, alert_row
from gkc_engine.control.audit import Change
from gkc_engine.control.methods import Nothing
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.server import Call, ControlServer

Note = Annotated[str, msgspec.Meta(max_length=500)]


class History(msgspec.Struct, forbid_unknown_fields=True):
    """How many, the last raised first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=KEPT)] = 50


class Ack(msgspec.Struct, forbid_unknown_fields=True):
    """One alert, and what is done about it."""

    alert_id: Annotated[int, msgspec.Meta(ge=1)]
    note: Note = ""


class AlertMethods:
    """The methods, over the alerts of the engine."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("alert.list", Nothing, self.alert_list)
        server.method("alert.history", History, self.alert_history)
        server.method("alert.ack", Ack, self.alert_ack, changes=True)

    async def alert_list(self, _params: Nothing, _call: Call) -> Json:
        """Return the alerts that stand, the oldest first."""
        return [alert_row(r) for r in self._alerts.raised.values() if r.cleared_us is None]

    async def alert_history(self, params: History, _call: Call) -> Json:
        """Return the last alerts, those that stand among them, the newest first."""
        numbers = sorted(self._alerts.raised, reverse=True)[: params.limit]
        return [alert_row(self._alerts.raised[number]) for number in numbers]

    async def alert_ack(self, params: Ack, call: Call) -> Change:
        """Note that somebody sees to an alert."""
        before = self._alerts.raised.get(params.alert_id)
        seen = None if before is None else alert_row(before)
        raised = self._alerts.ack(params.alert_id, call.actor, params.note)
        if raised is None or seen is None:
            raise ControlError(
                "unknown_alert", f"no alert {params.alert_id}; `gkc alert history` has the numbers"
            )
        row = alert_row(raised)
        keys = ("acked", "acked_by", "note")
        return Change(
            object=f"alert {params.alert_id}",
            before={key: seen[key] for key in keys},
            after={key: row[key] for key in keys},
            result=[row],
        )
