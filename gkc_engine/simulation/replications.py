"""Independent runs of one plan, on all cores; the result does not depend on how many there are."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gkc_engine.ids import SECOND
from gkc_engine.simulation.draws import arrivals
from gkc_engine.simulation.plan import Arrival, Plan
from gkc_engine.simulation.runner import Runner
from gkc_engine.simulation.tally import Fate, Figures

SMALL: Final = 20_000
"""Contacts that are simulated sooner than another process has started."""

Progress = Callable[[int, int], None]
"""Told now and then: how much is done, of how much; contacts in one run, else runs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave."""

    figures: dict[str, Figures]
    """By queue, all of them under ``tally.TOTAL``."""
    occupancy: Figures
    fates: list[Fate] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all runs have in common."""

    plan: Plan
    seed: int
    given: tuple[Arrival, ...] | None = None
    """The contacts, instead of the plan's traffic."""
    keep_fates: bool = False

    def expected(self) -> float:
        """Return about how many contacts one run has."""
        if self.given is not None:
            return len(self.given)
        if self.plan.contacts is not None:
            return self.plan.contacts
        assert self.plan.duration_us is not None
        return sum(flow.per_s for flow in self.plan.flows) * self.plan.duration_us / SECOND

    def run(self, replication: int, progress: Callable[[int], None] | None = None) -> Result:
        """Run once; ``replication`` counts from 0 and chooses the random numbers."""
        if self.given is None:
            coming = arrivals(self.plan.flows, self.seed, replication)
        else:
            coming = iter(self.given)
        runner = Runner(
            self.plan,
            coming,
            self.seed,
            replication,
            keep_fates=self.keep_fates,
            progress=progress,
        )
        runner.run()
        return Result(runner.tally.figures(), runner.tally.occupancy(), runner.fates)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def simulate(
    task: Task, replications: int, *, jobs: int, progress: Progress | None = None
) -> list[Result]:
    """Run ``replications`` times in up to ``jobs`` processes; the results in their order.

    Raises:
        EndlessRunError: a run does not end.
    """
    told = progress if progress is not None else _tell_nobody
    if replications == 1:
        total = round(task.expected())
        return [task.run(0, lambda came: told(came, total))]
    jobs = min(jobs, replications)
    runs: list[Result] = []
    alone = jobs == 1 or task.expected() * replications < SMALL
    for result in (_one_after_another if alone else _side_by_side)(task, replications, jobs):
        runs.append(result)
        told(len(runs), replications)
    return runs


def _tell_nobody(_done: int, _of: int) -> None:
    pass


def _one_after_another(task: Task, replications: int, _jobs: int) -> Iterator[Result]:
    return map(task.run, range(replications))


def _side_by_side(task: Task, replications: int, jobs: int) -> Iterator[Result]:
    # Spawned, not forked: a fork copies the threads' locks of whoever calls us.
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_prepare, initargs=(task,)) as pool:
        yield from pool.imap(_run, range(replications))


_tasks: list[Task] = []
"""In a process of the pool: its task, sent once and not with each run."""


def _prepare(task: Task) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    _tasks[:] = [task]


def _run(replication: int) -> Result:
    return _tasks[0].run(replication)
