"""What a change, a look and a refusal leave in the audit, asked over the socket."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from gkc_engine.control.audit import Audit, Change, logged
from gkc_engine.control.protocol import Json
from gkc_engine.control.server import Call, ControlServer, Limits
from gkc_engine.errors import ConfigError, GkcError
from tests.control.fake import AuditLog, FakeBackend
from tests.control.test_server import Anything, ask, request

# --- the audit -------------------------------------------------------------------------------


async def test_a_change_is_audited_with_who_and_from_where(
    server: ControlServer, audit: AuditLog
) -> None:
    line = request("agent.pause", {"agent": "petrov", "reason": "lunch"}, actor="sidorov")
    [reply] = await ask(server, line)
    assert reply["result"][0]["state"] == "not_ready"
    assert audit == [
        (
            f"sidorov (control socket, uid {os.geteuid()}, pid {os.getpid()})",
            "agent.pause",
            "agent petrov",
            {"state": "ready", "reason": None, "until": None},
            {"state": "not_ready", "reason": "lunch", "until": None},
        )
    ]


async def test_a_refused_change_is_audited_too(server: ControlServer, audit: AuditLog) -> None:
    await ask(server, request("agent.login", {"agent": "nobody"}))
    [(_, action, subject, before, now)] = audit
    assert (action, subject, before, now) == (
        "agent.login",
        "nobody",
        None,
        {"refused": "unknown_agent"},
    )


async def test_a_change_with_wrong_parameters_is_audited_too(
    server: ControlServer, audit: AuditLog
) -> None:
    await ask(server, request("agent.pause", {"agent": "petrov", "for_s": -1}))
    assert [(row[1], row[4]) for row in audit] == [("agent.pause", {"refused": "bad_params"})]


async def test_looking_is_not_audited_but_revealing_a_number_is(
    server: ControlServer, audit: AuditLog
) -> None:
    contact = {"contact": "2026-ЦАО-000001"}
    masked, revealed = await ask(
        server,
        request("contact.show", contact),
        request("contact.show", {**contact, "reveal": True}),
    )
    assert "+79001234567" not in json.dumps(masked)
    assert revealed["result"][0]["citizen_number"] == "+79001234567"
    assert [(row[1], row[4]) for row in audit] == [
        ("contact.show", {"revealed": "citizen's number"})
    ]


def _raise(*_row: Json) -> None:
    raise OSError("disk full")


async def _fail_later(*_row: Json) -> None:
    await asyncio.sleep(0)
    raise OSError("disk full")


async def _hang(*_row: Json) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("broken", [_raise, _fail_later, _hang])
async def test_what_cannot_be_audited_is_not_answered(tmp_path: Path, broken: Audit) -> None:
    async def reveal(_params: Anything, _call: Call) -> Json:
        return Change(object="contact 1", before=None, after=None, result="+79001234567")

    async def refuse(_params: Anything, _call: Call) -> Json:
        raise GkcError("no")

    server = ControlServer(tmp_path / "s", broken, Limits(handle_s=0.05))
    server.method("reveal", Anything, reveal)
    server.method("refuse", Anything, refuse, changes=True)
    await server.start()
    revealed, refused = await ask(server, request("reveal"), request("refuse"))
    assert revealed["error"]["error_id"] == "audit_failed"
    assert "+79001234567" not in json.dumps(revealed)
    assert refused["error"]["error_id"] == "refused"
    await server.close()


@pytest.mark.parametrize("broken", [_raise, _fail_later, _hang])
async def test_the_row_of_what_was_done_is_written_later(tmp_path: Path, broken: Audit) -> None:
    """It is done: to say that it failed would have people do it twice."""
    kept: list[tuple[str, str, Json]] = []

    def late(_actor: str, action: str, subject: str, _before: Json, after: Json) -> None:
        if len(kept) == 2:
            raise GkcError("no room")
        kept.append((action, subject, after))

    async def change(_params: Anything, _call: Call) -> Json:
        return Change(object="queue x", before=1, after=2, result="done")

    async def refuse(_params: Anything, _call: Call) -> Json:
        raise GkcError("no")

    server = ControlServer(tmp_path / "s", broken, Limits(handle_s=0.05), late)
    server.method("look", Anything, change)
    server.method("change", Anything, change, changes=True)
    server.method("refuse", Anything, refuse, changes=True)
    await server.start()
    lines = (request(name) for name in ("look", "change", "refuse", "change"))
    look, done, refused, full = await ask(server, *lines)
    assert look["error"]["error_id"] == "audit_failed"
    assert done["result"] == "done"
    assert refused["error"]["error_id"] == "refused"
    assert full["error"]["error_id"] == "audit_failed"
    assert kept == [("change", "queue x", 2), ("refuse", "", {"refused": "refused"})]
    await server.close()


async def test_an_answer_waits_for_its_audit_row(tmp_path: Path) -> None:
    stored = False

    async def slowly(*_row: Json) -> None:
        nonlocal stored
        await asyncio.sleep(0.02)
        stored = True

    async def change(_params: Anything, _call: Call) -> Json:
        return Change(object="x", before=None, after=None, result=None)

    server = ControlServer(tmp_path / "s", logged(slowly))
    server.method("change", Anything, change, changes=True)
    await server.start()
    await ask(server, request("change"))
    assert stored
    await server.close()


async def test_an_actor_cannot_forge_the_kernel_s_part(
    server: ControlServer, audit: AuditLog
) -> None:
    forged = "root (control socket, uid 0, pid 1)\n\x1b[2J" + "x" * 500
    await ask(server, request("agent.ready", {"agent": "petrov"}, actor=forged))
    actor = audit[0][0]
    assert actor.count("(") == 1
    assert actor.isprintable()
    assert len(actor) < 130
    assert actor.endswith(f"(control socket, uid {os.geteuid()}, pid {os.getpid()})")


# --- errors of the domain --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "error_id"),
    [(ConfigError("queues.yaml:1:1: x\n1 problems"), "config"), (GkcError("too much"), "refused")],
)
async def test_a_reload_that_fails_says_why(
    server: ControlServer, backend: FakeBackend, error: GkcError, error_id: str
) -> None:
    backend.reload_error = error
    [reply] = await ask(server, request("core.reload"))
    assert reply["error"] == {"error_id": error_id, "message": str(error)}
    assert len(backend.authors) == 1


async def test_what_the_core_rejects_is_refused(
    server: ControlServer, backend: FakeBackend
) -> None:
    backend.rejection = "agent petrov?"
    [reply] = await ask(server, request("agent.login", {"agent": "petrov"}))
    assert reply["error"] == {"error_id": "refused", "message": "agent petrov?"}
    assert len(backend.submitted) == 1


@pytest.mark.parametrize("method", ["agent.pause", "agent.ready"])
async def test_who_is_not_at_work_cannot_pause(
    server: ControlServer, backend: FakeBackend, method: str
) -> None:
    out, refused = await ask(
        server, request("agent.logout", {"agent": "petrov"}), request(method, {"agent": "petrov"})
    )
    assert out["result"][0]["state"] == "offline"
    assert refused["error"]["error_id"] == "not_logged_in"
    assert len(backend.submitted) == 1, "the core was not asked"
