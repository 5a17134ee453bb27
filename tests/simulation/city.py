"""The simulated city: three queues that share eight operators, a menu, and its numbers."""

from __future__ import annotations

from typing import Any

from gkc_engine.config.models import Config

QUEUES: dict[str, Any] = {
    "passport": {
        "title": "Паспорта",
        "require": {"passport": 3},
        "relax": ({"after": "20s", "require": {"passport": 1}},),
        "timeout": "10s",
        "wrapuptime": "3s",
        "announce-frequency": "15s",
    },
    "housing": {"title": "ЖКХ", "require": {"housing": 2}, "timeout": "8s", "wrapuptime": "2s"},
    "english": {"title": "English", "require": {"english": 1}, "timeout": "10s"},
}

OPERATORS: dict[str, dict[str, int]] = {
    "anna": {"passport": 5},
    "boris": {"passport": 1, "housing": 4},
    "vera": {"passport": 3, "english": 2},
    "gleb": {"housing": 2},
    "dina": {"passport": 3, "housing": 3},
    "egor": {"english": 4},
    "zhanna": {"passport": 4, "housing": 5, "english": 1},
    "igor": {"housing": 2, "passport": 2},
}

SKILLS_OF: dict[str, dict[str, int]] = {
    f"PJSIP/{101 + n}": skills for n, skills in enumerate(OPERATORS.values())
}
AGENT_AT: dict[str, str] = {f"PJSIP/{101 + n}": name for n, name in enumerate(OPERATORS)}

MENU_NUMBER = "+74957777777"
DIRECT: dict[str, str] = {
    "+74957770001": "passport",
    "+74957770002": "housing",
    "+74957770003": "english",
}


def config() -> Config:
    """Return the city, as the loader would."""
    return Config.model_validate(
        {
            "center": {"name": "centr", "prefix": "ЦАО", "title": "Центр"},
            "pbx": {"ami": {"secret": "env:GKC_AMI_SECRET"}},
            "numbers": {
                MENU_NUMBER: {"ivr": "main"},
                **{number: {"queue": queue} for number, queue in DIRECT.items()},
            },
            "skills": {"passport": "Паспорта", "housing": "ЖКХ", "english": "Английский"},
            "queues": QUEUES,
            "operators": {
                name: {"name": name, "interface": interface, "skills": OPERATORS[name]}
                for interface, name in AGENT_AT.items()
            },
            "ivr": {
                "main": {
                    "prompt": "menu-main",
                    "timeout": "3s",
                    "tries": 2,
                    "choices": {
                        "1": {"queue": "passport"},
                        "2": {"queue": "housing"},
                        "3": {"article": "article", "then": {"hangup": True}},
                    },
                    "on_timeout": {"queue": "housing"},
                }
            },
        }
    )
