"""How good the expected wait is: the production core on virtual time, against QLr and QL.

    python -m bench.ewt [--contacts N] [--seed N] [--json] [--shared]

One queue, one pool of 100 agents, Poisson arrivals, exponential handling (240 s) and patience
(240 s, or none). Everybody who has to wait asks as he comes. Of those who are served, what was said
is compared with what came true, and so is QLr (QL where nobody leaves), which is told the true
rates while the engine has to measure them. Exit code 1 when a target is missed.

``--shared``: instead, bias and RMSE in the designs where agents are shared, 60 agents at 105 %,
which have no closed form and no target.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass

from bench.virtual import Asked, Design, Hall, Stream
from gkc_engine.acd.lookahead import closed_form
from gkc_engine.ids import SECOND

AGENTS = 100
MEAN_S = 240.0
CONTACTS = 60_000
WARM_UP = 5_000
"""Contacts before the first that counts: the hall fills, the engine learns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load, and what the estimate must reach."""

    name: str
    load: float
    patience_s: float | None
    rmse_ratio_max: float
    bias_max: float | None

    @property
    def design(self) -> Design:
        """The hall of this load."""
        rate = self.load * AGENTS / MEAN_S
        stream = Stream(queue="q", rate=rate, handle_s=MEAN_S, patience_s=self.patience_s)
        return Design(name=self.name, streams=(stream,), agents=((AGENTS, ()),))


CASES = (
    Case(name="M/M/100+M, 105 %", load=1.05, patience_s=240.0, rmse_ratio_max=1.1, bias_max=0.03),
    Case(name="M/M/100+M, 120 %", load=1.20, patience_s=240.0, rmse_ratio_max=1.1, bias_max=0.03),
    Case(name="M/M/100, 95 %", load=0.95, patience_s=None, rmse_ratio_max=1.05, bias_max=None),
)


def _stream(queue: str, agents: float, step_s: float | None = None) -> Stream:
    """Return a queue of its own skill that brings 105 % of the work of so many agents."""
    return Stream(
        queue=queue,
        rate=1.05 * agents / MEAN_S,
        handle_s=MEAN_S,
        patience_s=MEAN_S,
        require=(queue,),
        relax=() if step_s is None else ((step_s, ()),),
    )


A, B, AB, BC = ("a",), ("b",), ("a", "b"), ("b", "c")
SHARED = (
    Design(name="V", streams=(_stream("a", 20), _stream("b", 40)), agents=((60, AB),)),
    Design(name="N", streams=(_stream("a", 30), _stream("b", 30)), agents=((20, A), (40, AB))),
    Design(
        name="M",
        streams=(_stream("a", 40), _stream("b", 20)),
        agents=((20, A), (20, AB), (20, B)),
    ),
    Design(
        name="W",
        streams=(_stream("a", 20), _stream("b", 20), _stream("c", 20)),
        agents=((30, AB), (30, BC)),
    ),
    Design(
        name="a step after 30 s (a)",
        streams=(_stream("a", 30, step_s=30.0), _stream("b", 30)),
        agents=((20, A), (40, B)),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Of served contacts that waited."""

    case: str
    n: int
    mean_wait_s: float
    bias: float
    """Mean of (expected - true) / mean wait."""
    rmse: float
    """Root of the mean square of (expected - true), / mean wait."""
    yardstick: str
    yardstick_bias: float
    yardstick_rmse: float
    ratio: float
    """``rmse / yardstick_rmse``."""
    ratio_max: float
    bias_max: float | None
    unknown: int
    """Served contacts that had to wait and were told nothing."""

    @property
    def met(self) -> bool:
        """Whether every target is reached."""
        unbiased = self.bias_max is None or abs(self.bias) <= self.bias_max
        return self.ratio <= self.ratio_max and unbiased


def relative(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return (bias, RMSE) of pairs (expected, true), both over the mean of the true ones."""
    mean = math.fsum(true for _, true in pairs) / len(pairs)
    bias = math.fsum(said - true for said, true in pairs) / len(pairs)
    square = math.fsum((said - true) ** 2 for said, true in pairs) / len(pairs)
    return bias / mean, math.sqrt(square) / mean


def accuracy(case: Case, asked: list[Asked], unknown: int) -> Accuracy:
    """Compare what was said to those served with what came true, and with the closed form."""
    mu, theta = 1.0 / MEAN_S, 1.0 / case.patience_s if case.patience_s is not None else 0.0
    said: list[tuple[float, float]] = []
    known: list[tuple[float, float]] = []
    for one in asked:
        assert one.expected_us is not None
        assert one.waited_us is not None
        true = one.waited_us / SECOND
        said.append((one.expected_us / SECOND, true))
        known.append((closed_form(one.place, AGENTS * mu, theta), true))
    bias, rmse = relative(said)
    yard_bias, yard_rmse = relative(known)
    return Accuracy(
        case=case.name,
        n=len(said),
        mean_wait_s=math.fsum(true for _, true in said) / len(said),
        bias=bias,
        rmse=rmse,
        yardstick="QL" if theta == 0.0 else "QLr",
        yardstick_bias=yard_bias,
        yardstick_rmse=yard_rmse,
        ratio=rmse / yard_rmse,
        ratio_max=case.rmse_ratio_max,
        bias_max=case.bias_max,
        unknown=unknown,
    )


def measure(case: Case, contacts: int, warm_up: int, seed: int) -> Accuracy:
    """Run one case."""
    hall = Hall(case.design, seed).run(warm_up)
    hall.asked.clear()
    hall.run(contacts)
    unknown = sum(a.waited_us is not None and a.expected_us is None for a in hall.asked)
    return accuracy(case, list(hall.served()), unknown)


def table(found: list[Accuracy]) -> str:
    """Return the markdown table."""
    head = (
        "| load | served after waiting | mean wait, s | bias | RMSE / mean wait "
        "| yardstick: bias, RMSE | ratio of RMSE | target | met |\n"
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- | --- |"
    )
    lines = [head]
    for a in found:
        limit = f"≤ {a.ratio_max}" + ("" if a.bias_max is None else f", bias ≤ {a.bias_max:.0%}")
        lines.append(
            f"| {a.case} | {a.n} | {a.mean_wait_s:.2f} | {a.bias:+.2%} | {a.rmse:.4f} | "
            f"{a.yardstick}: {a.yardstick_bias:+.2%}, {a.yardstick_rmse:.4f} | {a.ratio:.4f} | "
            f"{limit} | {'yes' if a.met else 'NO'} |"
        )
    return "\n".join(lines)


def shared_table(contacts: int, seed: int) -> str:
    """Run the shared designs and return their table."""
    lines = [
        "| design, queue | served after waiting | mean wait, s | bias | RMSE / mean wait |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for design in SHARED:
        hall = Hall(design, seed).run(WARM_UP)
        hall.asked.clear()
        served = list(hall.run(contacts).served())
        for stream in design.streams:
            pairs = [
                ((a.expected_us or 0) / SECOND, (a.waited_us or 0) / SECOND)
                for a in served
                if a.queue == stream.queue
            ]
            bias, rmse = relative(pairs)
            mean = math.fsum(true for _, true in pairs) / len(pairs)
            lines.append(
                f"| {design.name}, {stream.queue} | {len(pairs)} | {mean:.2f} | {bias:+.1%} "
                f"| {rmse:.3f} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run all cases; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.ewt")
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shared", action="store_true", help="the designs with shared agents")
    options = parser.parse_args(arguments)
    if options.shared:
        print(shared_table(options.contacts, options.seed))
        return 0
    found = [measure(case, options.contacts, WARM_UP, options.seed) for case in CASES]
    if options.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        print(table(found))
    return 0 if all(one.met for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
