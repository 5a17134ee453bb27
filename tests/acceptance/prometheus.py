"""A real Prometheus and its promtool, from where ``gkc test`` unpacked them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from gkc_engine.cli._console import state_dir
from tests.acceptance.home import until
from tests.ports import free_port

Sample = tuple[dict[str, str], float]


def programs() -> Path | str:
    """Return the folder of both programs, or why they cannot be had."""
    named = os.environ.get("GKC_PROMETHEUS")
    if named:
        return Path(named)
    unpacked = state_dir() / "peers" / "prometheus" / "usr" / "bin"
    if (unpacked / "promtool").is_file():
        return unpacked
    installed = shutil.which("promtool")
    if installed and shutil.which("prometheus"):
        return Path(installed).parent
    return os.environ.get("GKC_NO_PROMETHEUS") or "not unpacked: ./gkc test accept does it"


def promtool(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """Return what promtool says; it must be content."""
    done = subprocess.run(
        [str(folder / "promtool"), *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running one."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401
        """Return ``data`` of an answer of the HTTP API, which must be a success."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[Sample]:
        """Return the labels and values of an expression now."""
        found = self.ask("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    def ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@contextmanager
def prometheus(folder: Path, state: Path, target: str, rules: Path) -> Iterator[Prometheus]:
    """Run one that asks ``target`` twice a second, on a free loopback port, all its state below."""
    state.mkdir()
    config = state / "prometheus.yml"
    tree = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "gkc", "static_configs": [{"targets": [target]}]}],
    }
    config.write_text(json.dumps(tree))  # which is YAML too
    promtool(folder, "check", "config", str(config))
    port = free_port()
    with (state / "log").open("w") as said:
        running = subprocess.Popen(
            [
                *(str(folder / "prometheus"), f"--config.file={config}"),
                f"--storage.tsdb.path={state / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=state,
        )
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: running.poll() is not None or found.ready())
        assert running.poll() is None, (state / "log").read_text()
        yield found
    finally:
        running.terminate()
        running.wait(20)
