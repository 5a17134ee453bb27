"""Who comes first of many lines is found by looks at a few, whatever moves."""

from __future__ import annotations

import random

import pytest

from gkc_engine.acd.lines import EMPTY, LINE, Line
from gkc_engine.acd.matchspace import FEW, NEAR, MatchSpace, Near, Profile
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Contact
from gkc_engine.ids import ContactId, Instant, SkillId

LINES = 4 * NEAR
SKILLS = [SkillId(f"s{n}") for n in range(LINES)]


class Hall:
    """Lines of one skill each; two profiles of whom one may serve all, the other the half."""

    def __init__(self) -> None:
        self.space = MatchSpace()
        for mine in (SKILLS, SKILLS[::2]):
            self.space.profile(dict.fromkeys(mine, 1))
        self.lines = [
            self.space.line(self.space.req({skill: 1}), Medium.VOICE, n % 2, 0)
            for n, skill in enumerate(SKILLS)
        ]
        self.stands: dict[int, tuple[Line, int]] = {}
        """Line and key of those who wait, by their number."""
        self.contacts: list[Contact] = []

    def come(self, line: Line, key: int) -> None:
        n = len(self.contacts)
        contact = Contact(contact_id=ContactId(f"c{n}"), medium=Medium.VOICE, started=Instant(0))
        contact.sequence, contact.entry = n, n + 1
        self.contacts.append(contact)
        self.stands[n] = (line, key)
        line.put((key, n, n + 1, contact))

    def leave(self, n: int) -> None:
        line, _ = self.stands.pop(n)
        self.contacts[n].entry = 0
        line.left_by(self.contacts[n])

    def age(self, line: Line, to: Line) -> None:
        """The head of a line goes to another, as ``World.age`` does it."""
        if line.late or not line.run or line.run[0][3].entry != line.run[0][2] or line is to:
            return
        entry = line.run.popleft()
        line.top = None
        self.stands[entry[1]] = (to, entry[0])
        to.put(entry)

    def first(self, profile: Profile) -> int | None:
        """Return who comes first, by the heads."""
        while True:
            head = profile.first_in_line(Medium.VOICE, self.space.heads, self.space.occupied)
            if head is EMPTY:
                return None
            line = self.space.lines[head & LINE]
            if line.top is not None:
                return line.top[1]
            line.renew()

    def searched(self, profile: Profile) -> int | None:
        """Return the same by a search of everybody."""
        may = {line.index for line in profile.lines[Medium.VOICE]}
        mine = [(li.rank, key, n) for n, (li, key) in self.stands.items() if li.index in may]
        return min(mine)[2] if mine else None


@pytest.mark.parametrize("seed", range(20))
def test_the_first_is_the_first_of_all(seed: int) -> None:
    rng, hall = random.Random(seed), Hall()
    crowd = rng.choice((FEW // 2, 3 * FEW, 30 * FEW))
    early, aging = rng.choice((0.0, 0.2)), rng.choice((1, 3))
    for _ in range(crowd):
        hall.come(rng.choice(hall.lines), 0)
    for now in range(1, 1_500):
        if len(hall.stands) < crowd:
            back = rng.randrange(now) if rng.random() < early else 0
            hall.come(rng.choice(hall.lines), now - back)
        elif rng.random() < 0.3:
            hall.leave(rng.choice([*hall.stands]))
        for _ in range(rng.randrange(aging)):
            hall.age(rng.choice(hall.lines), rng.choice(hall.lines))
        profile = rng.choice(hall.space.profiles)
        found = hall.first(profile)
        assert found == hall.searched(profile), now
        if found is not None and rng.random() < 0.8:
            hall.leave(found)


def test_where_many_wait_few_lines_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall()
    for line in hall.lines:
        for key in (1, 2, 3) if line.index < NEAR else (1_000,):
            hall.come(line, key)
    profile = hall.space.profiles[0]
    looked: list[int] = []
    look_at_all = Near.look_at_all

    def counted(near: Near, heads: list[int]) -> int:
        looked.append(1)
        return look_at_all(near, heads)

    monkeypatch.setattr(Near, "look_at_all", counted)
    for _ in range(3 * NEAR // 2):  # Those of rank 0 among the first lines.
        found = hall.first(profile)
        assert found == hall.searched(profile)
        assert found is not None
        hall.leave(found)
    assert len(looked) == 1
