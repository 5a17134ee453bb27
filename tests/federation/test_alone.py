"""Of a center that runs alone: nothing of the others is there, nor loaded."""

from __future__ import annotations

import subprocess
import sys


def test_a_center_alone_does_not_load_nats() -> None:
    """Each start of an engine would wait for it, after a kill, too."""
    code = "import gkc_engine.app, sys; print(sorted(m for m in sys.modules if m == 'nats'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
