"""Mutations of cross-site scripting: markup that a browser reads, and script that it runs, alike.

Names of tags and attributes have no case, attributes are separated by blanks or slashes, values
may hold character references (HTML, 13.1 and 13.2), URLs drop tabs and newlines (URL, 4.4), and
names in scripts may be written with Unicode escapes (ECMA-262, 12.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from random import Random

from cnaf.evaluation.operators import Kind, Operator, random_case, some, substitute

__all__ = ["OPERATORS"]

_VALUE = r"\"[^\"]*\"|'[^']*'|[^\s>\"'][^\s>]*"
_ATTRIBUTE = re.compile(rf"(?P<gap>[\s/]+)(?P<name>[^\s/>=<\"']+)(?:\s*=\s*(?P<value>{_VALUE}))?")
_TAG = re.compile(
    r"<(?P<name>[a-zA-Z][a-zA-Z0-9-]*)"
    rf"(?P<attributes>(?:[\s/]+[^\s/>=<\"']+(?:\s*=\s*(?:{_VALUE}))?)*)(?P<end>[\s/]*>)"
)
_TAG_NAME = re.compile(r"(?<=<)[a-zA-Z][a-zA-Z0-9]*|(?<=</)[a-zA-Z][a-zA-Z0-9]*")
_CLOSING = re.compile(r"</[a-zA-Z][a-zA-Z0-9]*(?=>)")
_SCRIPT = re.compile(r"<script>([^<>]*)</script>", re.IGNORECASE)
_SCHEME = re.compile(r"(?P<before>[=\"']?)(?P<scheme>javascript:)", re.IGNORECASE)
_GLOBALS = "alert|confirm|prompt|eval|fetch|print|setTimeout|setInterval"
#: A call of a global function by its plain name, not of a member of something.
_CALLED = re.compile(rf"(?<![\w.$\\])(?:{_GLOBALS})(?=[(`])")
_CALL = re.compile(r"(?<![\w.$\\])(alert|confirm|prompt)\((\d*|'[\w ]*'|\"[\w ]*\")\)")
_NUMBER_CALL = re.compile(r"(?<=(?:alert|nfirm|rompt)\()(\d{1,6})(?=\))")
_STRING_ARGUMENT = re.compile(r"(?<=\()(['\"])([A-Za-z0-9 /:.]+)\1(?=\))")
#: Elements that run their handler without a user: a ``{}`` stands for the quoted or bare value.
_RUNNING = {
    ("svg", "onload"): "<svg onload={}>",
    ("img", "onerror"): "<img src=x onerror={}>",
    ("video", "onerror"): "<video src=x onerror={}></video>",
    ("audio", "onerror"): "<audio src=x onerror={}></audio>",
    ("details", "ontoggle"): "<details open ontoggle={}></details>",
    ("input", "onfocus"): "<input autofocus onfocus={}>",
    ("iframe", "onload"): "<iframe onload={}></iframe>",
    ("object", "onerror"): "<object data=x: onerror={}></object>",
    ("marquee", "onstart"): "<marquee onstart={}></marquee>",
}

_Apply = Callable[[str, Random], str]


def _over(pattern: re.Pattern[str], make: Callable[[re.Match[str], Random], str]) -> _Apply:
    def apply(payload: str, rng: Random) -> str:
        return substitute(pattern, lambda match: make(match, rng), payload, rng)

    return apply


def _attributes(make: Callable[[re.Match[str], bool, Random], str]) -> _Apply:
    """Change some attributes; ``make`` also gets whether a bare value stands before."""

    def change(tag: re.Match[str], rng: Random) -> str:
        found = list(_ATTRIBUTE.finditer(tag["attributes"]))
        chosen = some(len(found), rng)
        bare = False
        made: list[str] = []
        for index, attribute in enumerate(found):
            made.append(make(attribute, bare, rng) if index in chosen else attribute[0])
            bare = _is_bare(attribute["value"])
        end = tag["end"]
        if made and end[0] == "/" and made[-1][-1] not in "\"'":
            end = f" {end}"
        return f"<{tag['name']}{''.join(made)}{end}"

    return _over(_TAG, change)


def _is_bare(value: str | None) -> bool:
    return value is not None and value[0] not in "\"'"


def _gap(attribute: re.Match[str], bare_before: bool, rng: Random) -> str:
    gaps = ("\t", "\n", "\f", "  ", "\n\t", *(() if bare_before else ("/", "//", " / ")))
    gap: str = rng.choice(gaps)
    return gap + attribute[0][len(attribute["gap"]) :]


def _name_case(attribute: re.Match[str], _bare: bool, rng: Random) -> str:
    name = attribute["name"]
    gap: str = attribute["gap"]
    return gap + random_case(name, rng) + attribute[0][len(gap + name) :]


def _with_value(attribute: re.Match[str], value: str) -> str:
    return f"{attribute['gap']}{attribute['name']}={value}"


def _quotes(attribute: re.Match[str], _bare: bool, rng: Random) -> str:
    value = attribute["value"]
    if value is None:
        return attribute[0]
    inner = value if _is_bare(value) else value[1:-1]
    forms = [f"{q}{inner}{q}" for q in "\"'" if q not in inner]
    if inner and not re.search(r"[\s\"'=<>`]", inner):
        forms.append(inner)
    forms = [form for form in forms if form != value]
    return _with_value(attribute, rng.choice(forms)) if forms else attribute[0]


def _references(attribute: re.Match[str], _bare: bool, rng: Random) -> str:
    value = attribute["value"]
    if value is None or "&" in value:
        return attribute[0]
    quote = "" if _is_bare(value) else value[0]
    inner = list(value[len(quote) : len(value) - len(quote)])
    places = [i for i, c in enumerate(inner) if c.isascii() and (c.isalnum() or c in _NAMED)]
    for index in (places[n] for n in some(len(places), rng)):
        inner[index] = _reference(inner[index], rng)
    return _with_value(attribute, f"{quote}{''.join(inner)}{quote}")


_NAMED = {"(": "&lpar;", ")": "&rpar;", ":": "&colon;", ".": "&period;", "/": "&sol;"}


def _reference(character: str, rng: Random) -> str:
    code, zeros = ord(character), "0" * rng.choice((0, 0, 1, 5))
    forms = [f"&#{zeros}{code};", f"&#x{zeros}{code:x};", f"&#X{zeros}{code:X};"]
    return rng.choice([*forms, *filter(None, [_NAMED.get(character)])])


def _inert(tag: re.Match[str], rng: Random) -> str:
    name = "".join(rng.choice("bcdfghjkl") for _ in range(rng.randint(1, 5)))
    values = ["", '=""', '="x y"', "='>'"]
    if tag["attributes"][:1].isspace():
        values.append("=1")
    value = rng.choice(values)
    return f"<{tag['name']} {name}{value}{tag['attributes']}{tag['end']}"


def _other_element(payload: str, rng: Random) -> str:
    for tag in _TAG.finditer(payload):
        for attribute in _ATTRIBUTE.finditer(tag["attributes"]):
            key = (tag["name"].lower(), attribute["name"].lower())
            if key in _RUNNING and attribute["value"] and not _refers_to_itself(attribute["value"]):
                other = rng.choice([form for pair, form in _RUNNING.items() if pair != key])
                made = other.format(attribute["value"])
                return payload[: tag.start()] + made + payload[tag.end() :]
    return payload


def _refers_to_itself(code: str) -> bool:
    """Whether a handler reads its own element or event, which another would not have."""
    return re.search(r"\b(?:this|event|src|id|name|title|innerHTML)\b", code) is not None


def _handler(script: re.Match[str], rng: Random) -> str:
    if not script[1] or "currentScript" in script[1] or "\n" in script[1]:
        return script[0]
    return rng.choice(list(_RUNNING.values())).format(f'"{escape(script[1])}"')


def _split_scheme(match: re.Match[str], rng: Random) -> str:
    blanks = ["&Tab;", "&NewLine;", "&#9;", "&#x0A;"] if match["before"] else ["\t", "\n", "\r"]
    if match["before"] in ("'", '"'):
        blanks += ["\t", "\n"]
    at = rng.randrange(1, len(match["scheme"]))
    blank = rng.choice(blanks)
    return match["before"] + match["scheme"][:at] + blank + match["scheme"][at:]


def _unicode_escape(match: re.Match[str], rng: Random) -> str:
    name = list(match[0])
    for index in some(len(name), rng):
        code = ord(name[index])
        name[index] = rng.choice((f"\\u{code:04x}", f"\\u{{{code:x}}}", f"\\u{{00{code:X}}}"))
    return "".join(name)


def _string_escape(match: re.Match[str], rng: Random) -> str:
    text = list(match[2])
    for index in some(len(text), rng):
        code = ord(text[index])
        text[index] = rng.choice((f"\\x{code:02x}", f"\\u{code:04x}", f"\\u{{{code:x}}}"))
    return match[1] + "".join(text) + match[1]


def _template(call: re.Match[str], _rng: Random) -> str:
    return f"{call[1]}`{call[2].strip(_QUOTES)}`"


_QUOTES = "'\""


def _indirect(match: re.Match[str], rng: Random) -> str:
    owner = rng.choice(("window", "self", "top", "parent", "frames", "globalThis"))
    return rng.choice((f"{owner}.{match[0]}", f"({match[0]})", f"[{match[0]}][0]"))


def _number(match: re.Match[str], rng: Random) -> str:
    value = int(match[1])
    return rng.choice((f"{value:#x}", f"{value}e0", f"+{value}", f"{value}.0", f"({value})"))


def _operator(name: str, apply: _Apply, reason: str) -> Operator:
    return Operator(name, Kind.MARKUP, apply, reason)


OPERATORS: tuple[Operator, ...] = (
    _operator(
        "tag_case",
        _over(_TAG_NAME, lambda m, r: random_case(m[0], r)),
        "names of tags have no case",
    ),
    _operator("attribute_case", _attributes(_name_case), "names of attributes have no case"),
    _operator("attribute_gap", _attributes(_gap), "blanks and slashes separate attributes"),
    _operator(
        "attribute_quotes", _attributes(_quotes), "a value may stand in either quotes, or bare"
    ),
    _operator(
        "attribute_references", _attributes(_references), "values may hold character references"
    ),
    _operator("attribute_inert", _over(_TAG, _inert), "an attribute that nothing reads"),
    _operator(
        "closing_blank",
        _over(_CLOSING, lambda m, r: m[0] + r.choice((" ", "\t", "\n", "/", " x"))),
        "what follows the name of a closing tag is passed over",
    ),
    _operator("other_element", _other_element, "another element whose handler runs by itself"),
    _operator(
        "script_to_handler", _over(_SCRIPT, _handler), "the script as a handler that runs by itself"
    ),
    _operator(
        "scheme_case",
        _over(_SCHEME, lambda m, r: m["before"] + random_case(m["scheme"], r)),
        "schemes have no case",
    ),
    _operator("scheme_split", _over(_SCHEME, _split_scheme), "URLs drop tabs and newlines"),
    _operator(
        "name_escaped", _over(_CALLED, _unicode_escape), "names may be written with Unicode escapes"
    ),
    _operator(
        "string_escaped", _over(_STRING_ARGUMENT, _string_escape), "strings may hold escapes"
    ),
    _operator(
        "call_template", _over(_CALL, _template), "a tagged template calls, and shows the same text"
    ),
    _operator("call_indirect", _over(_CALLED, _indirect), "the global function by another way"),
    _operator(
        "call_comment",
        _over(_CALLED, lambda m, r: m[0] + r.choice(("/**/", "/*x*/"))),
        "a comment between name and arguments is nothing",
    ),
    _operator("number_form", _over(_NUMBER_CALL, _number), "the same number in another notation"),
)
