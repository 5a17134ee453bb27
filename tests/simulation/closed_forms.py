"""Erlang B, C and A, from the textbooks: rates a second, times in seconds, loads in erlang."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp


def erlang_b(servers: int, load: float) -> float:
    """Return the share that finds all servers busy: B(0) = 1, B(c) = aB(c-1) / (c + aB(c-1))."""
    blocked = 1.0
    for c in range(1, servers + 1):
        blocked = load * blocked / (c + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Return the share that waits; needs load < servers. C = cB / (c - a(1 - B))."""
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1.0 - blocked))


def mean_wait(servers: int, load: float, handle_s: float) -> float:
    """Return the mean wait of all in M/M/c."""
    return erlang_c(servers, load) * handle_s / (servers - load)


def served_within(servers: int, load: float, handle_s: float, target_s: float) -> float:
    """Return the share that waits at most ``target_s`` in M/M/c."""
    return 1.0 - erlang_c(servers, load) * exp(-(servers - load) * target_s / handle_s)


@dataclass(frozen=True)
class ErlangA:
    """M/M/c+M by its birth-death chain, cut off where nothing is left (Palm 1957)."""

    servers: int
    arrivals_s: float
    handle_s: float
    patience_s: float

    def shares(self) -> list[float]:
        """Return the share of time with n = 0, 1, 2 … in the system."""
        mu, theta = 1.0 / self.handle_s, 1.0 / self.patience_s
        weights, n = [1.0], 0
        # A weight past the peak that is this small adds nothing any more.
        while n <= self.servers or weights[-1] > 1e-15 * max(weights):
            n += 1
            out = min(n, self.servers) * mu + max(0, n - self.servers) * theta
            weights.append(weights[-1] * self.arrivals_s / out)
        total = sum(weights)
        return [weight / total for weight in weights]

    def waiting(self) -> float:
        """Return the mean number of those who wait."""
        return sum((n - self.servers) * p for n, p in enumerate(self.shares()) if n > self.servers)

    def abandoned(self) -> float:
        """Return the share that leaves: theta times those who wait, by arrivals."""
        return self.waiting() / self.patience_s / self.arrivals_s

    def mean_wait(self) -> float:
        """Return the mean wait of all, those who leave included (Little)."""
        return self.waiting() / self.arrivals_s

    def occupancy(self) -> float:
        """Return the share of the servers' time that is busy."""
        served = self.arrivals_s * (1.0 - self.abandoned())
        return served * self.handle_s / self.servers
