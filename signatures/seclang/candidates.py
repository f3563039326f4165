"""Which rules can match a request at all: gathers the values of each group and has them scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.models.exchange import Request
from cnaf.signatures.seclang.scanner import Scanner
from cnaf.signatures.seclang.transaction import Transaction
from cnaf.signatures.seclang.variables import basename
from cnaf.signatures.seclang.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnaf.signatures.seclang.rule_set import RuleSet
    from cnaf.signatures.seclang.transaction import HeaderField

__all__ = ["Candidates"]

_ADDRESS: dict[str, Callable[[Transaction], bytes]] = {
    "QUERY_STRING": lambda t: t.query,
    "REQUEST_BASENAME": basename,
    "REQUEST_FILENAME": lambda t: t.path,
    "REQUEST_LINE": lambda t: t.request_line,
    "REQUEST_URI": lambda t: t.uri,
    "REQUEST_URI_RAW": lambda t: t.target,
}

_LATE: dict[str, Callable[[Transaction], Iterable[bytes]]] = {
    "FILES": lambda t: [value for pair in t.multipart.files for value in pair],
    "FILES_NAMES": lambda t: t.multipart.file_names,
    "MULTIPART_PART_HEADERS": lambda t: [line for _, line in t.multipart.part_headers],
    "XML": lambda t: [*t.xml_text, *t.xml_attributes],
}

_NO_RULES: frozenset[tuple[int, int]] = frozenset()


class Candidates:
    """The scanners of a rule set. A candidate is a rule by phase and number."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        groups = rules.index.groups
        address = Scanner(groups["address"])
        self._address = address.find
        self._address_variants = [
            (name, address.variants[name].add_to) for name in groups["address"].pipelines
        ]
        arguments = Scanner(groups["arguments"])
        self._arguments = arguments.find
        self._add_variants = arguments.any_variants.add_to
        self._late_variants = [
            (name, arguments.variants[name].add_to)
            for name in groups["arguments"].pipelines
            if name in _LATE
        ]
        self._body = Scanner(groups["body"]).scan if groups["body"].pipelines else None
        self._headers = Scanner(groups["headers"]).find
        self._collections = rules.index.collections
        self._any_header = rules.index.header_rules.get(b"", _NO_RULES)
        self._any_header_variants = self._variants_of(self._any_header)
        self._looking_at = {
            name: self._looking(name)
            for name in {name.lstrip(b"!") for name in rules.index.header_rules}
        }
        self._header_variants = {
            name: self._variants_of(places) for name, places in self._looking_at.items()
        }

    def _variants_of(
        self, places: Iterable[tuple[int, int]]
    ) -> Callable[[set[bytes], bytes], None]:
        """Return what adds the variants that some rules make of a value."""
        links = [self._rules.phases[phase].rules[number].link for phase, number in places]
        return Variants({names for link in links for names in link.pipelines()}).add_to

    def early(self, t: Transaction, fields: Sequence[HeaderField]) -> set[tuple[int, int]]:
        """Return the candidates by all that is known before the body is read."""
        texts: set[bytes] = set()
        for name, add_variants in self._address_variants:
            value = _ADDRESS[name](t)
            texts.add(value)
            add_variants(texts, value)
        found = self._address(texts)
        pairs = t.args
        fresh = False
        for field in fields:
            if field.candidates is None:
                fresh = True
                pairs = [*pairs, *field.cookies] if field.cookies else pairs
            elif field.candidates:
                found.update(field.candidates)
        if fresh:
            found |= self._fresh([field for field in fields if field.candidates is None])
        if pairs:
            found |= self._scan_pairs(pairs, set())
        return found

    def _fresh(self, fields: Sequence[HeaderField]) -> set[tuple[int, int]]:
        """Return the rules that may match header fields, their cookies left aside."""
        texts: set[bytes] = set()
        looking: set[tuple[int, int]] = set()
        for field in fields:
            rules = self._looking_at.get(field.name, self._any_header)
            if rules:
                looking |= rules
                texts.update(field.pair)
                add = self._header_variants.get(field.name, self._any_header_variants)
                add(texts, field.pair[1])
                add(texts, field.pair[0])
        return self._headers(texts) & looking if texts else set()

    def _looking(self, name: bytes) -> frozenset[tuple[int, int]]:
        """Return the rules that look at a header of this name."""
        rules = self._rules.index.header_rules
        if b"!" + name in rules:
            return (self._any_header - rules[b"!" + name]) | rules.get(name, _NO_RULES)
        return self._any_header | rules[name] if name in rules else self._any_header

    def _scan_pairs(
        self, pairs: Iterable[tuple[bytes, bytes]], texts: set[bytes]
    ) -> set[tuple[int, int]]:
        values = {value for pair in pairs for value in pair}
        texts |= values
        add_variants = self._add_variants
        for value in values:
            add_variants(texts, value)
        return self._arguments(texts)

    def late(self, t: Transaction) -> set[tuple[int, int]]:
        """Return the candidates by what the body adds."""
        texts: set[bytes] = set()
        for name, add_variants in self._late_variants:
            for value in _LATE[name](t):
                texts.add(value)
                add_variants(texts, value)
        found = self._scan_pairs(t.args[len(t.args_get) :], texts)
        return found if self._body is None else found | self._body((t.body,))

    def of_header(self, field: HeaderField) -> tuple[tuple[int, int], ...]:
        """Return the rules that a header field, looked at alone, does match, or may.

        Rules of cookies are found by the cookies that the field holds.
        """
        rules = self._rules
        found = self._fresh([field])
        if field.cookies:
            found |= self._scan_pairs(field.cookies, set())
        if not found:
            return ()
        # The rest of this request is neutral: it has no values that a scanned rule looks at.
        t = Transaction(Request("", b"", (field.pair,)), (field,), "", rules.limits)
        return tuple(
            place
            for place in sorted(found)
            if rules.phases[place[0]].rules[place[1]].link.may_match(t) or t.pcre_errors
        )
