"""Asterisk as software on this machine: finding it, installing it, writing its configuration."""
