"""Operators: from ``@name argument`` to a test of a value, and to patterns that a match implies.

A test returns None where a value does not match, else what it captures: the whole match and its
groups, None for groups that took no part.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libinjection
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.macros import compile_text, has_macro
from cnaf.signatures.seclang.regexes import LimitReachedError, compile_regex
from cnaf.signatures.seclang.scanner import WORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnaf.signatures.seclang.regexes import Regex
    from cnaf.signatures.seclang.syntax import Operator, Place
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = [
    "OPERATORS",
    "Captures",
    "Implied",
    "Matcher",
    "compile_operator",
    "unsupported_operator",
]

Captures = "Sequence[bytes | None]"
Test = "Callable[[bytes, Transaction], Sequence[bytes | None] | None]"

_NOTHING: tuple[bytes | None, ...] = ()
#: libinjection decides on the first few tokens; the cap bounds its time, in bytes.
_INJECTION_BYTES = 65_536
_INTEGER = re.compile(rb"[ \t-\r]*([+-]?[0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Implied:
    """An expression for the prefilter: its text, and whether case counts for nothing."""

    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled operator. ``test`` ignores the sign, which is ``negated``.

    ``implied`` gives expressions of which at least one is found wherever the operator matches.
    ``harmless`` are bytes of which alone no match consists, if any; ``is_pure`` says that the
    value alone decides. ``check`` compiles what is otherwise compiled when it is first
    needed, and raises SecLangError.
    """

    test: Callable[[bytes, Transaction], Sequence[bytes | None] | None]
    negated: bool
    implied: Callable[[], tuple[Implied, ...]] | None = None
    harmless: bytes = b""
    is_pure: bool = True
    check: Callable[[], None] | None = None


def compile_operator(
    operator: Operator, place: Place, read_lines: Callable[[str, Place], list[str]]
) -> Matcher:
    """Compile an operator; ``read_lines`` gives the lines of a data file. Raises SecLangError."""
    make = OPERATORS.get(operator.name)
    if make is None:
        raise unsupported_operator(operator.name, place)
    return make(operator, place, read_lines)


def unsupported_operator(name: str, place: Place) -> SecLangError:
    """Return the error for an operator that there is not."""
    return SecLangError(
        place.file,
        place.line,
        f"the operator @{name} is not supported",
        supported=", ".join(f"@{known}" for known in sorted(OPERATORS)),
    )


Maker = "Callable[[Operator, Place, Callable[[str, Place], list[str]]], Matcher]"


# Expressions and phrases --------------------------------------------------------------------


#: ``\x{ff}`` is a byte here, in all engines alike when written as ``\xff``.
_BRACED = re.compile(r"\\x\{0*([0-9a-fA-F]{1,2})\}")


def _rx(operator: Operator, place: Place, _: object) -> Matcher:
    pattern = _BRACED.sub(lambda m: rf"\x{m[1].zfill(2)}", operator.argument)
    if not pattern:
        return Matcher(lambda _v, _t: _NOTHING, operator.negated)
    if has_macro(pattern):
        return _rx_with_macro(operator, place)
    test = _Expression(lambda: pattern, place, ignore_case=False)
    implied = (Implied(pattern),)
    return Matcher(test.test, operator.negated, lambda: implied, check=test.check)


class _Expression:
    """An expression that is compiled when it is first needed: most never are."""

    def __init__(self, pattern: Callable[[], str], place: Place, *, ignore_case: bool) -> None:
        self._pattern, self._place, self._ignore_case = pattern, place, ignore_case
        self._regex: Regex | None = None

    def check(self) -> None:
        """Compile now; raises SecLangError."""
        self._regex = compile_regex(self._pattern(), self._place, ignore_case=self._ignore_case)

    def test(self, value: bytes, t: Transaction) -> Sequence[bytes | None] | None:
        if self._regex is None:
            self.check()
        assert self._regex is not None
        return _search(self._regex, value, t)


def _search(regex: Regex, value: bytes, t: Transaction) -> Sequence[bytes | None] | None:
    try:
        found = regex.search(value)
    except LimitReachedError:
        t.pcre_errors += 1
        t.is_limited = True
        return None
    return None if found is None else (found.group(0), *found.groups())


def _rx_with_macro(operator: Operator, place: Place) -> Matcher:
    """Expressions that requests complete are compiled anew, and remembered, within a bound."""
    expand = compile_text(operator.argument, place, {})
    known: dict[bytes, Regex | None] = {}

    def test(value: bytes, t: Transaction) -> Sequence[bytes | None] | None:
        text = expand(t)
        if text not in known:
            if len(known) >= 64:
                known.clear()
            try:
                known[text] = compile_regex(text.decode("latin-1"), place)
            except SecLangError:
                known[text] = None
        regex = known[text]
        return None if regex is None else _search(regex, value, t)

    return Matcher(test, operator.negated, is_pure=False)


def _pm(operator: Operator, place: Place, _: object) -> Matcher:
    return _phrases(_split_phrases(operator.argument), operator, place)


def _pm_from_file(
    operator: Operator, place: Place, read_lines: Callable[[str, Place], list[str]]
) -> Matcher:
    lines = [line for name in operator.argument.split() for line in read_lines(name, place)]
    kept = [line for line in lines if line and not line.lstrip().startswith("#") and line.strip()]
    return _phrases(kept, operator, place)


def _phrases(phrases: Sequence[str], operator: Operator, place: Place) -> Matcher:
    lower = sorted({phrase.lower() for phrase in phrases})
    if not lower:
        raise SecLangError(place.file, place.line, f"@{operator.name} without phrases")
    test = _Expression(lambda: _trie_pattern(lower), place, ignore_case=True)
    return Matcher(
        test.test,
        operator.negated,
        lambda: tuple(Implied(_escape(phrase), True) for phrase in lower),
    )


def _split_phrases(text: str) -> list[str]:
    """Split at blanks; ``|00 0a|`` are bytes in hexadecimal."""
    decoded = re.sub(
        r"\|((?:\s*[0-9a-fA-F]{2})*\s*)\|",
        lambda m: bytes.fromhex(m[1]).decode("latin-1"),
        text.strip().strip('"'),
    )
    return re.sub(r"\\([:;\\\"])", r"\1", decoded).split()


def _escape(text: str) -> str:
    """Escape a text for PCRE and Hyperscan alike."""
    return "".join(c if c.isascii() and c.isalnum() else f"\\x{ord(c):02x}" for c in text)


def _trie_pattern(phrases: Sequence[str]) -> str:
    """Return one expression for sorted phrases that shares their beginnings, so that a search
    tries one branch a byte."""
    return _branch(sorted(set(phrases)), 0)


def _branch(phrases: Sequence[str], depth: int) -> str:
    if any(len(phrase) == depth for phrase in phrases):
        return ""
    by_letter: dict[str, list[str]] = {}
    for phrase in phrases:
        by_letter.setdefault(phrase[depth], []).append(phrase)
    branches = []
    for group in by_letter.values():
        shared = _shared(group, depth)
        branches.append(_escape(group[0][depth:shared]) + _branch(group, shared))
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _shared(phrases: Sequence[str], depth: int) -> int:
    """Return the length of the beginning that sorted phrases share, at least one more."""
    first, last = phrases[0], phrases[-1]
    end = depth
    while end < len(first) and end < len(last) and first[end] == last[end]:
        end += 1
    return end


# Texts --------------------------------------------------------------------------------------


def _text(
    compare: Callable[[bytes, bytes], bool], form: str
) -> Callable[[Operator, Place, object], Matcher]:
    """Return a maker for a comparison with a text; ``form`` is the expression it implies."""

    def make(operator: Operator, place: Place, _: object) -> Matcher:
        expand = compile_text(operator.argument, place, {})

        def test(value: bytes, t: Transaction) -> Sequence[bytes | None] | None:
            text = expand(t)
            return (text,) if compare(value, text) else None

        pattern = form.format(_escape(operator.argument))
        implied: Callable[[], tuple[Implied, ...]] | None = None
        if operator.argument and form and not has_macro(operator.argument):

            def implied() -> tuple[Implied, ...]:
                return (Implied(pattern),)

        return Matcher(test, operator.negated, implied, is_pure=not has_macro(operator.argument))

    return make


def _contains_word(value: bytes, word: bytes) -> bool:
    """Beside the word stands no letter; digits may, as in libmodsecurity."""
    if not word or value == word:
        return True
    return re.search(rb"(?<![A-Za-z])" + re.escape(word) + rb"(?![A-Za-z])", value) is not None


# Numbers ------------------------------------------------------------------------------------


def number(value: bytes) -> int:
    """Read a number as C does: leading blanks and a sign, then digits; anything else is 0."""
    match = _INTEGER.match(value)
    return int(match[1]) if match is not None else 0


def _numeric(
    compare: Callable[[int, int], bool],
) -> Callable[[Operator, Place, object], Matcher]:
    def make(operator: Operator, place: Place, _: object) -> Matcher:
        if has_macro(operator.argument):
            expand = compile_text(operator.argument, place, {})
            return Matcher(
                lambda v, t: _NOTHING if compare(number(v), number(expand(t))) else None,
                operator.negated,
                is_pure=False,
            )
        limit = number(operator.argument.encode("latin-1"))
        return Matcher(
            lambda v, _t: _NOTHING if compare(number(v), limit) else None, operator.negated
        )

    return make


# Validation ---------------------------------------------------------------------------------


def _byte_range(operator: Operator, place: Place, _: object) -> Matcher:
    allowed: set[int] = set()
    for piece in operator.argument.split(","):
        low, _dash, high = piece.strip().partition("-")
        if not low.isdigit() or not (high or low).isdigit() or int(high or low) > 255:
            raise SecLangError(
                place.file, place.line, f"{piece!r} is no range of bytes", supported="0 to 255"
            )
        allowed.update(range(int(low), int(high or low) + 1))
    table = bytes(sorted(allowed))
    outside = "".join(f"\\x{c:02x}" for c in range(255) if c not in allowed)
    return Matcher(
        lambda v, _t: _NOTHING if v.translate(None, table) else None,
        operator.negated,
        (lambda: (Implied(f"[{outside}]"),)) if outside else None,
    )


_BAD_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


def _url_encoding(operator: Operator, _place: Place, _: object) -> Matcher:
    return Matcher(
        lambda v, _t: _NOTHING if b"%" in v and _BAD_ESCAPE.search(v) else None,
        operator.negated,
        lambda: (Implied("%"),),
    )


def _utf8(operator: Operator, _place: Place, _: object) -> Matcher:
    def test(value: bytes, _t: Transaction) -> Sequence[bytes | None] | None:
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return _NOTHING
        return None

    return Matcher(test, operator.negated, lambda: (Implied("[\\x80-\\xfe]"),))


# Injections ---------------------------------------------------------------------------------


def _sqli(operator: Operator, _place: Place, _: object) -> Matcher:
    def test(value: bytes, _t: Transaction) -> Sequence[bytes | None] | None:
        if not value.translate(None, WORD_BYTES):
            return None
        result = libinjection.is_sql_injection(_Raw(value))
        if not result["is_sqli"]:
            return None
        return (str(result["fingerprint"]).encode("latin-1", "replace"),)

    return Matcher(test, operator.negated, harmless=WORD_BYTES)


#: Without a tag or an attribute there is no HTML that does anything.
_NO_MARKUP = bytes(c for c in range(256) if c not in b"<=")


def _xss(operator: Operator, _place: Place, _: object) -> Matcher:
    def test(value: bytes, _t: Transaction) -> Sequence[bytes | None] | None:
        if b"<" not in value and b"=" not in value:
            return None
        return (value,) if libinjection.is_xss(_Raw(value))["is_xss"] else None

    return Matcher(test, operator.negated, harmless=_NO_MARKUP)


class _Raw:
    """A value as the binding takes it: it asks for an encoding, so bytes stay as they are."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value[:_INJECTION_BYTES]

    def encode(self, *_how: object) -> bytes:
        """Return the bytes."""
        return self._value


# Addresses ----------------------------------------------------------------------------------


def _ip_match(operator: Operator, place: Place, _: object) -> Matcher:
    return _networks(operator.argument.split(","), operator, place)


def _ip_match_from_file(
    operator: Operator, place: Place, read_lines: Callable[[str, Place], list[str]]
) -> Matcher:
    lines = [line.split("#")[0] for line in read_lines(operator.argument, place)]
    return _networks(lines, operator, place)


def _networks(texts: Sequence[str], operator: Operator, place: Place) -> Matcher:
    try:
        networks = [ipaddress.ip_network(t.strip(), strict=False) for t in texts if t.strip()]
    except ValueError as error:
        raise SecLangError(place.file, place.line, f"@{operator.name}: {error}") from None

    def test(value: bytes, _t: Transaction) -> Sequence[bytes | None] | None:
        try:
            address = ipaddress.ip_address(value.decode("latin-1").strip())
        except ValueError:
            return None
        return _NOTHING if any(address in network for network in networks) else None

    return Matcher(test, operator.negated)


def _always(operator: Operator, _place: Place, _: object) -> Matcher:
    return Matcher(lambda v, _t: _NOTHING, operator.negated)


def _never(operator: Operator, _place: Place, _: object) -> Matcher:
    return Matcher(lambda _v, _t: None, operator.negated)


OPERATORS: Mapping[str, Callable[[Operator, Place, Callable[[str, Place], list[str]]], Matcher]] = {
    "beginswith": _text(bytes.startswith, "^{}"),
    "contains": _text(lambda v, text: text in v, "{}"),
    "containsword": _text(_contains_word, "{}"),
    "detectsqli": _sqli,
    "detectxss": _xss,
    "endswith": _text(bytes.endswith, "{}$"),
    "eq": _numeric(int.__eq__),
    "ge": _numeric(int.__ge__),
    "gt": _numeric(int.__gt__),
    "ipmatch": _ip_match,
    "ipmatchf": _ip_match_from_file,
    "ipmatchfromfile": _ip_match_from_file,
    "le": _numeric(int.__le__),
    "lt": _numeric(int.__lt__),
    "nomatch": _never,
    "pm": _pm,
    "pmf": _pm_from_file,
    "pmfromfile": _pm_from_file,
    "rx": _rx,
    "streq": _text(bytes.__eq__, "^{}$"),
    "strmatch": _text(lambda v, text: text in v, "{}"),
    "unconditionalmatch": _always,
    "validatebyterange": _byte_range,
    "validateurlencoding": _url_encoding,
    "validateutf8encoding": _utf8,
    "within": _text(lambda v, text: v in text, ""),
}
