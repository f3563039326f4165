"""A corpus of ordinary values: what fields of web requests hold, on any site, in any language.

The prior that ships with the package is learned from it, and from nothing else. It holds what
people and machines write with no ill intent, hard cases among it (a name with an apostrophe, a
password of punctuation, a search with quotes), and no attack. Code is left out: it is rare in
benign traffic, its syntax is that of attacks, and an application whose users do send code shows
so in CI. So are template placeholders, relative paths with dots, hosts that are loopback or
link-local, ``<script>``, event handlers and operators in names of JSON.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from string import capwords

from cnaf.learner.everyday_data import DATA_RULES
from cnaf.learner.everyday_documents import DISTRIBUTIONS
from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_markup import MARKUP_RULES
from cnaf.learner.everyday_names import NAME_RULES
from cnaf.learner.everyday_people import PEOPLE_RULES
from cnaf.learner.everyday_places import PLACE_RULES
from cnaf.learner.everyday_prose import PROSE_RULES
from cnaf.learner.everyday_protocol import PROTOCOL_RULES
from cnaf.learner.everyday_talk import TALK_RULES
from cnaf.learner.everyday_tokens import TOKEN_RULES
from cnaf.models.decoding import canonical
from cnaf.models.limits import Limits
from cnaf.models.parsing import fold_name
from cnaf.models.request_model import VALUE_CAP

__all__ = [
    "KINDS",
    "RULES",
    "SOURCES",
    "ordinary_names",
    "ordinary_segments",
    "ordinary_values",
]

#: What the corpus depends on: equal versions and an equal seed give equal values.
SOURCES: Mapping[str, str] = {
    "python": platform.python_version(),
    **{name: version(name) for name in DISTRIBUTIONS},
}

#: Every rule, by name; a kind of values is a rule that has a weight.
RULES: Rules = {
    **TOKEN_RULES, **PROTOCOL_RULES, **PEOPLE_RULES, **PROSE_RULES, **PLACE_RULES, **DATA_RULES,
    **MARKUP_RULES, **NAME_RULES, **TALK_RULES,
}  # fmt: skip

#: How many of all values are of a kind, in proportion. What people type leads, because its variety
#: is what CI traffic lacks most; a machine's values (ids, dates, tokens) vary little in shape.
KINDS: Mapping[str, float] = {
    # Text that people type.
    "search": 12, "title": 8, "text": 6, "sentence": 4, "words": 4, "chat": 4, "tags": 2,
    "mail": 1.5, "markdown": 2.5, "maths": 0.6, "english": 3, "document": 3,
    # People and firms.
    "name": 6, "address": 5, "company": 2, "job": 1, "phone": 1.5, "email": 2, "user": 1.5,
    "password": 0.8, "bank": 0.3, "domain": 0.5,
    # Quantities and moments.
    "number": 0.7, "money": 1, "measure": 1, "coordinates": 0.3, "date": 0.7, "time": 0.5,
    "moment": 0.8, "timestamp": 0.3, "span": 0.7, "cron": 0.1,
    # Keys and codes.
    "id": 1.5, "uuid": 0.5, "hash": 0.5, "token": 0.7, "base64": 0.5, "jwt": 0.2, "version": 0.4,
    "colour": 0.5, "flag": 0.1, "isbn": 0.2, "licence_key": 0.1, "chemical": 0.1, "dna": 0.1,
    "plate": 0.1,
    # Headers and cookies.
    "mime": 0.3, "locale": 0.3, "agent": 0.8, "ip": 0.3, "cookie": 0.8, "header": 0.8,
    # Places of the web and of files.
    "url": 3, "redirect": 2, "query": 1.5, "path": 2, "slug": 2, "native_slug": 1, "file": 2,
    "file_path": 0.5, "route": 0.1,
    # Structured text.
    "list": 2, "sort": 1, "filter": 1.2, "json": 3.5, "nested_json": 0.4, "document_json": 0.8,
    "call_json": 0.6, "graphql": 0.4, "csv": 0.5, "settings": 0.7, "style": 0.4, "card": 0.4,
    # Markup.
    "html": 3, "comment_html": 1.2, "wiki": 0.5, "xml": 0.2,
}  # fmt: skip

#: Kinds that come from a keyboard.
_TYPED = frozenset(
    {
        "address", "chat", "company", "job", "mail", "markdown", "maths", "name", "search",
        "sentence", "tags", "text", "title", "words",
    }
)  # fmt: skip


def ordinary_values(seed: int = 0, size: int = 200_000) -> Iterator[tuple[str, bytes]]:
    """Yield kinds and values, kind after kind, each value of a kind once, as an app sees them.

    Parameters
    ----------
    seed:
        Another seed gives other values of the same kinds.
    size:
        About how many values, fewer where a kind has fewer (flags) than its share.
    """
    total = sum(KINDS.values())
    draw = Draw(RULES)
    for kind, weight in KINDS.items():
        make = _typed if kind in _TYPED else Draw.value
        for value in _distinct(draw, f"{seed}/{kind}", kind, round(size * weight / total), make):
            yield kind, value


def ordinary_names(seed: int = 0, size: int = 20_000) -> Iterator[bytes]:
    """Yield at most so many names of fields, numbers in them folded to ``#`` as the parser does."""
    names = _distinct(Draw(RULES), f"{seed}/names", "field_name", size, Draw.value)
    yield from dict.fromkeys(fold_name(name.decode()).encode() for name in names)


def ordinary_segments(seed: int = 0, size: int = 20_000) -> Iterator[bytes]:
    """Yield at most so many decoded segments of paths, without slashes."""
    segments = _distinct(Draw(RULES), f"{seed}/segments", "segment", size, Draw.value)
    yield from (segment for segment in segments if b"/" not in segment)


def _distinct(
    draw: Draw, seed: str, rule: str, size: int, make: Callable[[Draw, str], str]
) -> Iterator[bytes]:
    """Yield up to size values, fewer where the rule repeats itself more often than not."""
    draw.random.seed(seed)
    rounds = Limits().decode_rounds
    seen: set[bytes] = set()
    repeats = 0
    while len(seen) < size and repeats <= len(seen) + 50:
        text = make(draw, rule)
        value = canonical(text.encode(), rounds)[0][:VALUE_CAP]
        if value in seen:
            repeats += 1
            continue
        seen.add(value)
        yield value


def _typed(draw: Draw, rule: str) -> str:
    """A value as a form sends it: in any case, with stray spaces, lines as browsers end them."""
    text = draw.value(rule)
    chance = draw.random.random()
    if chance < 0.06:
        text = text.lower()
    elif chance < 0.09:
        text = text.upper()
    elif chance < 0.12:
        text = capwords(text, " ")
    elif chance < 0.15:
        text = draw.one((" ", "")) + text + draw.one((" ", "  ", "\n"))
    return text.replace("\n", "\r\n") if draw.often(0.6) else text
