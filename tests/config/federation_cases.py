"""Mistakes in ``federation:`` and ``overflow:``, for ``test_bad_configs.py``."""

from __future__ import annotations

FEDERATION = """federation:
  nats: nats://127.0.0.1:4222
  token_key: env:TOKEN_KEY
  centers:
    centr: {level: city, trunk: "10.1.0.1:5160"}
    tiny: {level: okrug, parent: centr}
    yug: {level: okrug, parent: centr, trunk: "10.3.0.1:5160"}
    luga: {level: district, parent: tiny, trunk: "10.4.0.1:5160"}
overflow:
  - {queues: [passport], to: [yug]}
"""
ZAPAD = '    zapad: {level: okrug, trunk: "10.5.0.1:5160"}\n'
MOSCOW = "timezone: Europe/Moscow}"


def joined(old: str, new: str) -> tuple[str, str]:
    """Return how the tiny city becomes one of several centers, with one text replaced."""
    assert FEDERATION.count(old) == 1, old
    return "services:\n", FEDERATION.replace(old, new) + "services:\n"


def rule(keys: str) -> tuple[str, str]:
    """Return the same with this overflow rule."""
    return joined("{queues: [passport], to: [yug]}", f"{{{keys}}}")


FEDERATION_CASES: list[tuple[str, str, str]] = [
    ("level of no tree", MOSCOW, "timezone: Europe/Moscow, level: region}"),
    ("no such status", MOSCOW, "timezone: Europe/Moscow, status: off}"),
    ("a parent that is no name", MOSCOW, 'timezone: Europe/Moscow, parent: "../x"}'),
    ("overflow without others", "services:\n", "overflow: [{queues: all, to: [yug]}]\nservices:\n"),
    ("a center of no city", *joined("    tiny: {level: okrug, parent: centr}\n", "")),
    ("a name that NATS would split", *joined("    yug:", "    yug.east:")),
    ("a name in capitals", *joined("    yug:", "    Yug:")),
    ("a name that forges a header", *joined("    yug:", '    "yug\\r\\nX-A":')),
    ("a name of 41 letters", *joined("    yug:", f"    {'y' * 41}:")),
    ("a name that is a relation", *joined("    luga:", "    siblings:")),
    ("unknown parent", *joined("parent: tiny", "parent: tinny")),
    ("a parent below", *joined("parent: centr, trunk", "parent: luga, trunk")),
    ("parents in a circle", *joined("parent: centr}", "parent: luga}")),
    ("its own parent", *joined("parent: tiny", "parent: luga")),
    ("a parent above the city", *joined("    centr: {", f"{ZAPAD}    centr: {{parent: zapad, ")),
    ("parents alike", *joined("parent: centr, trunk", "parent: tiny, trunk")),
    ("a second city", *joined("{level: okrug, parent: centr, trunk", "{level: city, trunk")),
    ("no way to a center", *joined(', trunk: "10.3.0.1:5160"', "")),
    ("two centers with one trunk", *joined("10.3.0.1", "10.4.0.1")),
    ("a trunk without port", *joined("10.3.0.1:5160", "10.3.0.1")),
    ("a trunk on no port", *joined("10.3.0.1:5160", "10.3.0.1:70000")),
    ("options in a trunk", *joined("10.3.0.1:5160", "10.3.0.1:5160;maddr=10.9.9.9")),
    ("a line end in a trunk", *joined("10.3.0.1:5160", "10.3.0.1:5160\\n[x]")),
    ("no center at all", *joined("  centers:\n", "  centers: {}\n  others:\n")),
    ("link by another protocol", *joined("nats://", "http://")),
    ("link to no port", *joined("4222", "0")),
    ("link to nowhere", *joined("nats://127.0.0.1:4222", "[]")),
    ("link with a token in clear", *joined("127.0.0.1", "s3cr3t@127.0.0.1")),
    ("link with a password in clear", *joined("127.0.0.1", "a:hunter2@127.0.0.1")),
    (
        "link's password in clear",
        *joined("  token_key", "  user: a\n  secret: hunter2\n  token_key"),
    ),
    ("link's user alone", *joined("  token_key", "  user: a\n  token_key")),
    ("a certificate alone", *joined("  token_key", "  tls: {cert: a.pem}\n  token_key")),
    ("token key in clear", *joined("env:TOKEN_KEY", "0123456789abcdef")),
    ("no token key", *joined("  token_key: env:TOKEN_KEY\n", "")),
    ("a negative floor", *joined("  token_key", "  keep_free: -1\n  token_key")),
    ("a floor in percent", *joined("  token_key", "  sl_min: 80\n  token_key")),
    ("overflow of an unknown queue", *rule("queues: [pasport], to: [yug]")),
    ("overflow of no queue", *rule("queues: [], to: [yug]")),
    ("overflow of some queue", *rule("queues: passport, to: [yug]")),
    ("overflow to an unknown center", *rule("queues: all, to: [yog]")),
    ("overflow to a misspelt relation", *rule("queues: all, to: [sibling]")),
    ("overflow to nobody", *rule("queues: all, to: []")),
    ("overflow to itself", *rule("queues: all, to: [yug, tiny]")),
    ("overflow to one twice", *rule("queues: all, to: [yug, yug]")),
    ("overflow in no such level", *rule("queues: all, to: [yug], levels: [distrikt]")),
    ("overflow over two hops", *rule("queues: all, to: [yug], max_hops: 2")),
    ("overflow to an unknown favourite", *rule("queues: all, to: [yug], prefer: luca")),
    ("a favourite that is several", *rule("queues: all, to: [yug], prefer: children")),
    ("a penalty for nobody", *rule("queues: all, to: [yug], penalties: {yag: 5s}")),
    ("a penalty without unit", *rule("queues: all, to: [yug], penalties: {yug: 5}")),
    ("a negative gain", *rule("queues: all, to: [yug], gain_min: -5s")),
]
