"""Contacts made by hand, and a store that holds them with a config on record."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import migrate, schema
from tests.rolled import add_time_up, count_anew

MOSCOW = ZoneInfo("Europe/Moscow")
SERVICE_OF = {"passport": "mvd", "housing": "zhkh", "operator": None}
SERVICES = {
    "mvd": {"title": "Паспорта", "body": "ГУ МВД"},
    "zhkh": {"title": "ЖКХ", "body": "Департамент ЖКХ"},
    "zags": {"title": "ЗАГС", "body": "Управление ЗАГС"},
}
TREE = {
    "center": {"prefix": "ЦАО", "title": "Городской контакт-центр", "timezone": "Europe/Moscow"},
    "services": SERVICES,
    "queues": {"passport": {"title": "Паспорта"}, "housing": {"title": "ЖКХ"}},
    "guardrails": {"housing": {"sl_min": 0.9}},
}


def instant(text: str, zone: ZoneInfo = MOSCOW) -> Instant:
    """``2026-11-23T10:00`` of the center."""
    return Instant(int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * SECOND)


class City:
    """Rows of contacts; each `many` adds some of a kind."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.intervals: list[dict[str, Any]] = []

    def many(
        self,
        n: int,
        when: str,
        queue: str | None,
        disposition: str,
        *,
        wait_s: int = 0,
        talk_s: int = 100,
        direction: str = "in",
    ) -> None:
        """``n`` contacts that came at once; without a queue they never entered one."""
        for _ in range(n):
            row = _row(len(self.rows), when, queue, disposition, wait_s, talk_s)
            self.rows.append(row | {"direction": direction})

    def at_work(self, agent: str, begin: str, end: str) -> None:
        """An operator was ready all of the time."""
        self.intervals.append(
            {
                "agent_id": agent,
                "slot": 0,
                "start": instant(begin),
                "end": instant(end),
                "state": "ready",
                "reason": "",
            }
        )

    def store(self, path: Path | None = None, tree: dict[str, Any] | None = None) -> sa.Engine:
        """A store with these contacts, all decided under one config; without a path in memory."""
        if path is None:
            engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        else:
            engine = schema.make_engine(schema.sqlite_url(str(path)))
        with engine.begin() as connection:
            migrate.bring_up(connection)
            if self.rows:
                connection.execute(schema.contact.insert(), self.rows)
                count_anew(connection)
            if self.intervals:
                connection.execute(schema.agent_interval.insert(), self.intervals)
                add_time_up(connection)
            _configure(connection, TREE if tree is None else tree)
            connection.execute(schema.meta.insert(), {"key": schema.PROJECTED, "value": "2"})
        return engine


def _configure(connection: sa.Connection, tree: dict[str, Any]) -> None:
    """The config under which all was decided; and one that was applied after it."""
    renamed = {**SERVICES, "mvd": {"title": "Паспорта и визы", "body": "ГУ МВД"}}
    configs = {"v1": tree, "v2": {**tree, "services": renamed}}
    for seq, (version, told) in enumerate(configs.items(), start=1):
        applied = instant("2026-12-01T00:00") + seq
        event = {
            "seq": seq,
            "event_id": f"e{seq}",
            "ts_us": applied,
            "center": "centr",
            "kind": "gkc.config.applied",
            "config_version": version,
            "source": "core",
            "role": "in",
            "schema_version": 1,
            "data": json.dumps({"tree": json.dumps(told)}),
        }
        connection.execute(schema.event.insert(), event)
        row = {"hash": version, "author": "start", "applied": applied, "event_id": f"e{seq}"}
        connection.execute(schema.config_version.insert(), row)


def _row(
    n: int, when: str, queue: str | None, disposition: str, wait_s: int, talk_s: int
) -> dict[str, Any]:
    at = instant(when)
    row: dict[str, Any] = {c.name: None for c in schema.contact.columns}
    row |= {
        "contact_id": f"c{n:05d}",
        "number": f"2026-ЦАО-{n:06d}",
        "medium": "voice",
        "direction": "in",
        "initiation": "inbound",
        "center_entry": "centr",
        "did": "+79000000001",
        "language": "ru",
        "config_version": "v1",
        "offers": 1,
        "step": 0,
        "wrap_up_us": 0,
        "started": at,
        "disposition": disposition,
        "ended": at + wait_s * SECOND + 1,
    }
    if queue is not None:
        row |= {
            "queue": queue,
            "service": SERVICE_OF[queue],
            "first_queued": at,
            "wait_us": wait_s * SECOND,
            "sl_threshold_us": 20 * SECOND,
        }
    if disposition == "answered":
        row |= {"answered": at + wait_s * SECOND, "hold_us": 0, "talk_us": talk_s * SECOND}
        row["ended"] = at + (wait_s + talk_s) * SECOND
    return row
