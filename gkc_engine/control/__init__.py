"""The engine's control socket: one line of JSON in, one line of JSON out, for the CLI."""
