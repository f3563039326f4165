"""Exclusions as SecLang: what ``cnaf rules exclude`` notes becomes rules that people can read.

An exclusion that holds everywhere is a directive behind the rules (``SecRuleRemoveById``,
``SecRuleUpdateTargetById``); one for an endpoint is a rule before them, with ``ctl`` actions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.signatures.sets.registered import Exclusion

__all__ = ["check_exclusion", "text_after", "text_before"]

#: Rules that exclusions become have ids from here on: no other set's are so high.
FIRST_ID = 899_100_000
_TARGETS = {
    "query": ("ARGS:{}", "ARGS_GET:{}", "ARGS_NAMES:{}", "ARGS_GET_NAMES:{}"),
    "form": ("ARGS:{}", "ARGS_POST:{}", "ARGS_NAMES:{}", "ARGS_POST_NAMES:{}"),
    "multipart": ("ARGS:{}", "ARGS_POST:{}", "ARGS_NAMES:{}", "ARGS_POST_NAMES:{}"),
    "json": ("ARGS:{}", "ARGS_NAMES:{}"),
    "cookie": ("REQUEST_COOKIES:{}", "REQUEST_COOKIES_NAMES:{}"),
    "header": ("REQUEST_HEADERS:{}", "REQUEST_HEADERS_NAMES:{}"),
    "filename": ("FILES:{}", "FILES_NAMES:{}"),
}
_WHOLE = {
    "path": ("REQUEST_FILENAME", "REQUEST_URI", "REQUEST_URI_RAW", "REQUEST_BASENAME",
             "REQUEST_LINE"),
    "body": ("REQUEST_BODY",),
    "xml": ("XML:/*", "XML://@*"),
}  # fmt: skip
#: What field names hold; quotes and commas would end the text that they are put in.
_FIELD_NAME = re.compile(r"[\w.\-\[\]:@$#{}()>]{1,128}", re.ASCII)


def check_exclusion(exclusion: Exclusion) -> None:
    """Raise InputError for an exclusion that says nothing, or too much."""
    if bool(exclusion.rule) == bool(exclusion.tag):
        raise InputError("an exclusion is of a rule or of a tag", hint="give --rule or --tag")
    if exclusion.field:
        targets(exclusion.field)


def targets(label: str) -> tuple[str, ...]:
    """Return the SecLang targets of a field; raises InputError.

    >>> targets("cookie:session")
    ('REQUEST_COOKIES:session', 'REQUEST_COOKIES_NAMES:session')
    """
    location, _, name = label.partition(":")
    if not name and location in _WHOLE:
        return _WHOLE[location]
    if location not in _TARGETS or not _FIELD_NAME.fullmatch(name):
        raise InputError(
            f"{label[:80]!r} is no field that a rule set can leave out",
            hint="write it as alerts show it: form:comment, query:s, json:a.b, cookie:name, "
            "header:user-agent, filename:upload, path, body or xml",
        )
    return tuple(form.format(_selector(location, name)) for form in _TARGETS[location])


def _selector(location: str, name: str) -> str:
    """Return a name, or an expression where the name stands for many."""
    if location == "json":
        name = f"json.{name}"
    if not ({"#", "{hex}", "[]"} & set(re.findall(r"#|\{hex\}|\[\]", name))):
        return name
    if location == "json":
        name = name.replace("[]", ".array_#")
    pattern = re.escape(name).replace(r"\#", "[0-9]+").replace(r"\{hex\}", "[0-9a-f]+")
    return f"/^{pattern}$/"


def text_before(exclusions: Sequence[Exclusion]) -> str:
    """Return the rules of exclusions that hold for an endpoint."""
    return "".join(
        _rule(FIRST_ID + number, exclusion)
        for number, exclusion in enumerate(exclusions)
        if exclusion.endpoint
    )


def text_after(exclusions: Sequence[Exclusion]) -> str:
    """Return the directives of exclusions that hold everywhere."""
    return "".join(_directive(exclusion) for exclusion in exclusions if not exclusion.endpoint)


def _directive(exclusion: Exclusion) -> str:
    by, what = ("Id", exclusion.rule) if exclusion.rule else ("Tag", f'"{exclusion.tag}"')
    if not exclusion.field:
        return f"SecRuleRemoveBy{by} {what}\n"
    shown = ",".join("!" + target for target in targets(exclusion.field))
    return f'SecRuleUpdateTargetBy{by} {what} "{shown}"\n'


def _rule(number: int, exclusion: Exclusion) -> str:
    method, _, path = exclusion.endpoint.rpartition(" ")
    by, what = ("Id", exclusion.rule) if exclusion.rule else ("Tag", exclusion.tag)
    if exclusion.field:
        controls = [f"ctl:ruleRemoveTargetBy{by}={what};{t}" for t in targets(exclusion.field)]
    else:
        controls = [f"ctl:ruleRemoveBy{by}={what}"]
    head = f"id:{number},phase:1,pass,nolog,t:none"
    where = f'SecRule REQUEST_FILENAME "{_operator(path)}"'
    acting = ",".join(controls)
    if not method:
        return f'{where} \\\n    "{head},{acting}"\n'
    return (
        f'SecRule REQUEST_METHOD "@streq {method}" \\\n    "{head},chain"\n'
        f'    {where} \\\n        "t:none,{acting}"\n'
    )


def _operator(path: str) -> str:
    quoted = path.replace('"', "%22")
    if not re.search(r"\{[a-z0-9-]+\}", quoted):
        return f"@streq {quoted}"
    pieces = re.split(r"\{[a-z0-9-]+\}", quoted)
    return "@rx ^" + "[^/]+".join(re.escape(piece) for piece in pieces) + "$"
