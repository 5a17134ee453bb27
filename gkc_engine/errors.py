"""Two of the three families of errors; the third is AssertionError: our own mistake, crash."""

from __future__ import annotations


class GkcError(Exception):
    """Base of what a person can mend. ``str()`` says what, where, and what to do."""


class ConfigError(GkcError):
    """The administrator's files are wrong. Carries every problem found, one a line."""


class PeerError(GkcError):
    """Asterisk, a mail server or another center said or did what we cannot use."""
