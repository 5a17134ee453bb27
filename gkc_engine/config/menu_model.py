"""``ivr:`` menus: what a citizen hears, which digits count, and where each choice leads.

A menu plays ``prompt``, takes digits while it plays and for ``timeout`` after it, and plays again
until ``tries`` rounds are used up. A digit that is no choice plays ``invalid`` and uses up a round.
After the last round ``on_timeout`` follows, or ``on_invalid`` when its last digit was a wrong one.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gkc_engine.acd.settings import ContactClass
from gkc_engine.config.values import Duration, Model, Name, PositiveDuration, Slope, expected
from gkc_engine.ids import SECOND, Micros

Language = Literal["ru", "en"]
"""Languages in which numbers and waits can be spoken."""
Digit = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]


class ChoiceModel(Model):
    """One step of the way: first ``language``, then ``say``, then exactly one target.

    Targets: ``menu``, ``queue``, ``article`` or ``hangup: true``.
    """

    language: Language | None = None
    """Spoken from here on."""
    say: Name | None = None
    """A prompt played before the target; any digit cuts it."""
    menu: Name | None = None
    queue: Name | None = None
    article: Name | None = None
    """A prompt that answers the question. Heard to its end, or left by a digit that is a choice
    of the menu which follows, it counts as self-service."""
    hangup: Literal[True] | None = None
    """The call ends (after ``say``)."""
    then: ChoiceModel | None = None
    """Only with ``article``: what follows it. Absent: the menu in which it was chosen."""
    contact_class: Annotated[ContactClass | None, Field(alias="class")] = None
    """Only with ``queue``: the citizen's own class instead of the queue's."""
    head_start: Duration | None = None
    """Only with ``queue``: his own head start."""
    slope: Slope | None = None
    """Only with ``queue``: his own slope."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        targets = (self.menu, self.queue, self.article, self.hangup)
        if sum(target is not None for target in targets) != 1:
            raise expected("exactly one of menu, queue, article and hangup: true")
        if self.then is not None and self.article is None:
            raise expected("then only beside article")
        own = (self.contact_class, self.head_start, self.slope)
        if self.queue is None and any(value is not None for value in own):
            raise expected("class, head_start and slope only beside queue")
        return self


class MenuModel(Model):
    """One menu. The module's text says how it runs."""

    prompt: Name
    timeout: PositiveDuration = Micros(5 * SECOND)
    """How long a digit is waited for after the prompt has ended."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    choices: Annotated[dict[Digit, ChoiceModel], Field(min_length=1)]
    invalid: Name | None = None
    """Played after a digit that is no choice."""
    on_timeout: ChoiceModel
    """Where those go who press nothing (an old phone cannot): never nowhere."""
    on_invalid: ChoiceModel | None = None
    """Absent: as ``on_timeout``."""
