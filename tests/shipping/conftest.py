"""Stores of these tests: SQLite, and ``accept`` PostgreSQL, as the recorder's."""

from tests.recorder.conftest import place

__all__ = ["place"]
