"""Which rules can match a request at all: gathers the values of each group and has them scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.models.exchange import Request
from cnaf.signatures.seclang.scanner import Scanner
from cnaf.signatures.seclang.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.signatures.seclang.rule_set import RuleSet
    from cnaf.signatures.seclang.transaction import HeaderField

__all__ = ["Candidates"]

_NO_RULES: frozenset[tuple[int, int]] = frozenset()


class Candidates:
    """The scanners of a rule set. A candidate is a rule by phase and number."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._address = Scanner(rules.groups["address"]).scan
        self._arguments = Scanner(rules.groups["arguments"]).scan
        self._headers = Scanner(rules.groups["headers"]).scan
        self._collections = rules.collections
        self._any_header = rules.header_rules.get(b"", _NO_RULES)

    def early(self, t: Transaction, fields: Sequence[HeaderField]) -> set[tuple[int, int]]:
        """Return the candidates by all that is known before the body is read."""
        found = self._address(self._address_values(t))
        for field in fields:
            if field.candidates:
                found.update(field.candidates)
        if t.args:
            values = {value for pair in t.args for value in pair}
            found |= self._arguments(values)
        return found

    def _address_values(self, t: Transaction) -> set[bytes]:
        wanted = self._collections
        path = t.path
        values = {path}
        if "REQUEST_URI" in wanted:
            values.add(t.uri)
        if "REQUEST_URI_RAW" in wanted:
            values.add(t.target)
        if "REQUEST_LINE" in wanted:
            values.add(t.request_line)
        if "QUERY_STRING" in wanted:
            values.add(t.query)
        if "REQUEST_BASENAME" in wanted:
            values.add(path[max(path.rfind(b"/"), path.rfind(b"\\")) + 1 :])
        return values

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
