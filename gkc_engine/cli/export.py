"""``gkc export``: a Grafana dashboard and Prometheus alert rules for a center."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._console import progress
from gkc_engine.errors import GkcError
from gkc_engine.monitoring.bounds import Language

app = typer.Typer(
    help="Dashboard and alert rules, their bounds from the config.", no_args_is_help=True
)

ConfigFolder = Annotated[Path, typer.Option("--config", help="Folder of *.yaml.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write this file, whole or not at all; else stdout.")
]
LanguageOption = Annotated[Language, typer.Option(help="Of the words for people.")]


@app.callback()
def _root() -> None:
    """Dashboard and alert rules, their bounds from the config."""


@app.command()
def grafana(
    *,
    config: ConfigFolder = Path("config"),
    out: OutOption = None,
    language: LanguageOption = "ru",
) -> None:
    """Write a Grafana dashboard as JSON: import it, or provision it from a folder."""
    from gkc_engine.config.loader import load_config
    from gkc_engine.monitoring.grafana import dashboard

    tree = dashboard(load_config(config), language)
    _write(out, json.dumps(tree, ensure_ascii=False, indent=2) + "\n")


@app.command()
def alerts(
    *,
    config: ConfigFolder = Path("config"),
    job: Annotated[
        str, typer.Option(help="Prometheus' job_name of the engines.", metavar="NAME")
    ] = "gkc",
    out: OutOption = None,
    language: LanguageOption = "ru",
) -> None:
    """Write Prometheus alert rules as YAML (Prometheus 2.42 or newer)."""
    from ruamel.yaml import YAML

    from gkc_engine.config.loader import load_config
    from gkc_engine.monitoring.alert_rules import alert_rules

    if not job.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter(
            f"found {job!r}, expected letters, digits, - and _", param_hint="--job"
        )
    yaml = YAML()
    yaml.width = 100_000  # one line a text
    text = io.StringIO()
    yaml.dump(alert_rules(load_config(config), job, language), text)
    _write(
        out, "# Made by gkc export alerts: change the config, not this file.\n" + text.getvalue()
    )


def _write(out: Path | None, text: str) -> None:
    """Write ``text`` to ``out`` at once: who reads it there never sees half of it."""
    if out is None:
        print(text, end="")
        return
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(out)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise GkcError(f"{out} cannot be written: {error.strerror or error}.") from error
    progress(f"written {out}")
