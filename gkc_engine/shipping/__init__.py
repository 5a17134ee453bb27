"""The records of every center, brought to the city (ADR 0040)."""
