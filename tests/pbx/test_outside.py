from __future__ import annotations

import pytest

from gkc_engine.errors import ConfigError
from gkc_engine.pbx.outside import (
    CitizenCall,
    PhoneAct,
    PhoneDecision,
    Press,
    dial_from_phone,
    originate_citizen,
    set_phone,
)


def test_a_call_carries_its_id_in_the_header_and_in_the_cdr() -> None:
    call = CitizenCall(
        call_id="s1-7",
        number="+74957777777",
        caller="+79160000001",
        presses=(Press(after_s=1.5, digits="1"), Press(after_s=2, digits="12#")),
        patience_s=30,
    )
    variables = dict(v.split("=", 1) for k, v in originate_citizen(call) if k == "Variable")
    assert variables == {
        "PJSIP_HEADER(add,X-GKC-Call)": "s1-7",
        "CDR(userfield)": "s1-7",
        "CITIZEN": "+79160000001",
        "PRESS": "1.500/1-2.000/12#",
        "TICKS": "120",
        "TALK": "0",
        "AFTER": "240",
    }


@pytest.mark.parametrize("evil", ["a\r\nAction: Command", "a,b=c", "${SHELL(id)}", ""])
def test_nothing_foreign_gets_into_an_action(evil: str) -> None:
    with pytest.raises(ConfigError):
        originate_citizen(CitizenCall(call_id=evil, number="+7495", caller="+7916"))
    with pytest.raises(ConfigError):
        originate_citizen(CitizenCall(call_id="a", number=evil, caller="+7916"))
    with pytest.raises(ConfigError):
        dial_from_phone("101", evil)
    with pytest.raises(ConfigError):
        set_phone(evil, [])


def test_a_list_of_decisions_too_long_for_an_ami_line_is_refused() -> None:
    decision = PhoneDecision(act=PhoneAct.ANSWER, ring_s=1.25, talk_s=20)
    assert set_phone("101", [decision] * 2)[2] == (
        "Value",
        "answer/1.250/20.000/-answer/1.250/20.000/",
    )
    with pytest.raises(ConfigError, match="900"):
        set_phone("101", [decision] * 50)
