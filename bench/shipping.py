"""Records to the city: how fast a center that was cut off catches up, and what that costs it.

``python -m bench.shipping [--contacts 20000] [--store sqlite|postgresql|both]`` prints a JSON line
for each store: over a real hub and a real leaf node, each with ``sync_interval: always``,

- ``shipped_rows_s``: from the center's ledger (SQLite) into its local stream, with the shipper's
  rests, and ``shipper_core``: the share of a core that takes (the engine's process pays it);
- ``taken_rows_s``: from that stream over the hub into the city's store and its tables;
- ``message_bytes_a_row``, as they cross the city;
- ``loop_ms``: how long the loop beside the shipper stood still at most: calls wait for no longer;
- ``day_s``: what a day of a center with 20 000 contacts takes at that rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.ledger import Pulse, calls
from gkc_engine.recorder import schema
from gkc_engine.recorder.behind import last_seq
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping.city_store import Feed
from gkc_engine.shipping.line import STREAM, line
from tests.federation.centers import Buses, buses, until
from tests.postgres import Server
from tests.recorder.support import History
from tests.shipping.net import at_leaf, collector_of, running, shipper_of

NAME: Final = "sever"
DAY_CONTACTS: Final = 20_000
WITHIN_S: Final = 1_800.0


def lived(folder: Path, contacts: int) -> tuple[LedgerStore, int]:
    """Return a center's ledger with so many answered contacts, and its rows."""
    store = LedgerStore(schema.sqlite_url(str(folder / "center.sqlite")))
    store.open()
    past = History()
    past.configured()
    store.append(batch_of(past.steps, NAME))
    now = past.now
    for first in range(0, contacts, 500):
        steps = calls(first, min(500, contacts - first), now)
        now = steps[-1].now
        store.append(batch_of(steps, NAME))
    store.settle()
    with store.transaction() as connection:
        return store, last_seq(connection)


async def caught_up(folder: Path, contacts: int, url: str | None) -> dict[str, float]:
    """Let a center of so many contacts come back; return the figures."""
    store, rows = lived(folder, contacts)
    async with buses(folder / "bus", (NAME,)) as city:
        shipper = shipper_of(city, store, NAME)
        pulse = Pulse()
        began, cpu = time.perf_counter(), time.process_time()
        async with running(shipper):
            await until(lambda: shipper.sent.seq == rows, WITHIN_S)
            took, used = time.perf_counter() - began, time.process_time() - cpu
            longest = await pulse.stop()
            size = await _stream_bytes(city)
            collector = collector_of(city, (NAME,), folder, url)
            began = time.perf_counter()
            async with running(collector):
                await until(lambda: _has(collector.store.feeds, rows), WITHIN_S)
                await collector.do(collector.store.settle)
                took_over = time.perf_counter() - began
    store.close()
    slower = max(took, took_over) / contacts * DAY_CONTACTS
    return {
        "rows": rows,
        "shipped_rows_s": round(rows / took),
        "shipper_core": round(used / took, 3),
        "loop_ms": round(longest * 1000, 1),
        "message_bytes_a_row": round(size / rows, 1),
        "taken_rows_s": round(rows / took_over),
        "day_s": round(slower, 1),
    }


def _has(feeds: Mapping[str, Feed], rows: int) -> bool:
    feed = feeds.get(NAME)
    return feed is not None and feed.position.seq == rows


async def _stream_bytes(city: Buses) -> int:
    async with line(at_leaf(city, NAME), "bench", None) as to:
        return int((await to.jetstream.stream_info(STREAM)).state.bytes)


def main() -> None:
    """Print a line for each store."""
    options = argparse.ArgumentParser()
    options.add_argument("--contacts", type=int, default=DAY_CONTACTS)
    options.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="sqlite")
    asked = options.parse_args()
    kinds = ("sqlite", "postgresql") if asked.store == "both" else (asked.store,)
    for kind in kinds:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
            url = None
            if kind == "postgresql":
                server = Server()
                stack.callback(server.close)
                url = server.schema()
            print(
                json.dumps({"store": kind, **asyncio.run(caught_up(folder, asked.contacts, url))})
            )


if __name__ == "__main__":
    main()
