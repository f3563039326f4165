"""Which rules can match a request at all: gathers the values of each group and has them scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.models.exchange import Request
from cnaf.signatures.seclang.scanner import Scanner
from cnaf.signatures.seclang.transaction import Transaction
from cnaf.signatures.seclang.variables import basename

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

_NO_RULES: frozenset[tuple[int, int]] = frozenset()


class Candidates:
    """The scanners of a rule set. A candidate is a rule by phase and number."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        address = Scanner(rules.groups["address"])
        self._address = address.find
        self._address_variants = [
            (name, address.variants[name].add_to) for name in rules.groups["address"].pipelines
        ]
        self._arguments = Scanner(rules.groups["arguments"]).scan
        self._headers = Scanner(rules.groups["headers"]).scan
        self._collections = rules.collections
        self._any_header = rules.header_rules.get(b"", _NO_RULES)

    def early(self, t: Transaction, fields: Sequence[HeaderField]) -> set[tuple[int, int]]:
        """Return the candidates by all that is known before the body is read."""
        texts: set[bytes] = set()
        for name, add_variants in self._address_variants:
            value = _ADDRESS[name](t)
            texts.add(value)
            add_variants(texts, value)
        found = self._address(texts)
        for field in fields:
            if field.candidates:
                found.update(field.candidates)
        if t.args:
            found |= self._arguments([value for pair in t.args for value in pair])
        return found

    def late(self, t: Transaction) -> set[tuple[int, int]]:
        """Return the candidates by what the body adds."""
        values = {value for pair in t.args[len(t.args_get) :] for value in pair}
        parts = t.multipart
        for pairs in (parts.files, parts.part_headers):
            values.update(value for pair in pairs for value in pair)
        values.update(t.xml_text)
        values.update(t.xml_attributes)
        if "REQUEST_BODY" in self._collections:
            values.add(t.body)
        return self._arguments(values)

    def of_header(self, field: HeaderField) -> tuple[tuple[int, int], ...]:
        """Return the rules that a header field, looked at alone, does match, or may.

        Rules of cookies are found by the cookies that the field holds.
        """
        name, value = field.pair
        rules = self._rules
        looking = self._any_header | rules.header_rules.get(field.name, _NO_RULES)
        found = (self._headers((name, value)) & looking) if looking else set()
        if field.cookies:
            found |= self._arguments({text for pair in field.cookies for text in pair})
        if not found:
            return ()
        # The rest of this request is neutral: it has no values that a scanned rule looks at.
        t = Transaction(Request("", b"", (field.pair,)), (field,), "", rules.limits)
        return tuple(
            place
            for place in sorted(found)
            if rules.phases[place[0]].rules[place[1]].link.may_match(t) or t.pcre_errors
        )
