"""``--recipient`` of ``gkc report``: as whom of the city's bodies somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gkc_engine.statistics.scope import Scope

RecipientOption = Annotated[
    str | None,
    typer.Option(help="Only what this body of the city may see (recipients: in the config)."),
]


def scope_for(
    connection: Connection,
    recipient: str | None,
    *,
    service: str | None = None,
    queue: str | None = None,
) -> Scope:
    """Return what ``recipient`` may see.

    Raises:
        ControlError: nobody knows him, or ``service`` or ``queue`` is another's.
    """
    from gkc_engine.statistics.scope import OutOfScopeError, allow, scope_of

    try:
        scope = scope_of(connection, recipient)
        allow(connection, scope, service=service, queue=queue)
    except OutOfScopeError as error:
        raise ControlError("bad_params", f"--recipient: {error}") from error
    return scope
