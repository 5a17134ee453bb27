"""The engine with its clock set: ``python -m … OFFSET_NS CONFIG STATE PORTS``.

``OFFSET_NS``: the time that it is to be, minus this machine's monotonic clock. The same for each
start, so that time goes on over them. ``PORTS``: of metrics, AMI and FastAGI.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gkc_engine import app, clock, log


def main(offset_ns: int, config: Path, state: Path, ports: list[int]) -> int:
    """Run the engine until a signal; delivery begins without the usual pause."""

    def set_clock(self: clock.SystemClock) -> None:
        self._offset_ns = offset_ns

    clock.SystemClock.__init__ = set_clock  # type: ignore[method-assign]
    app.SETTLE_S = 0.1
    log.configure("info")
    metrics, ami, agi = ports
    return app.run(config, state, app.Overrides(metrics_port=metrics, ami_port=ami, agi_port=agi))


if __name__ == "__main__":
    offset, folder, where, *rest = sys.argv[1:]
    sys.exit(main(int(offset), Path(folder), Path(where), [int(port) for port in rest]))
