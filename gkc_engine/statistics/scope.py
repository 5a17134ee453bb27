"""What of the records somebody may see: enforced here, by every reading function of reports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from gkc_engine.errors import GkcError
from gkc_engine.recorder import schema
from gkc_engine.recorder.table_reader import last_applied

_Q = TypeVar("_Q", bound="sa.Select[Any]")


class OutOfScopeError(GkcError):
    """Asked for what this recipient may not see, or for a recipient that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The services that may be seen; ``None``: all, and what belongs to no service.

    A contact is of the service that its row names: whom it was led to last. What is of no
    service belongs to no body.
    """

    recipient: str | None = None
    services: frozenset[str] | None = None

    @property
    def limited(self) -> bool:
        """Whether anything may not be seen."""
        return self.services is not None

    def of_services(self, services: frozenset[str]) -> Scope:
        """Return what of these services may be seen."""
        mine = services if self.services is None else services & self.services
        return Scope(recipient=self.recipient, services=mine)

    def narrow(self, query: _Q, service: sa.ColumnElement[Any]) -> _Q:
        """Return ``query`` with only those rows whose ``service`` may be seen."""
        if self.services is None:
            return query
        return query.where(service.in_(sorted(self.services)))

    def narrow_by_contact(self, query: _Q, contact_id: sa.ColumnElement[Any]) -> _Q:
        """Return ``query`` with only those rows whose contact may be seen."""
        if self.services is None:
            return query
        c = schema.contact.c
        return query.where(contact_id.in_(self.narrow(sa.select(c.contact_id), c.service)))


EVERYTHING: Final = Scope()
"""Of the center itself."""


def scope_of(connection: sa.Connection, recipient: str | None) -> Scope:
    """Return what ``recipient`` may see by the config that was applied last; ``None``: all.

    Raises:
        OutOfScopeError: There is no such recipient.
    """
    if recipient is None:
        return EVERYTHING
    known = _config(connection).get("recipients") or {}
    if recipient not in known:
        names = ", ".join(sorted(known)) or "none (add recipients: to the config, gkc reload)"
        raise OutOfScopeError(f"no recipient {recipient!r}; there are: {names}")
    return Scope(recipient=recipient, services=frozenset(known[recipient]["services"]))


def allow(
    connection: sa.Connection, scope: Scope, *, service: str | None, queue: str | None
) -> None:
    """Refuse by name what ``scope`` does not hold. What follows is narrowed all the same.

    Raises:
        OutOfScopeError: The service, or the queue's service, is another's.
    """
    if scope.services is None:
        return
    own = f"{scope.recipient} is shown: {', '.join(sorted(scope.services))}"
    if service is not None and service not in scope.services:
        raise OutOfScopeError(f"service {service!r} is not {scope.recipient}'s; {own}")
    if queue is not None:
        known = _config(connection).get("queues") or {}
        of = (known.get(queue) or {}).get("service")
        if of not in scope.services:
            raise OutOfScopeError(f"queue {queue!r} is not {scope.recipient}'s; {own}")


def _config(connection: sa.Connection) -> dict[str, Any]:
    applied = last_applied(connection)
    found = json.loads(applied.tree) if applied is not None and applied.tree else {}
    assert isinstance(found, dict)
    return found
