"""Mistakes in ``collector:`` and ``federation.records``, for ``test_bad_configs.py``."""

from __future__ import annotations

from tests.config.federation_cases import FEDERATION, joined

COLLECTOR = """collector:
  nats: nats://127.0.0.1:4222
  centers: {centr: env:A, tiny: env:B, yug: env:C, luga: env:D}
"""
DATABASE = "{url: 'postgresql+psycopg://gkc@h/gkc'}"


def collecting(old: str, new: str) -> tuple[str, str]:
    """Return how the tiny city becomes the one that collects, with one text replaced."""
    assert COLLECTOR.count(old) == 1, old
    return "services:\n", f"{FEDERATION}{COLLECTOR.replace(old, new)}services:\n"


COLLECTOR_CASES: list[tuple[str, str, str]] = [
    ("a collector without others", "services:\n", f"{COLLECTOR}services:\n"),
    ("records of an unknown center", *collecting("luga:", "lugo:")),
    (
        "records of nobody",
        *collecting("{centr: env:A, tiny: env:B, yug: env:C, luga: env:D}", "{}"),
    ),
    ("a records' secret in clear", *collecting("env:D", "hunter2")),
    ("a hub with a password in clear", *collecting("127.0.0.1", "a:hunter2@127.0.0.1")),
    ("no hub", *collecting("  nats: nats://127.0.0.1:4222\n", "")),
    (
        "the center's own store for the city",
        *collecting("  centers", "  store: {path: gkc.sqlite}\n  centers"),
    ),
    (
        "a city's store with a password",
        *collecting("  centers", "  store: {url: 'postgresql+psycopg://a:b@h/d'}\n  centers"),
    ),
    (
        "the center's own database for the city",
        "services:\n",
        collecting("  centers", f"  store: {DATABASE}\n  centers")[1].replace(
            "services:\n", f"store: {DATABASE}\nservices:\n"
        ),
    ),
    ("a collector on no port", *collecting("  centers", "  metrics: {port: 0}\n  centers")),
    (
        "records shipped as nobody",
        *joined("  token_key", "  records: {secret: env:R}\n  token_key"),
    ),
    (
        "records shipped without a secret",
        *joined("  token_key", "  records: {user: records}\n  token_key"),
    ),
    (
        "records shipped with a secret in clear",
        *joined("  token_key", "  records: {user: records, secret: s3cret}\n  token_key"),
    ),
]
