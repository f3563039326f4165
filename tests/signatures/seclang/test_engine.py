"""What rules do to requests, by small rules: targets, chains, variables, flow and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cnaf.models.exchange import Request, Response
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.engine import Engine
from cnaf.signatures.seclang.outcome import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnaf.signatures.seclang.outcome import Outcome

    Run = Callable[..., Outcome]
    Get = Callable[..., Request]
    Post = Callable[..., Request]


def ids(outcome: Outcome) -> list[int]:
    return [match.rule for match in outcome.matches]


TARGETS = [
    ("ARGS", "@streq b c", ["ARGS:a"]),
    ("ARGS_NAMES", "@rx ^A$", ["ARGS_NAMES:A"]),
    ("ARGS_GET:a", "@unconditionalMatch", ["ARGS_GET:A", "ARGS_GET:a"]),
    ("ARGS:/^x/", "@unconditionalMatch", ["ARGS:xy"]),
    ("ARGS|!ARGS:a|!ARGS:/x/", "@unconditionalMatch", ["ARGS:"]),
    ("&ARGS", "@eq 4", ["ARGS"]),
    ("&REQUEST_HEADERS:None", "@eq 0", ["REQUEST_HEADERS:None"]),
    ("ARGS_COMBINED_SIZE", "@eq 11", ["ARGS_COMBINED_SIZE"]),
    ("QUERY_STRING", "@rx ^a=b\\+c&", ["QUERY_STRING"]),
    ("REQUEST_URI", "@streq /p/q r?a=b+c&A=1&xy=é&=2", ["REQUEST_URI"]),
    ("REQUEST_URI_RAW", "@contains q%20r", ["REQUEST_URI_RAW"]),
    ("REQUEST_FILENAME", "@streq /p/q r", ["REQUEST_FILENAME"]),
    ("REQUEST_BASENAME", "@streq q r", ["REQUEST_BASENAME"]),
    ("REQUEST_LINE", "@beginsWith GET /p/q%20r", ["REQUEST_LINE"]),
    ("REQUEST_METHOD", "@streq GET", ["REQUEST_METHOD"]),
    ("REQUEST_PROTOCOL", "@streq HTTP/1.1", ["REQUEST_PROTOCOL"]),
    ("REQUEST_HEADERS:Host", "@streq h:8", ["REQUEST_HEADERS:host"]),
    ("REQUEST_HEADERS|!REQUEST_HEADERS:Cookie", "@rx .", ["REQUEST_HEADERS:host"]),
    ("REQUEST_HEADERS_NAMES", "@rx ^cook", ["REQUEST_HEADERS_NAMES:cookie"]),
    ("REQUEST_COOKIES", "@streq 2=3", ["REQUEST_COOKIES:k"]),
    ("REQUEST_COOKIES_NAMES|!REQUEST_COOKIES_NAMES:k", "@rx .", ["REQUEST_COOKIES_NAMES:j"]),
    ("SERVER_NAME", "@streq h", ["SERVER_NAME"]),
    ("REMOTE_ADDR", "@ipMatch 127.0.0.0/8", ["REMOTE_ADDR"]),
    ("&UNIQUE_ID", "@eq 1", ["UNIQUE_ID"]),
    ("REQBODY_PROCESSOR", "@rx ^$", ["REQBODY_PROCESSOR"]),
]


@pytest.mark.parametrize(("targets", "operator", "names"), TARGETS)
def test_targets_of_the_head(
    run: Run, get: Get, targets: str, operator: str, names: list[str]
) -> None:
    operator = operator.encode().decode("latin-1")
    request = get(
        b"/p/q%20r?a=b+c&A=1&xy=%C3%A9&=2#f", (b"host", b"h:8"), (b"cookie", b"j=1; k=2=3;=x")
    )
    outcome = run(f'SecRule {targets} "{operator}" "id:1,phase:2,pass,log"', request)
    assert [match.variable for match in outcome.matches] == names[-1:]


def test_the_clock_is_a_variable(get: Get) -> None:
    rules = 'SecRuleEngine On\nSecRule DURATION|TIME_HOUR "@lt 24" "id:1,phase:1,pass,log"'
    outcome = Engine(load_rules([Text("test", rules)])).evaluate(get())
    assert ids(outcome) == [1]


BODIES = [
    (b"application/x-www-form-urlencoded", b"a=1&b=%78", "ARGS_POST:b", "x", "URLENCODED"),
    (b"application/json", b'{"a":[{"b":"c"}]}', "ARGS:json.a.array_0.b", "c", "JSON"),
    (b"text/xml", b"<a><b>c</b>d</a>", "XML:/*", "cd", "XML"),
    (b"text/xml", b'<a b="c"/>', "XML://@*", "c", "XML"),
    (
        b"multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
        "ARGS:a", "b", "MULTIPART",
    ),
    (
        b"multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="b.c"\r\n\r\nd\r\n--x--\r\n',
        "FILES:a", "b.c", "MULTIPART",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "target", "value", "processor"), BODIES)
def test_targets_of_bodies(
    run: Run, post: Post, kind: bytes, body: bytes, target: str, value: str, processor: str
) -> None:
    rules = (
        'SecRule REQUEST_HEADERS:Content-Type "@contains json" '
        '"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"\n'
        'SecRule REQUEST_HEADERS:Content-Type "@contains xml" '
        '"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"\n'
        f'SecRule {target} "@streq {value}" "id:3,phase:2,pass,log"\n'
        f'SecRule REQBODY_PROCESSOR "@streq {processor}" "id:4,phase:2,pass,log"\n'
        'SecRule REQUEST_BODY "@rx ." "id:5,phase:2,pass,log"\n'
        'SecRule REQBODY_ERROR "!@eq 0" "id:6,phase:2,pass,log"\n'
    )
    assert ids(run(rules, post(body, kind))) == [3, 4, 5]


def test_each_match_counts_and_each_link_acts(run: Run, get: Get) -> None:
    rules = (
        'SecAction "id:1,phase:1,pass,nolog,setvar:tx.a=0,setvar:tx.b=0,setvar:tx.w=2"\n'
        'SecRule ARGS "@rx x" "id:2,phase:2,pass,log,setvar:tx.a=+%{tx.w},chain"\n'
        '  SecRule ARGS "@rx y" "setvar:tx.b=+1"\n'
        'SecRule TX:a "@eq 4" "id:3,phase:2,pass,log,msg:\'%{tx.a} %{TX.B}\'"\n'
    )
    outcome = run(rules, get(b"/?p=x&q=x&r=z"))
    assert [(match.rule, match.message) for match in outcome.matches] == [(3, "4 0")]
    outcome = run(rules, get(b"/?p=x&q=x&r=y&s=y"))
    assert [(match.rule, match.message) for match in outcome.matches] == [(2, ""), (3, "4 2")]


def test_captures_and_macros_reach_messages(run: Run, get: Get) -> None:
    rules = (
        'SecRule ARGS "@rx (b)(c)?(d)" "id:1,phase:2,pass,log,capture,t:none,t:lowercase,'
        "msg:'%{rule.id} %{TX.0} %{tx.1}%{tx.2}%{tx.3}',"
        "logdata:'%{MATCHED_VAR_NAME}=%{MATCHED_VAR}',tag:'t/1',severity:'ERROR',chain\"\n"
        '  SecRule TX:3 "@streq d" "t:none"\n'
    )
    (match,) = run(rules, get(b"/?p=aBDe")).matches
    assert match.message == "1 bd bd"
    assert match.logdata == "TX:3=d"
    assert (match.tags, match.severity, match.phase) == (("t/1",), 3, 2)
    assert (match.file, match.line) == ("test", 3)


def test_a_match_shows_where(run: Run, get: Get) -> None:
    rule = 'SecRule ARGS "@rx ev(i)l" "id:1,phase:2,pass,log,t:none,t:lowercase"'
    (match,) = run(rule, get(b"/?a=an+EVIL+b")).matches
    assert (match.value, match.value[match.start : match.end]) == (b"an evil b", b"evil")
    (match,) = run(rule, get(b"/?a=" + b"x" * 3000 + b"evil" + b"y" * 3000)).matches
    assert len(match.value) == 512
    assert match.value[match.start : match.end] == b"evil"
    (match,) = run('SecRule ARGS "@gt 3" "id:1,phase:2,pass,log"', get(b"/?a=7")).matches
    assert (match.value, match.start, match.end) == (b"7", 0, 1)


def test_matched_variables_are_those_of_the_chain(run: Run, get: Get) -> None:
    rules = (
        'SecRule ARGS "@rx x" "id:1,phase:2,pass,log,chain"\n'
        '  SecRule MATCHED_VARS "@streq xy" "chain"\n'
        '  SecRule MATCHED_VAR_NAME "@streq MATCHED_VARS:ARGS:b" ""\n'
        'SecRule ARGS "@rx x" "id:2,phase:2,pass,log,chain"\n'
        '  SecRule &MATCHED_VARS "@eq 2" ""\n'
    )
    assert ids(run(rules, get(b"/?a=x&b=xy"))) == [1, 2]


REPEATED = [
    ("REQUEST_HEADERS:X", "5 3 1"),
    ("REQUEST_HEADERS:/^x$/", "1 3 5"),
    ("ARGS:a", "8 4 3 1"),
    ("ARGS_GET:a", "4 3 1"),
    ("ARGS|!ARGS:b", "1 3 4 8"),
    ("REQUEST_COOKIES:c", "4 3 1"),
    ("SERVER_NAME", "h2"),
]


@pytest.mark.parametrize(("target", "values"), REPEATED)
def test_the_latest_of_a_name_comes_first(run: Run, post: Post, target: str, values: str) -> None:
    rules = (
        f'SecRule {target} "@unconditionalMatch" '
        "\"id:1,phase:2,pass,nolog,setvar:'tx.a=%{tx.a} %{MATCHED_VAR}'\"\n"
        "SecAction \"id:2,phase:2,pass,log,msg:'%{tx.a}'\"\n"
    )
    request = Request(
        "POST",
        b"/?a=1&b=2&A=3&a=4",
        (
            (b"x", b"1"), (b"host", b"h1"), (b"X", b"3"), (b"cookie", b"c=1; d=2; c=3; C=4"),
            (b"x", b"5"), (b"host", b"h2:8"),
            (b"content-type", b"application/x-www-form-urlencoded"),
        ),
        b"a=8",
        3,
    )  # fmt: skip
    (match,) = run(rules, request).matches
    assert match.message.split() == values.split()


def test_a_chain_keeps_what_the_first_field_of_a_name_left(run: Run, get: Get) -> None:
    rules = (
        'SecRule REQUEST_HEADERS:Content-Type "@rx ^[^;]+" "id:1,phase:1,pass,log,capture,'
        "setvar:'tx.kind=%{TX.0}',chain\"\n"
        '  SecRule TX:kind "!@streq a/b" ""\n'
    )
    fields = (b"content-type", b"d"), (b"content-type", b"a/b")
    assert ids(run(rules, get(b"/", *fields))) == [1]
    assert ids(run(rules, get(b"/", *reversed(fields)))) == []


def test_the_boundary_is_that_of_the_latest_field(run: Run) -> None:
    body = b'--y\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--y--\r\n'
    kinds = [(b"content-type", b"multipart/form-data; boundary=" + end) for end in (b"x", b"y")]
    rule = 'SecRule ARGS:a "@streq b" "id:1,phase:2,pass,log"'
    assert ids(run(rule, Request("POST", b"/", tuple(kinds), body, len(body)))) == [1]
    assert ids(run(rule, Request("POST", b"/", tuple(kinds[::-1]), body, len(body)))) == []


def test_multimatch_looks_at_each_stage(run: Run, get: Get) -> None:
    rules = 'SecRule ARGS "@rx ^%4|^A" "id:1,phase:2,pass,log,{}t:none,t:urlDecode,t:lowercase"'
    request = get(b"/?a=%2541")
    assert ids(run(rules.format(""), request)) == []
    assert ids(run(rules.format("multiMatch,"), request)) == [1]


def test_markers_and_skips(run: Run, get: Get) -> None:
    log = "phase:{},pass,log"
    rules = (
        'SecRule ARGS:a "@eq 1" "id:1,phase:1,pass,nolog,skipAfter:M"\n'
        f'SecAction "id:2,{log.format(1)}"\nSecAction "id:3,{log.format(2)}"\nSecMarker M\n'
        f'SecAction "id:4,{log.format(1)}"\n'
        'SecRule ARGS:b "@eq 1" "id:5,phase:2,pass,nolog,skip:1"\n'
        f'SecAction "id:6,{log.format(2)}"\nSecAction "id:7,{log.format(2)}"\n'
    )
    assert ids(run(rules, get(b"/"))) == [2, 4, 3, 6, 7]
    assert ids(run(rules, get(b"/?a=1"))) == [4, 3, 6, 7]
    assert ids(run(rules, get(b"/?b=1"))) == [2, 4, 3, 7]


CONTROLS = [
    ("ruleRemoveById=10", [11, 12]),
    ("ruleRemoveById=10-11", [12]),
    ("ruleRemoveByTag=odd", [10, 12]),
    ("ruleRemoveTargetById=10;ARGS:a", [11, 12]),
    ("ruleRemoveTargetByTag=odd;ARGS:/^a/", [10, 12]),
    ("ruleRemoveTargetById=11-12;ARGS", [10]),
    ("ruleEngine=Off", []),
    ("requestBodyAccess=Off", []),
]


@pytest.mark.parametrize(("control", "left"), CONTROLS)
def test_controls(run: Run, get: Get, control: str, left: list[int]) -> None:
    rules = f'SecRule ARGS:c "@eq 1" "id:1,phase:1,pass,nolog,ctl:{control}"\n' + "".join(
        f'SecRule ARGS "@rx ^x" "id:{number},phase:2,pass,log,tag:{tag}"\n'
        for number, tag in ((10, "even"), (11, "odd"), (12, "even"))
    )
    assert ids(run(rules, get(b"/?a=x"))) == [10, 11, 12]
    assert ids(run(rules, get(b"/?a=x&c=1"))) == left


def test_interruptions(run: Run, get: Get) -> None:
    later = 'SecAction "id:9,phase:1,pass,log"\n'
    deny = 'SecRule ARGS "@eq 1" "id:1,phase:1,log,{}"\n' + later
    request = get(b"/?a=1")
    outcome = run(deny.format("deny"), request)
    assert (ids(outcome), outcome.interruption) == ([1], Interruption(1, "deny", 403))
    assert run(deny.format("deny,status:406"), request).interruption == Interruption(1, "deny", 406)
    outcome = run(deny.format("redirect:'/x?%{ARGS.a}'"), request)
    assert outcome.interruption == Interruption(1, "redirect", 302, "/x?1")
    outcome = run("SecRuleEngine DetectionOnly\n" + deny.format("deny"), request)
    assert (ids(outcome), outcome.interruption) == ([1, 9], None)
    outcome = run(
        'SecDefaultAction "phase:1,log,deny,status:404"\n' + deny.format("block"), request
    )
    assert outcome.interruption == Interruption(1, "deny", 404)
    assert ids(run(deny.format("allow"), request)) == [1]
    assert run("SecRuleEngine Off\n" + deny.format("deny"), request).matches == ()


def test_bodies_are_looked_at_unless_that_is_off(post: Post) -> None:
    rule = 'SecRuleEngine On\nSecRule ARGS "@eq 1" "id:1,phase:2,pass,log"\n'
    for text, expected in ((rule, [1]), ("SecRequestBodyAccess Off\n" + rule, [])):
        outcome = Engine(load_rules([Text("test", text)])).evaluate(post(b"a=1"))
        assert ids(outcome) == expected


def test_default_transformations_hold_without_t_none(run: Run, get: Get) -> None:
    rules = (
        'SecDefaultAction "phase:2,pass,log,t:lowercase"\n'
        'SecRule ARGS "@streq a" "id:1,phase:2"\nSecRule ARGS "@streq a" "id:2,phase:2,t:none"\n'
    )
    assert ids(run(rules, get(b"/?x=A"))) == [1]


def test_phases_of_the_answer_see_status_and_headers(run: Run, get: Get) -> None:
    rules = (
        'SecRule RESPONSE_STATUS "@streq 500" "id:1,phase:3,pass,log"\n'
        'SecRule RESPONSE_HEADERS:Server "@contains php" "id:2,phase:3,pass,log"\n'
        'SecAction "id:3,phase:4,pass,log"\n'
    )
    response = Response(500, ((b"server", b"php/5"),))
    assert ids(run(rules, get(b"/"))) == []
    assert ids(run(rules, get(b"/"), response=response)) == [1, 2]
    text = "SecResponseBodyAccess On\n" + rules
    assert ids(run(text, get(b"/"), response=response)) == [1, 2, 3]


def test_what_an_engine_remembers_changes_nothing() -> None:
    """Headers and cookies come again; what rules say must not depend on who came before."""
    rules = load_rules([Text("test", (
        "SecRuleEngine On\nSecRequestBodyAccess On\n"
        'SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" "id:1,phase:1,pass,nolog,capture,'
        "setvar:'tx.h_%{tx.0}=/%{tx.0}/',chain\"\n"
        ' SecRule TX:/^h_/ "@within /bad/" "setvar:tx.s=+5"\n'
        'SecRule REQUEST_METHOD "!@within GET" "id:2,phase:1,pass,log,setvar:tx.s=+1"\n'
        'SecRule REQUEST_COOKIES|ARGS "@rx evil" "id:3,phase:2,pass,log,setvar:tx.s=+2"\n'
        'SecRule TX:s "@ge 1" "id:4,phase:2,pass,log,msg:\'%{tx.s}\'"\n'
    ))])  # fmt: skip
    plain = Request("GET", b"/?a=1", ((b"host", b"a"), (b"cookie", b"c=1")))
    bad = Request("POST", b"/?a=evil", ((b"bad", b"a"), (b"cookie", b"c=evil")))
    engine = Engine(rules)
    for _ in range(3):
        for request, expected in ((plain, []), (bad, [(2, ""), (3, ""), (4, "10")])):
            outcome = engine.evaluate(request)
            assert [(match.rule, match.message) for match in outcome.matches] == expected


def test_caps_are_counted(run: Run, get: Get) -> None:
    text = 'SecArgumentsLimit 10\nSecRule &ARGS "@gt 10" "id:1,phase:2,pass,log"'
    outcome = run(text, get(b"/?" + b"&".join([b"a=1"] * 50)))
    assert (ids(outcome), outcome.limited) == ([], True)
    outcome = run(
        'SecRule ARGS "@rx ^(a+)+$" "id:1,phase:2,pass,log"', get(b"/?a=" + b"a" * 64 + b"!")
    )
    assert (ids(outcome), outcome.limited, outcome.regex_limits) == ([], True, 1)
    assert not run('SecAction "id:1,phase:1,pass,log"', get()).limited


HOSTILE = [
    Request("GET", b"/?" + b"a=%27%20or%201&" * 3000, ()),
    Request("GET", b"/" + b"../" * 20000 + b"?" + b"%" * 50000, ()),
    Request("GET", b"/", tuple((b"h%d" % n, b"\xff" * 50) for n in range(300))),
    Request("GET", b"/", ((b"cookie", b";".join(b"a%d=<" % n for n in range(5000))),)),
    Request("POST", b"/", ((b"content-type", b"application/json"),), b'{"a":[' * 30000),
    Request("POST", b"/", ((b"content-type", b"application/json"),), b"[" * 50000),
    Request("POST", b"/", ((b"content-type", b"text/xml"),), b"<a>" * 20000),
    Request("POST", b"/", ((b"content-type", b"text/xml"),), b"\xff\xfe<\x00"),
    Request("POST", b"/", ((b"content-type", b"text/xml"),),
            b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb">' + b"".join(
                b'<!ENTITY b%d "&b%s;&b%s;">' % (n, b"%d" % (n - 1) if n else b"", b"")
                for n in range(30)) + b"]><a>&b29;</a>"),
    Request("POST", b"/", ((b"content-type", b"multipart/form-data; boundary=x"),),
            b"--x\r\n" * 10000),
    Request("POST", b"/", ((b"content-type", b"multipart/form-data; boundary=x"),),
            b"--x\r\nContent-Disposition: form-data; name=\"" + b"\\" * 60000),
    Request("", b"", ()),
    Request("GÉT\x00", b"\x00\xff?\x00=\xff&%00", ((b"", b""), (b"host", b"\x00"))),
]  # fmt: skip


@pytest.mark.core_rules
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_requests_get_an_outcome(core_rules: object, number: int) -> None:
    outcome = Engine(core_rules).evaluate(HOSTILE[number])  # type: ignore[arg-type]
    assert outcome.steps <= core_rules.limits.confirmations + 1000  # type: ignore[attr-defined]
