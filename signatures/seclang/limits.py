"""What a client may make the engine do: every cap of this package, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EngineLimits"]


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Caps of one request. What reaches one is counted in the outcome, never silent.

    ``arguments``: as many as the recommended configuration of ModSecurity allows.
    ``json_depth``: likewise; ``SecRequestBodyJsonDepthLimit`` sets another one.
    ``body_bytes``: bodies come as the inspected prefix, which is smaller; this holds for callers
    that hand over more.
    ``confirmations``: tests of one value by one rule. A request of the Core Rule Set's own tests
    takes some hundreds, one with a thousand arguments tens of thousands; at a microsecond or two
    each the cap bounds a request to some tenths of a second.
    ``pcre_matches``: steps of one regular expression on one value, the match limit that libraries
    of ModSecurity are shipped with.
    """

    arguments: int = 1000
    json_depth: int = 512
    body_bytes: int = 13_107_200
    confirmations: int = 200_000
    pcre_matches: int = 100_000
    xml_bytes: int = 1024 * 1024
