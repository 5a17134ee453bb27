"""A queue at run time: its settings, its status, and what is due for those who wait in it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from gkc_engine.acd.lines import Line
from gkc_engine.acd.matchspace import MatchSpace, Req
from gkc_engine.acd.settings import CLASS_RANK, QueueSettings, Ring, Strategy
from gkc_engine.acd.staffing import LeaveLine, Staff, Staffing, Watch
from gkc_engine.acd.state import QueueStatus
from gkc_engine.acd.timers import DueLine, What
from gkc_engine.ids import Micros

_WAITS: Final = attrgetter(
    "medium",
    "contact_class",
    "head_start_us",
    "slope_milli",
    "maxwait_us",
    "maxwait_unstaffed_us",
    "leavewhenempty",
)
"""Settings that say how a queue's contacts wait, whatever their step."""

_NEEDS: Final = attrgetter("require", "relax", "joinempty")
"""Those that say, besides, where they stand and what is due for them."""


class Queue:
    """A queue at run time: its settings, its status and its due lines."""

    __slots__ = (
        "_join",
        "contact_class",
        "count",
        "elsewhere",
        "head_start_us",
        "leaving",
        "lines",
        "maxwait",
        "maxwait_us",
        "may_leave",
        "plain",
        "rank",
        "settings",
        "status",
        "steps",
        "straight",
        "timeout_us",
        "wrapup_us",
    )

    def __init__(
        self,
        status: QueueStatus,
        space: MatchSpace,
        staffing: Staffing,
        before: Sequence[tuple[int, Req]] = (),
    ) -> None:
        """``before``: steps of the queue in the same space, by its rules so far."""
        self.status = status
        self.settings = settings = status.settings
        """The rules its contacts wait under."""
        self.plain = False
        """Whether who serves a contact is the longest idle, alone: by far the most of queues."""
        self.straight = False
        """Whether the door stands open and no rule of the queue concerns who comes: most do."""
        self.go_by(settings)
        needs = [(0, settings.require), *((s.after_us, s.require) for s in settings.relax)]
        self.steps: list[tuple[int, Req]] = []
        for step, (after, need) in enumerate(needs):
            same = step < len(before) and before[step][1].need == need
            self.steps.append((after, before[step][1] if same else space.req(need)))
        self.maxwait = DueLine(What.MAXWAIT)
        self.leaving: list[list[LeaveLine]] = [[] for _ in self.steps]
        """Contacts at each step that leave when nobody is left (P4); without the keys, none."""
        self._watch_staff(staffing)
        self.may_leave = any(self.leaving)
        self.count = 0
        """Waiting, offered and detached contacts (P9)."""

    def go_by(self, settings: QueueSettings) -> None:
        """Take other rules, under which its contacts stand where they do."""
        self.settings = settings
        # What each decision asks for: from here it is one object to read, not two.
        self.contact_class, self.head_start_us = settings.contact_class, settings.head_start_us
        self.lines: list[Line | None] = [None] * (1 + len(settings.relax))
        """Of each step, the line of those without a priority of their own; see ``usual_line``."""
        self.rank = CLASS_RANK[settings.contact_class]
        self.timeout_us, self.wrapup_us = settings.timeout_us, settings.wrapup_us
        self.maxwait_us = settings.maxwait_us
        self.plain = settings.strategy is Strategy.LONGEST_IDLE and settings.ring is Ring.ONE
        self.look_at_the_door()

    def usual_line(self, step: int, space: MatchSpace) -> Line:
        """Return the line in which a contact without a priority of its own waits at a step.

        Not under ``accumulating``, by which lines differ in their slopes too.
        """
        line = self.lines[step]
        if line is None:
            req, medium = self.steps[step][1], self.settings.medium
            line = self.lines[step] = space.line(req, medium, self.rank, 0)
        return line

    def look_at_the_door(self) -> None:
        """Find ``straight`` anew: the queue's rules or its status have changed."""
        status, settings = self.status, self.settings
        closed = not status.open or status.emergency is not None or status.draining
        ruled = settings.joinempty or settings.prefer or settings.resume_within_us
        at_once = bool(settings.relax) and settings.relax[0].after_us <= 0
        self.straight = not (closed or ruled or at_once) and settings.maxlen is None

    def _watch_staff(self, staffing: Staffing) -> None:
        """P4: have those counted on whom joining, waiting and the unstaffed wait depend.

        Another center that is there helps as one of ours does to whom no factor applies.
        """
        self.elsewhere = Staff()
        self.elsewhere.live = int(self.status.staffed_elsewhere)
        settings = self.settings
        self._join: Watch | None = None
        if settings.joinempty:
            self._join = staffing.watch(settings.medium, settings.joinempty)
            for _, req in self.steps:
                self._join.staff(req)
        rules: list[tuple[What, Micros, Watch]] = []
        if settings.leavewhenempty:
            watch = staffing.watch(settings.medium, settings.leavewhenempty)
            rules.append((What.EMPTY, Micros(0), watch))
        if settings.maxwait_unstaffed_us is not None:
            watch = staffing.watch(settings.medium, ())
            rules.append((What.UNSTAFFED, settings.maxwait_unstaffed_us, watch))
        for what, after_us, watch in rules:
            for step, lines in enumerate(self.leaving):
                staffs = [watch.staff(req) for _, req in self.steps[step:]]
                staffs.append(self.elsewhere)
                lines.append(LeaveLine(what, after_us, staffs))

    def waits_alike(self, settings: QueueSettings) -> bool:
        """Return whether under other settings its contacts would stand in the same lines."""
        mine = self.settings
        return mine is settings or (
            _WAITS(mine) == _WAITS(settings) and _NEEDS(mine) == _NEEDS(settings)
        )

    def steps_alike(self, before: Queue) -> frozenset[int]:
        """Return the steps at which contacts stand as they did ``before``, by other settings.

        None where anybody may leave an empty queue: that depends on all later steps.
        """
        alike = _WAITS(self.settings) == _WAITS(before.settings)
        afters = [after for after, _ in self.steps]
        if not alike or any(self.leaving) or afters != [after for after, _ in before.steps]:
            return frozenset()
        pairs = zip(self.steps, before.steps, strict=True)
        return frozenset(n for n, (new, old) in enumerate(pairs) if new[1].need == old[1].need)

    def keep(self, before: Queue) -> None:
        """Take over what is due for the contacts that stay where they stand."""
        self.maxwait = before.maxwait

    def detach(self) -> None:
        """The queue is gone: nobody leaves its lines any more."""
        for line in {line for lines in self.leaving for line in lines}:
            for staff in line.staffs:
                if line in staff.lines:
                    staff.lines.remove(line)

    def may_join(self, step: int) -> bool:
        """Return False if ``joinempty`` refuses: nobody helps at this step or a later one."""
        watch = self._join
        if watch is None or self.elsewhere.live:
            return True
        return any(watch.staff(req).live for _, req in self.steps[step:])
