from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.channels.phone import translate
from gkc_engine.errors import ConfigError
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.model import Ami, CenterTrunk, FallbackQueue, OperatorPhone, PbxPlan, Trunk
from gkc_engine.pbx.numbers_outside import patterns_of
from gkc_engine.pbx.render import (
    HEADER,
    Directories,
    include_side,
    render_standalone,
    write_include_side,
)
from tests.pbx.support import CITY, SECRET, lines, small_plan

FAKE = Install(
    how="none", version="22.10.1", command=("asterisk",), modules=Path("/m"), data=Path("/d")
)


def _context(text: str, name: str, of: str = "") -> list[str]:
    found = lines(text)
    start = found.index(f"[{name}]{of}") + 1
    ends = [i for i, line in enumerate(found) if i > start and line.startswith("[")]
    return found[start : ends[0] if ends else None]


def test_the_way_in_is_the_contract_line_by_line() -> None:
    agi = "agi://127.0.0.1:4573"
    assert _context(include_side(small_plan())["gkc.d/extensions.conf"], "gkc") == [
        "include => gkc-lease",
        (
            "exten => _[+0-9]!,1,MSet(AGIEXITONHANGUP=yes,__TRANSFER_CONTEXT=gkc-transfer,"
            "GKC_HOME=gkc,GKC_ENTRY=${FILTER(+0-9,${EXTEN})},"
            'GKC_FALLBACK=${IF($["${GKC_FALLBACK}"=""]?gkc-default:${GKC_FALLBACK})})'
        ),
        ' same => n,GotoIf($["${CHANNEL(channeltype)}"!="PJSIP"]?in)',
        " same => n,Set(GKC_EXT_ID=${FILTER(A-Za-z0-9._\\x2d,${PJSIP_HEADER(read,X-GKC-Call)})})",
        ' same => n,ExecIf($["${GKC_EXT_ID}"!=""]?Set(CDR(userfield)=${GKC_EXT_ID}))',
        " same => n(in),MSet(GKC_DONE=,DIALSTATUS=,TIMEOUT(absolute)=4)",
        " same => n,GotoIf($[${EPOCH} - 0${GKC_HEARTBEAT} > 4]?fallback)",
        f" same => n,AGI({agi}/enter,lease)",
        ' same => n,GotoIf($["${GKC_DONE}"="1"]?bye)',
        ' same => n,GotoIf($["${DIALSTATUS}"="ANSWER"]?after)',
        " same => n(fallback),Set(TIMEOUT(absolute)=7200)",
        " same => n,Answer()",
        " same => n,Queue(${GKC_FALLBACK},,,,600)",
        ' same => n,GotoIf($["${QUEUESTATUS}"="WITHDRAW"]?in)',
        " same => n(bye),Hangup()",
        ' same => n(after),GotoIf($["${SHARED(GKC_AGAIN)}"="1"]?again)',
        f" same => n,AGI({agi}/after)",
        " same => n,Hangup()",
        " same => n(again),Set(SHARED(GKC_AGAIN)=)",
        " same => n,Goto(in)",
        "exten => failed,1,Hangup()",
    ]


def _with_centers(*centers: CenterTrunk) -> PbxPlan:
    return replace(small_plan(), centers=centers)


def test_another_center_comes_in_by_its_address_and_gets_no_further_than_an_operator() -> None:
    plan = _with_centers(
        CenterTrunk(center="sever", host="127.0.0.1", port=5160),
        CenterTrunk(center="yug", host="10.0.3.1"),
    )
    written = include_side(plan)
    agi = "agi://127.0.0.1:4573"
    assert _context(written["gkc.d/extensions.conf"], "gkc-guests") == [
        "exten => gkc-passport,1,Goto(gkc-guest,in,1)",
        "exten => gkc-housing,1,Goto(gkc-guest,in,1)",
    ]
    assert _context(written["gkc.d/extensions.conf"], "gkc-guest") == [
        (
            "exten => in,1,MSet(AGIEXITONHANGUP=yes,__TRANSFER_CONTEXT=gkc-transfer,"
            "GKC_HOME=gkc-guest,GKC_ENTRY=in)"
        ),
        " same => n,Set(GKC_TOKEN=${FILTER(A-Za-z0-9._\\x2d,${PJSIP_HEADER(read,X-GKC-Token)})})",
        " same => n(in),MSet(GKC_DONE=,DIALSTATUS=,TIMEOUT(absolute)=4)",
        " same => n,GotoIf($[${EPOCH} - 0${GKC_HEARTBEAT} > 4]?none)",
        f" same => n,AGI({agi}/guest,lease,${{GKC_TOKEN:0:201}})",
        ' same => n,GotoIf($["${GKC_DONE}"="1"]?bye)',
        ' same => n,GotoIf($["${DIALSTATUS}"="ANSWER"]?after)',
        ' same => n,GotoIf($["${DIALSTATUS}"=""]?none)',
        " same => n,Hangup(19)",
        " same => n(none),Hangup(38)",
        " same => n(bye),Hangup()",
        f" same => n(after),AGI({agi}/after)",
        " same => n,Hangup()",
        "exten => T,1,Hangup(38)",
    ]
    phones = written["gkc.d/pjsip.conf"]
    assert re.findall(r"^match = (.*)$", phones, re.MULTILINE)[1:] == ["127.0.0.1:5160", "10.0.3.1"]
    assert re.findall(r"^contact = (sip:(?!10).*)$", phones, re.MULTILINE) == ["sip:127.0.0.1:5160"]
    assert "identify_by = ip" in _context(phones, "gkc-guests-yug", "(gkc-center)")
    assert "context = gkc-guests" in _context(phones, "gkc-guests-yug", "(gkc-center)")
    assert "context = gkc-nowhere" in _context(phones, "gkc-center-yug", "(gkc-center)")


def test_whom_another_center_gave_back_waits_in_his_queue_and_is_not_hung_up() -> None:
    sever = CenterTrunk(center="sever", host="10.0.3.1")
    text = include_side(_with_centers(sever))["gkc.d/extensions.conf"]
    assert _context(text, "prehdr") == [
        "exten => add,1,Set(PJSIP_HEADER(add,X-GKC-Token)=${ARG1})",
        " same => n,Set(PJSIP_HEADER(add,X-GKC-First)=${ARG2})",
        " same => n,Set(CHANNEL(hangup_handler_push)=prehdr,over,1)",
        " same => n,Return()",
        (
            'exten => over,1,ExecIf($["${HANGUPCAUSE}"="23"]'
            "?Set(SHARED(GKC_BACK,${CHANNEL(linkedid)})=${EPOCH}))"
        ),
        " same => n,Return()",
    ]
    ring = _context(text, "gkc-ring")
    over = ring.index('exten => over,1,GotoIf($["${GKC_ENTRY}"=""]?bye)')
    assert ring[over + 1 : over + 9] == [
        " same => n,MSet(TIMEOUT(absolute)=7200,GKC_LOOKS=10)",
        " same => n(look),Set(GKC_LEGS=${CHANNELS(PJSIP/gkc-center-)})",
        " same => n,GotoIf($[${EPOCH} - 0${SHARED(GKC_BACK)} < 4]?queue,1)",
        ' same => n,GotoIf($["${GKC_LEGS}"="" | ${GKC_LOOKS} = 0]?bye)',
        " same => n,Set(GKC_LOOKS=$[${GKC_LOOKS} - 1])",
        " same => n,Wait(0.1)",
        " same => n,Goto(look)",
        " same => n(bye),Hangup()",
    ]
    assert "[gkc-center-sever]" in include_side(_with_centers(sever))["gkc.d/pjsip.conf"]


@pytest.mark.parametrize("context", ["gkc", "gkc-queue", "gkc-transferred", "gkc-consult"])
def test_the_end_of_every_citizens_talk_asks_whether_he_was_given_back(context: str) -> None:
    alone = _context(include_side(small_plan())["gkc.d/extensions.conf"], context)
    several = _with_centers(CenterTrunk(center="sever", host="10.0.3.1"))
    among = _context(include_side(several)["gkc.d/extensions.conf"], context)
    assert not [text for text in alone if "over,1" in text]
    asked = [text for text in among if "gkc-ring,over,1" in text]
    assert len(asked) == (len(several.queues) if context == "gkc-queue" else 1)
    assert [text for text in among if text.endswith("]?after)")], "nobody comes there"
    after = [i for i, text in enumerate(among) if text.endswith("/after)")]
    assert [among[i + 1] for i in after] == [" same => n,Goto(gkc-ring,over,1)"] * len(after)


def test_a_center_that_is_alone_has_no_way_in_for_others() -> None:
    written = include_side(small_plan())
    assert "gkc-guest" not in written["gkc.d/extensions.conf"]
    assert "gkc-center" not in written["gkc.d/pjsip.conf"]


@pytest.mark.parametrize(
    ("centers", "said"),
    [
        ([("centr", "10.0.0.1")], "is this one"),
        ([("sever", "10.0.0.1"), ("sever", "10.0.0.2")], "is named twice"),
        ([("sever", "10.0.0.1"), ("yug", "10.0.0.1")], "give each its own"),
        ([("sever", "sever example")], "trunk to sever"),
        ([("sever\n[x]", "10.0.0.1")], "another center's name"),
    ],
)
def test_centers_that_cannot_be_told_apart_are_refused(
    centers: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        _with_centers(*(CenterTrunk(center=name, host=host) for name, host in centers))


def test_the_engine_gets_the_least_rights() -> None:
    assert lines(include_side(small_plan())["gkc.d/manager.conf"]) == [
        "[gkc]",
        f"secret = {SECRET}",
        "deny = 0.0.0.0/0.0.0.0",
        "permit = 127.0.0.1/255.255.255.255",
        "read = system,call,agent,agi",
        "write = call,agent,agi,reporting",
        "writetimeout = 5000",
        "allowmultiplelogin = yes",
        (
            "eventfilter = !^Event: (VarSet|Newexten|Newstate|NewCallerid|NewConnectedLine|RTCPSent"
            "|RTCPReceived|TestEvent|QueueMemberStatus|HangupRequest|SoftHangupRequest"
            "|AGIExecStart|AGIExecEnd|MusicOnHoldStart|MusicOnHoldStop"
            "|BridgeCreate|BridgeDestroy|BridgeLeave)"
        ),
    ]


def test_no_event_that_the_engine_translates_is_filtered_out() -> None:
    text = include_side(small_plan())["gkc.d/manager.conf"]
    (pattern,) = re.findall(r"^eventfilter = !(.+)$", text, re.MULTILINE)
    for name in (*translate._TABLE, "FullyBooted", "OriginateResponse"):
        assert not re.match(pattern, f"Event: {name}\r\n"), name
    assert re.match(pattern, "Event: VarSet\r\n")
    hostile = "Event: Hangup\r\nCallerIDName: Event: VarSet\r\n"
    assert not re.search(pattern, hostile), "a citizen hides his own end"


def test_nothing_an_operator_or_a_trunk_may_dial_leads_out() -> None:
    text = include_side(small_plan())["gkc.d/extensions.conf"]
    dialled = re.findall(r"Dial\(([^,)]*)", "\n".join(lines(text)))
    assert dialled == ["PJSIP/101", "PJSIP/102"]
    patterns = set(re.findall(r"^exten => (_[^,]*),", text, re.MULTILINE))
    assert patterns == {"_[+0-9]!", "_[*+0-9]!", "_*45!", "_*46!", "_*47!", "_*48!"}


OUT = "from-operators-out"


def test_a_number_outside_is_digits_only_and_dialled_by_nobody_but_the_engine() -> None:
    text = include_side(replace(small_plan(), outbound=True))["gkc.d/extensions.conf"]
    out = [line for line in _context(text, "gkc-operators") if "gkc-outbound" in line]
    assert len(out) == 22
    for line in out:
        pattern = re.fullmatch(
            r"exten => _(\+?)(X{7,17}),1,Goto\(gkc-outbound,\$\{EXTEN\},1\)", line
        )
        assert pattern is not None, line
    served = _context(text, "gkc-outbound")
    assert not [line for line in served if "Dial(" in line or "include" in line or "Queue(" in line]
    assert "TRANSFER_CONTEXT=gkc-nowhere" in served[0]
    assert "[gkc-nowhere]" not in text
    for context in ("gkc", "gkc-transfer", "gkc-transferred", "gkc-consult", "gkc-ring"):
        assert not [line for line in _context(text, context) if "outbound" in line]


@pytest.mark.parametrize(
    ("prefix", "patterns"),
    [
        ("+7", {"_+7XXXXXXXXXX", "_7XXXXXXXXXX", "_8XXXXXXXXXX", "_[3-9]XXXXXXXXX"}),
        ("+7495", {"_+7495XXXXXXX", "_7495XXXXXXX", "_8495XXXXXXX", "_495XXXXXXX"}),
        ("+74950000042", {"_+74950000042", "_74950000042", "_84950000042", "_4950000042"}),
    ],
)
def test_a_citizen_is_put_through_to_allowed_prefixes_only(prefix: str, patterns: set[str]) -> None:
    plan = replace(small_plan(), outbound=True, outbound_allow=(prefix,))
    text = include_side(plan)["gkc.d/extensions.conf"]
    found = re.findall(
        r"exten => (_\S+),1,Goto\(gkc-transferred", "\n".join(_context(text, "gkc-transfer"))
    )
    assert set(found) == patterns
    inside = include_side(replace(plan, outbound=False))["gkc.d/extensions.conf"]
    assert "_" not in "".join(_context(inside, "gkc-transfer"))


def test_a_foreign_prefix_has_a_pattern_for_each_length() -> None:
    found = patterns_of("+1202")
    assert len(found) == 18
    assert {"_+1202XXXXXXX", "_8101202XXXXXXX"} <= set(found)
    assert all(re.fullmatch(r"_\+?[0-9]+X*", pattern) for pattern in found)


def test_without_outbound_no_number_outside_exists() -> None:
    assert "outbound" not in include_side(small_plan())["gkc.d/extensions.conf"]


def test_emergency_numbers_go_the_administrators_way_and_ask_no_engine() -> None:
    plan = replace(small_plan(), emergency_context=OUT)  # its operators are 101 and 102
    text = include_side(plan)["gkc.d/extensions.conf"]
    for number in ("112", "101", "102", "103", "104"):
        assert f"exten => {number},1,Goto(gkc-emergency,${{EXTEN}},1)" in _context(
            text, "gkc-operators"
        )
        assert f"exten => {number},1,Set(GKC_OUT={OUT})" in _context(text, "gkc-emergency")
    dialled = [line for line in _context(text, "gkc-operators") if ",1,Goto(gkc-consult" in line]
    assert {line.split(",")[0] for line in dialled} == {
        f"exten => {n}" for n in ("601", *plan.numbers, "*49")
    }
    assert not [line for line in _context(text, "gkc-emergency") if "AGI(" in line]


def test_without_a_way_out_emergency_numbers_are_refused_aloud(tmp_path: Path) -> None:
    said = tmp_path / "refused"
    text = include_side(replace(small_plan(), emergency_prompt=said))["gkc.d/extensions.conf"]
    numbers = [line for line in _context(text, "gkc-operators") if ",1,Goto(gkc-emergency" in line]
    assert [line.split(",")[0] for line in numbers] == [f"exten => {n}" for n in (103, 104, 112)]
    refused = _context(text, "gkc-emergency")[-5:]
    assert refused[0].startswith("exten => refused,1,Log(ERROR,")
    assert refused[1:] == [
        " same => n,Progress()",
        f" same => n,Playback({said},noanswer)",
        " same => n,Congestion(5)",
        " same => n,Hangup()",
    ]
    assert "exten => 101,1,Goto(gkc-consult,${EXTEN},1)" in text, "a colleague, as before"


@pytest.mark.parametrize("context", ["", "a,b", "x\ny", "${X}", "-a", "a b"])
def test_a_context_that_is_none_is_refused(context: str) -> None:
    with pytest.raises(ConfigError, match="emergency context"):
        replace(small_plan(), emergency_context=context)


def test_every_queue_has_its_fallback_without_static_members() -> None:
    text = include_side(small_plan())["gkc.d/queues.conf"]
    assert re.findall(r"^\[(\S+)\]\(gkc-fallback\)", text, re.MULTILINE) == [
        *("gkc-default", "gkc-passport", "gkc-housing")
    ]
    assert not [line for line in lines(text) if line.startswith("member")]


def test_a_plan_without_heartbeat_always_asks_the_engine() -> None:
    text = include_side(replace(small_plan(), heartbeat=False))["gkc.d/extensions.conf"]
    assert "GKC_HEARTBEAT" not in text


@settings(deadline=None)
@given(st.text('";\\<>${}[]#- ы', max_size=20) | st.text(max_size=20))
def test_no_title_adds_a_line_or_a_section_or_an_expansion(title: str) -> None:
    plain = lines(include_side(small_plan())["gkc.d/pjsip.conf"])
    try:
        hostile = lines(include_side(small_plan(title=title))["gkc.d/pjsip.conf"])
    except ConfigError:
        return
    differing = [b for a, b in zip(plain, hostile, strict=True) if a != b]
    for line in differing:
        assert re.fullmatch(r'callerid = "[^"\\;<>$\x00-\x1f\x7f]*" <101>', line)


def test_a_hostile_title_stays_a_name() -> None:
    text = include_side(small_plan(title='A" <666>;-- x\\ ${SHELL(id)}$[1]'))["gkc.d/pjsip.conf"]
    assert 'callerid = "A\' (666),-- x/ {SHELL(id)}[1]" <101>' in text.splitlines()


@pytest.mark.parametrize("title", ["a\nset_var = X=1", "a\r[101]", "a\x00b", "a\x7f"])
def test_a_title_of_several_lines_is_refused(title: str) -> None:
    with pytest.raises(ConfigError, match="title"):
        include_side(small_plan(title=title))


HOSTILE: list[Callable[[], object]] = [
    lambda: OperatorPhone(endpoint="101@trunk", agent_id="a"),
    lambda: OperatorPhone(endpoint="101\n", agent_id="a"),
    lambda: OperatorPhone(endpoint="general", agent_id="a"),
    lambda: OperatorPhone(endpoint="101", agent_id="a;b"),
    lambda: OperatorPhone(endpoint="101", agent_id="a", number="_X."),
    lambda: OperatorPhone(endpoint="101", agent_id="a", contact="sip:1@h:1;x=y"),
    lambda: OperatorPhone(endpoint="101", agent_id="a", password="two\nlines of it"),
    lambda: OperatorPhone(endpoint="101", agent_id="a", password="semi;colon;"),
    lambda: FallbackQueue(name="T"),
    lambda: FallbackQueue(name="_X"),
    lambda: FallbackQueue(name="tax,1"),
    lambda: FallbackQueue(name="${EXTEN}"),
    lambda: Trunk(match=("0.0.0.0/0\nendpoint = x",)),
    lambda: Ami(secret="short"),
    lambda: Ami(secret=SECRET, user="gkc]"),
    lambda: Ami(secret=SECRET, port=0),
    lambda: replace(small_plan(), center="ц"),
    lambda: replace(small_plan(), fastagi_host="h)\nexten"),
    lambda: replace(small_plan(), numbers=("+7495777777x",)),
    lambda: replace(small_plan(), feature_codes=(("login", "_."),)),
    lambda: replace(small_plan(), external_id_header="X-A)}${SHELL(id)"),
    lambda: replace(small_plan(), numbers=(CITY, CITY)),
    lambda: replace(small_plan(), queues=(FallbackQueue(name="a-b"), FallbackQueue(name="ab"))),
    lambda: replace(small_plan(), queues=(FallbackQueue(name="tax", number="101"),)),
    lambda: replace(small_plan(), sip_host="192.0.2.1"),
]


@pytest.mark.parametrize("build", HOSTILE)
def test_what_asterisk_would_misread_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        build()


def test_a_prompt_path_that_expands_is_refused() -> None:
    plan = replace(small_plan(), goodbye_prompt=Path("/a/${SHELL(id)}"))
    with pytest.raises(ConfigError, match="control characters"):
        include_side(plan)


def test_an_administrators_file_stays_and_nothing_is_half_written(tmp_path: Path) -> None:
    own = tmp_path / "gkc.d" / "pjsip.conf"
    own.parent.mkdir()
    own.write_text("[mine]\n")
    with pytest.raises(ConfigError, match=r"pjsip\.conf: not written by gkc"):
        write_include_side(small_plan(), tmp_path)
    assert own.read_text() == "[mine]\n"
    assert [path.name for path in own.parent.iterdir()] == ["pjsip.conf"]


def test_secrets_are_readable_by_owner_and_group_only(tmp_path: Path) -> None:
    write_include_side(small_plan(), tmp_path)
    written = write_include_side(small_plan(), tmp_path)  # over its own files
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in written}
    assert {name for name, mode in modes.items() if mode == 0o640} == {"manager.conf", "pjsip.conf"}
    holders = {path.name for path in written if SECRET in path.read_text()}
    assert holders == {"manager.conf", "pjsip.conf"}
    assert all(path.read_text().startswith(HEADER) for path in written)


def test_no_secret_in_what_may_be_logged() -> None:
    assert SECRET not in repr(small_plan())


def test_a_long_folder_name_moves_the_socket_aside(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    dirs = Directories(deep)
    assert len(str(dirs.run / "asterisk.ctl")) <= 100
    assert dirs.run != Directories(tmp_path / ("e" * 100)).run


def test_a_standalone_writes_only_under_its_folder(tmp_path: Path) -> None:
    etc = render_standalone(small_plan(), install=FAKE, run_dir=tmp_path / "pbx")
    assert etc == tmp_path / "pbx" / "etc"
    text = (etc / "asterisk.conf").read_text()
    places = re.findall(r"^ast\w+ => (.*)$", text, re.MULTILINE)
    assert [p for p in places if not p.startswith(str(tmp_path))] == ["/m", "/d"]


def test_a_plan_for_the_administrators_own_endpoints_writes_none() -> None:
    plan = PbxPlan(
        center="centr",
        ami=Ami(secret=SECRET),
        operators=(OperatorPhone(endpoint="101", agent_id="a"),),
        trunks=(),
    )
    files = include_side(plan)
    assert "[101]" not in files["gkc.d/pjsip.conf"]
    assert "exten => 101,1,Dial(PJSIP/101,20,mi)" in files["gkc.d/extensions.conf"]


def _section(text: str, name: str) -> dict[str, str]:
    """Return the settings of the first section that begins with ``[name]``."""
    body: dict[str, str] = {}
    found = lines(text)
    for line in found[next(i for i, x in enumerate(found) if x.startswith(f"[{name}]")) + 1 :]:
        if line.startswith("["):
            break
        key, _, value = line.partition(" = ")
        body[key] = f"{body[key]} {value}" if key in body else value
    return body


def test_sip_hygiene_of_a_phone_a_trunk_and_rtp(tmp_path: Path) -> None:
    """Each line stands against something that was seen or is known (telephony, "SIP hygiene")."""
    plan = replace(small_plan(), trunks=(Trunk(name="city", match=("192.0.2.1",)),))
    text = include_side(plan)["gkc.d/pjsip.conf"]
    assert _section(text, "gkc-operator") == {
        "type": "endpoint",
        "context": "gkc-operators",
        "disallow": "all",
        "allow": "alaw,ulaw",
        "language": "ru",
        "dtmf_mode": "rfc4733",
        "direct_media": "no",
        "rtp_symmetric": "yes",
        "force_rport": "yes",
        "send_connected_line": "no",
        "device_state_busy_at": "1",
        "timers": "no",
        "rtp_timeout": "15",
        "rtp_timeout_hold": "300",
        "set_var": "TRANSFER_CONTEXT=gkc-transfer FEATURE(atxferdropcall)=yes"
        " DYNAMIC_FEATURES=gkc-record",
    }
    assert _section(text, "gkc-phone-aor")["qualify_frequency"] == "30"
    assert _section(text, "101")["rewrite_contact"] == "yes"
    assert _section(text, "city") == {
        "type": "endpoint",
        "context": "gkc",
        "disallow": "all",
        "allow": "alaw,ulaw",
        "language": "ru",
        "dtmf_mode": "auto",
        "direct_media": "no",
        "rtp_symmetric": "yes",
        "allow_transfer": "no",
        "allow_subscribe": "no",
        "timers": "yes",
        "timers_sess_expires": "1800",
        "identify_by": "ip",
        "aors": "city",
    }
    assert "trust_id_inbound" not in text, "a number in PAI or RPID is anybody's word"
    render_standalone(small_plan(), install=FAKE, run_dir=tmp_path)
    rtp = _section((tmp_path / "etc" / "rtp.conf").read_text(), "general")
    assert (rtp["strictrtp"], rtp["icesupport"]) == ("yes", "no")


def test_a_transfer_by_code_asks_for_no_sound_that_is_not_there(tmp_path: Path) -> None:
    plan = replace(
        small_plan(),
        transfer_done_prompt=Path("/p/ru/agent-stored"),
        transfer_failed_prompt=Path("/p/ru/agent-refused"),
    )
    etc = render_standalone(plan, install=FAKE, run_dir=tmp_path)
    general = _section((etc / "features.conf").read_text(), "general")
    assert general["xfersound"] == "/p/ru/agent-stored"
    assert general["xferfailsound"] == "/p/ru/agent-refused"
