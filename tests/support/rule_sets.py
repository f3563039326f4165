"""Small rule sets of our own making, for tests of everything that registers and runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cnaf.models.exchange import Request
from cnaf.models.parsing import RequestParser
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.matching import RuleSets, SetFinding
from cnaf.signatures.sets.registered import Kind, RegisteredSet
from cnaf.signatures.sets.registering import register
from cnaf.signatures.sets.sources import Sources

#: Denies by itself; the last rule only wants to be told of.
CUSTOM = r"""
SecComponentSignature "Shop rules/2.1"
SecRule ARGS:coupon "@rx ^free-" \
    "id:9001,phase:2,deny,status:403,t:none,msg:'A coupon that nobody issued',severity:CRITICAL,\
    tag:'shop',tag:'CWE-840'"
SecRule REQUEST_FILENAME "@beginsWith /internal/" "id:9002,phase:1,block,t:none,msg:'Internal path'"
SecRule ARGS:note "@contains tell me" "id:9003,phase:2,pass,log,t:none,msg:'Noted'"
"""
#: Keeps an anomaly score, as the Core Rule Set does, and ends a request at the threshold.
SCORED = r"""
SecRule ARGS|REQUEST_HEADERS:Referer "@contains <b>" "id:9101,phase:2,pass,log,t:none,capture,\
    msg:'Markup',logdata:'Matched Data: <b> found within %{MATCHED_VAR_NAME}: %{MATCHED_VAR}',\
    severity:CRITICAL,tag:'attack-xss',setvar:'tx.inbound_anomaly_score_pl1=+5'"
SecRule ARGS "@contains union" "id:9102,phase:2,pass,log,t:none,msg:'SQL',severity:WARNING,\
    tag:'attack-sqli',setvar:'tx.inbound_anomaly_score_pl1=+3'"
"""
PATCH = r"""
SecRule REQUEST_FILENAME "@streq /upload.php" \
    "id:9201,phase:2,deny,status:403,t:none,chain,msg:'Upload with a path',tag:'CVE-2026-0001'"
    SecRule ARGS:dir "@contains .." "t:none"
"""
PATCH_TESTS = """
tests:
  - name: the exploit
    must: block
    method: POST
    target: /upload.php
    headers: {Content-Type: application/x-www-form-urlencoded}
    body: dir=../../etc
    rules: [9201]
  - name: a plain upload
    must: pass
    target: /upload.php?dir=pictures
"""
#: Every line is wrong but the first.
BROKEN = r"""SecRule ARGS "@rx fine" "id:1,phase:2,deny"
SecRule ARGS "@nonsense foo" "id:2,phase:2,deny"
SecNothing bar
SecRule ARGS "@rx (" "id:3,phase:2,deny"
SecRule NOWHERE "@rx x" "id:4,deny"
SecRule ARGS "@rx x" "id:5,deny,exec:/bin/sh"
SecRule ARGS "@rx x" "deny"
SecRule ARGS "@pmFromFile missing.data" "id:7,deny"
SecRule ARGS "@rx x "id:8,deny"
SecRule ARGS "@rx x" "id:1,deny"
Include /etc/passwd
SecRule ARGS "@rx x" "id:9,deny,chain"
"""


def write(folder: Path, text: str, name: str = "shop.conf") -> Path:
    """Write a rule file; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def made(folder: Path, text: str, **changed: Any) -> tuple[RegisteredSet, Sources]:
    """Write rules and register them, as custom ones where nothing else is said."""
    kind = changed.pop("kind", Kind.CUSTOM)
    registered, sources = register(kind, [write(folder, text)])
    return replace(registered, **changed), sources


def engine(folder: Path, text: str, **changed: Any) -> RuleSets:
    """Return a set that is ready to run."""
    return RuleSets([load_set(*made(folder, text, **changed))])


def find(rules: RuleSets, request: Request, client: str = "") -> tuple[SetFinding, ...]:
    """Return what sets find in a request."""
    return rules.match(request, RequestParser().parse(request), client)


def get(target: str, *headers: tuple[bytes, bytes]) -> Request:
    """Return a request without a body."""
    return Request("GET", target.encode(), ((b"host", b"shop.example"), *headers))


def form(target: str, body: str) -> Request:
    """Return a form that is sent."""
    headers = (
        (b"host", b"shop.example"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"%d" % len(body)),
    )
    return Request("POST", target.encode(), headers, body.encode(), len(body))
