"""Alerts: what is measured, when it is raised and cleared, and who is told."""
