"""What a nats-server is told: the city's hub, and the leaf node of one center. Text, pure.

Two kinds of account, so that no center can speak for another, nor read another's records:

- ``exchange``, one for all: loads and reservations. On the hub each center has a user of its own
  there, who may say only what bears its name (``gkc.load.NAME``, ``gkc.to.*.NAME``) and hear only
  loads and what is for it. The hub holds a leaf node to that, whoever has got at it.
- one for each center's records: with its own JetStream domain, named as the center, on its leaf.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gkc_engine.errors import GkcError

EXCHANGE: Final = "exchange"
"""The account in which centers speak with each other."""

RECORDS: Final = "records"
"""The account, on a leaf, of the center's records; on the hub it is named as the center."""

LINK_USER: Final = "link"
"""On a leaf: the engine, for loads and reservations."""

RECORDS_USER: Final = "records"
"""On a leaf: who ships the records."""

PAYLOAD_MAX: Final = 1_048_576
"""Bytes of one message: a batch of records; the link refuses more than 64 KiB by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of one server; ``ca`` has signed those of whom it believes."""

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A center, as the hub knows it."""

    name: str
    secret: str
    """Of its leaf node; for both of its accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The city's server."""

    port: int
    leaf_port: int
    store: Path
    """Folder of its JetStream."""
    members: Sequence[Member]
    host: str = "127.0.0.1"
    tls: Tls | None = None
    """Of the port for leaf nodes: all that crosses the city."""
    advertise: str | None = None
    """``HOST:PORT`` that leaf nodes are told for later; ``None``: the addresses of its machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The server beside one center's engine; it goes on by itself when the hub is gone."""

    center: str
    port: int
    store: Path
    secret: str
    """Of the two users of this machine."""
    hub: str | None = None
    """``HOST:PORT`` of the hub's port for leaf nodes; ``None``: alone."""
    hub_secret: str = ""
    host: str = "127.0.0.1"
    tls: Tls | None = None
    """Shown to the hub, and its ``ca`` is whom we believe to be it."""
    own_tls: Tls | None = None
    """Of the port for the engine; on one machine there is no need of it."""


def records_user(center: str) -> str:
    """Return the hub's user of a center's records."""
    return f"{center}-records"


def allowed(center: str) -> str:
    """Return what a center may say and hear in the exchange."""
    return (
        f'{{publish: ["gkc.load.{center}", "gkc.to.*.{center}"], '
        f'subscribe: ["gkc.load.*", "gkc.to.{center}.*"]}}'
    )


def hub_text(hub: Hub) -> str:
    """Return the configuration of the hub."""
    users = "\n".join(
        f"      {{user: {_text(m.name)}, password: {_text(m.secret)}, "
        f"permissions: {allowed(m.name)}}}"
        for m in hub.members
    )
    records = "\n".join(
        f"  {_text(m.name)}: {{jetstream: enabled, "
        f"users: [{{user: {_text(records_user(m.name))}, password: {_text(m.secret)}}}]}}"
        for m in hub.members
    )
    tls = "" if hub.tls is None else f", tls: {_tls(hub.tls, verify=True)}"
    advertise = "" if hub.advertise is None else f", advertise: {_text(hub.advertise)}"
    return f"""\
{_common("hub", hub.host, hub.port, hub.store)}
leafnodes {{listen: "{hub.host}:{hub.leaf_port}"{advertise}{tls}}}
accounts {{
  {EXCHANGE}: {{
    users: [
{users}
    ]
  }}
{records}
}}
"""


def leaf_text(leaf: Leaf) -> str:
    """Return the configuration of a center's leaf node."""
    remotes = ""
    if leaf.hub is not None:
        tls = "" if leaf.tls is None else f", tls: {_tls(leaf.tls, verify=False)}"
        lines = [
            f"    {{url: {_text(_url(leaf, user))}, account: {account}{tls}}}"
            for user, account in ((leaf.center, EXCHANGE), (records_user(leaf.center), RECORDS))
        ]
        remotes = f"leafnodes {{\n  reconnect: 1s\n  remotes: [\n{chr(10).join(lines)}\n  ]\n}}"
    secret = _text(leaf.secret)
    own = "" if leaf.own_tls is None else f"tls {_tls(leaf.own_tls, verify=False)}\n"
    return f"""\
{_common(leaf.center, leaf.host, leaf.port, leaf.store)}
{own}\
accounts {{
  {EXCHANGE}: {{users: [{{user: {LINK_USER}, password: {secret}}}]}}
  {RECORDS}: {{jetstream: enabled, users: [{{user: {RECORDS_USER}, password: {secret}}}]}}
}}
{remotes}
"""


def _url(leaf: Leaf, user: str) -> str:
    for char in "@:/?#% ":
        if char in leaf.hub_secret:
            raise GkcError(
                f"the secret of the leaf node of {leaf.center} has a {char!r}: "
                "letters, digits, '-' and '_' are allowed"
            )
    return f"nats-leaf://{user}:{leaf.hub_secret}@{leaf.hub}"


def _common(name: str, host: str, port: int, store: Path) -> str:
    # Acknowledged is on the disk: by default it would get there within two minutes. A line that was
    # cut without a word is given up within 4 s; by default it would be within 6 minutes.
    return f"""\
listen: "{host}:{port}"
server_name: {_text(name)}
max_payload: {PAYLOAD_MAX}
write_deadline: 5s
ping_interval: "1s"
ping_max: 3
jetstream {{store_dir: {_text(str(store))}, domain: {_text(name)}, sync_interval: always}}"""


def _tls(tls: Tls, *, verify: bool) -> str:
    files = ", ".join(
        f"{key}: {_text(str(path))}"
        for key, path in (("cert_file", tls.cert), ("key_file", tls.key), ("ca_file", tls.ca))
    )
    return f"{{{files}{', verify: true' if verify else ''}, timeout: 5}}"


def _text(value: str) -> str:
    """Return a string of the server's language: that of JSON is one of it."""
    return json.dumps(value, ensure_ascii=False)
