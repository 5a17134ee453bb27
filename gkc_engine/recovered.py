"""The core as the last engine left it: its snapshot, then the steps after that."""

from __future__ import annotations

import msgspec
import structlog

from gkc_engine.acd.core import Acd
from gkc_engine.acd.state import AcdState
from gkc_engine.recorder.ledger import engine_version
from gkc_engine.recorder.recovery import Recovery

log = structlog.get_logger(__name__)


def recovered_core(recovery: Recovery) -> Acd:
    """Return the core in the state after the last recorded step."""
    if recovery.snapshot_state is None:
        acd = Acd()
    else:
        acd = Acd.restore(msgspec.json.decode(recovery.snapshot_state, type=AcdState))
    # Another version may rightly decide otherwise; this one may not.
    same = recovery.snapshot_engine in (None, engine_version())
    differences = 0
    for step in recovery.tail:
        commands = acd.step(step.event, step.now)
        if same and commands != step.commands:
            differences += 1
            if differences == 1:
                log.critical(
                    "replay_differs",
                    at=step.now,
                    step=type(step.event).__name__,
                    recorded=[type(c).__name__ for c in step.commands],
                    replayed=[type(c).__name__ for c in commands],
                )
    if recovery.tail:
        log.info("replayed", steps=len(recovery.tail), differences=differences)
    return acd
