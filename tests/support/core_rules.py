"""A rule set in the form of the Core Rule Set, small enough to read, and tests in its schema."""

from __future__ import annotations

import base64
from pathlib import Path

INITIALIZATION = """
SecComponentSignature "OWASP_CRS/4.0.1-small"
SecAction "id:901200,phase:1,pass,nolog,t:none,setvar:tx.inbound_anomaly_score_pl1=0,\
setvar:tx.inbound_anomaly_score_pl2=0,setvar:tx.inbound_anomaly_score_pl3=0,\
setvar:tx.inbound_anomaly_score_pl4=0,setvar:tx.blocking_inbound_anomaly_score=0"
"""
PROTOCOL = """
SecRule REQUEST_METHOD "@rx ^FOO$" "id:911100,phase:1,block,t:none,msg:'Odd method',\
logdata:'%{MATCHED_VAR}',setvar:tx.inbound_anomaly_score_pl1=+3"
SecRule TX:BLOCKING_PARANOIA_LEVEL "@lt 2" "id:911013,phase:1,pass,nolog,skipAfter:END-911"
SecRule REQUEST_HEADERS:User-Agent "@rx ^$" "id:911200,phase:1,block,t:none,\
msg:'Empty agent',setvar:tx.inbound_anomaly_score_pl2=+2"
SecMarker "END-911"
"""
INJECTION = """
SecRule ARGS|REQUEST_COOKIES|XML:/* "@rx union.+select" "id:942100,phase:2,block,t:none,\
t:urlDecodeUni,t:lowercase,capture,msg:'SQL',logdata:'Matched Data: %{TX.0} found within \
%{MATCHED_VAR_NAME}: %{MATCHED_VAR}',setvar:tx.inbound_anomaly_score_pl1=+5"
SecRule ARGS "@contains secret" "id:942200,phase:2,pass,t:none,nolog"
"""

RAW = (
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    b"4\r\na=un\r\na\r\nion+select\r\n0\r\n\r\n"
)
STAGES = r"""
meta: {author: nobody}
rule_id: 942100
tests:
  - test_id: 1
    desc: a form that is encoded for the test
    stages:
      - input:
          method: POST
          uri: /post
          headers: {Host: localhost, Accept: " */* "}
          data: "a=1&b=union all select"
        output: {log: {expect_ids: [942100]}}
  - test_id: 2
    stages:
      - input: {uri: "/get?q=union", headers: {Host: localhost}}
        output: {log: {no_expect_ids: [942100]}}
      - input: {uri: "/get?q=union%20select", headers: {Host: localhost}}
        output: {status: 200, log: {match_regex: 'select found within ARGS:Q'}}
  - test_id: 3
    desc: chunks in raw bytes
    stages:
      - input:
          encoded_request: "@RAW@"
        output: {log: {expect_ids: [942100]}}
  - test_id: 4
    stages:
      - input: {method: " GET", uri: /}
        output: {status: 400}
"""
#: In the older form, with one more level, and a wrong expectation.
OLDER = """
tests:
  - test_id: 7
    stages:
      - stage:
          input: {method: FOO, uri: /, version: HTTP/2.0, autocomplete_headers: false,
                  headers: {Content-Length: 2}, data: abcd}
          output: {log: {no_expect_ids: [911100]}}
"""


def write_core_rules(folder: Path) -> Path:
    """Write the rule set; return its folder."""
    (folder / "rules").mkdir(parents=True)
    for name, text in (
        ("REQUEST-901-INITIALIZATION.conf", INITIALIZATION),
        ("REQUEST-910-IP-REPUTATION.conf", "SecNonsense is left out"),
        ("REQUEST-911-METHOD-ENFORCEMENT.conf", PROTOCOL),
        ("REQUEST-942-APPLICATION-ATTACK-SQLI.conf", INJECTION),
        ("RESPONSE-950-DATA-LEAKAGES.conf", "SecNonsense is left out"),
    ):
        (folder / "rules" / name).write_text(text, "utf-8")
    return folder


def write_stages(folder: Path) -> Path:
    """Write tests in three files; return their folder."""
    for name, text in (
        (
            "REQUEST-942-APPLICATION-ATTACK-SQLI/942100.yaml",
            STAGES.replace("@RAW@", base64.b64encode(RAW).decode()),
        ),
        ("REQUEST-911-METHOD-ENFORCEMENT/911100.yaml", OLDER),
        ("RESPONSE-950-DATA-LEAKAGES/950100.yaml", OLDER),
        ("RESPONSE-950-DATA-LEAKAGES/950999.yaml", "# nothing yet\n"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder
