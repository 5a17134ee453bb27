"""Long runner: ``python -m tests.federation.run [SEEDS] [--from SEED] [--second-line]``.

Exit 1 at a broken one. With ``--second-line`` citizens are handed on, asked about, given back.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.federation import second_line
from tests.federation.test_histories import ALL, KINDS
from tests.federation.world import play


def one(seed: int, *, escalating: bool = False) -> tuple[int, str, list[str], int]:
    """Play a seed under one kind of fault, or under all; each in turn."""
    kinds = {**KINDS, "all": ALL, "all again": ALL}
    name = list(kinds)[seed % len(kinds)]
    city = second_line.play(seed, kinds[name]) if escalating else play(seed, kinds[name])
    return seed, name, city.broken, len(city.sent)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play the seeds on all cores, say how many were sent on, and which broke what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=2000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--second-line", action="store_true", dest="escalating")
    args = parser.parse_args()
    failed, sent = 0, 0
    play_one = partial(one, escalating=args.escalating)
    with ProcessPoolExecutor() as pool:
        seeds = range(args.first, args.first + args.seeds)
        for n, (seed, name, broken, moved) in enumerate(pool.map(play_one, seeds, chunksize=8), 1):
            sent += moved
            if broken:
                failed += 1
                _say(f"seed {seed} ({name}): {broken[:5]}")
            if n % 200 == 0:
                _say(f"{n} seeds, {sent} sent on, {failed} broken")
    _say(f"{args.seeds} seeds from {args.first}: {sent} sent on, {failed} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
