"""Mutations of SQL injections, as in the literature on evading firewalls.

After WAF-A-MoLE (Demetrio et al., 2020), AdvSQLi (Qu et al., 2022) and the tamper scripts of
sqlmap; written anew, each so that the result of the query stays the same. Where several dialects
disagree, an operator names those for which it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from cnaf.evaluation.operators import Kind, Operator, random_case, some
from cnaf.evaluation.sql_tokens import Comparison, Token, between_ands, comparisons, join, tokenize

__all__ = ["OPERATORS"]

_Edit = Callable[[list[Token], Random], list[Token]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_QUOTES = "'\""


def _each(
    kinds: Sequence[str], make: Callable[[Token, Random], str], wanted: Callable[[Token], bool]
) -> _Edit:
    """Change some of the tokens of these kinds."""

    def edit(tokens: list[Token], rng: Random) -> list[Token]:
        places = [i for i, token in enumerate(tokens) if token.kind in kinds and wanted(token)]
        for index in (places[n] for n in some(len(places), rng)):
            tokens[index] = Token("raw", make(tokens[index], rng))
        return tokens

    return edit


def _comparing(
    make: Callable[[str, str, str, Random], str],
    wanted: Callable[[Comparison, list[Token]], bool],
) -> _Edit:
    """Write one comparison of literals in another way; ``make`` gets left, operator, right."""

    def edit(tokens: list[Token], rng: Random) -> list[Token]:
        places = [place for place in comparisons(tokens) if wanted(place, tokens)]
        if not places:
            return tokens
        place = rng.choice(places)
        left, operator, right = place.left, place.operator, place.right
        text = make(tokens[left].text, tokens[operator].text, tokens[right].text, rng)
        if tokens[left - 1].kind == "word" and text[0].isalnum():
            text = f" {text}"
        return [*tokens[:left], Token("raw", text), *tokens[right + 1 :]]

    return edit


def _any(_token: Token) -> bool:
    return True


def _is_keyword(token: Token) -> bool:
    return bool(token.keyword)


def _is_equality(place: Comparison, tokens: list[Token]) -> bool:
    return tokens[place.operator].text == "="


def _is_closed_equality(place: Comparison, tokens: list[Token]) -> bool:
    return _is_equality(place, tokens) and not place.is_open


def _is_closed(place: Comparison, _tokens: list[Token]) -> bool:
    return not place.is_open


def _is_plain(place: Comparison, _tokens: list[Token]) -> bool:
    return not place.is_negated


def _is_of_numbers(place: Comparison, _tokens: list[Token]) -> bool:
    return place.is_number


def _insert_comments(tokens: list[Token], rng: Random) -> list[Token]:
    gaps = [i for i in range(1, len(tokens)) if _is_gap(tokens[i - 1], tokens[i])]
    for index in reversed([gaps[n] for n in some(len(gaps), rng)]):
        tokens.insert(index, Token("comment", f"/*{_word(rng)}*/"))
    return tokens


def _is_gap(left: Token, right: Token) -> bool:
    if left.kind in ("comment", "special", "open") or right.kind in ("comment", "special"):
        return False
    # Two symbols may be one; dots and signs belong to names; a star would end a comment.
    if (
        left.kind == right.kind == "symbol"
        or left.text in ("*", ".", "@", ":")
        or right.text == "."
    ):
        return False
    # Between a function and its parenthesis MySQL takes no blank, nor in a literal like x'41'.
    return left.kind != "word" or bool(left.keyword)


def _drop_spaces(tokens: list[Token], rng: Random) -> list[Token]:
    places = [
        i
        for i in range(1, len(tokens) - 1)
        if tokens[i].kind == "space" and _is_needless(tokens[i - 1], tokens[i + 1])
    ]
    for index in reversed([places[n] for n in some(len(places), rng)]):
        del tokens[index]
    return tokens


def _is_needless(left: Token, right: Token) -> bool:
    if left.keyword and right.text == "(":
        return True
    if left.keyword:
        return right.kind in ("string", "open")
    return left.kind in ("string", "outer") and bool(right.keyword)


def _tail(choices: Sequence[str]) -> _Edit:
    def edit(tokens: list[Token], rng: Random) -> list[Token]:
        if tokens[-1].kind != "comment" or tokens[-1].text.endswith("*/"):
            return tokens
        if tokens[-1].text[:1] == "-" and tokens[-1].text[2:3] not in ("", " ", "\t", "+"):
            return tokens
        return [*tokens[:-1], Token("raw", rng.choice(choices).format(word=_word(rng)))]

    return edit


def _to_symbols(tokens: list[Token], rng: Random) -> list[Token]:
    """AND and OR as ``&&`` and ``||``, but for the AND of BETWEEN."""
    ranges = between_ands(tokens)
    places = [
        i for i, token in enumerate(tokens) if token.keyword in ("AND", "OR") and i not in ranges
    ]
    for index in (places[n] for n in some(len(places), rng)):
        tokens[index] = Token("raw", {"AND": "&&", "OR": "||"}[tokens[index].keyword])
    return tokens


def _union_distinct(tokens: list[Token], rng: Random) -> list[Token]:
    solid = [token.keyword for token in tokens if not token.is_blank]
    if any(a == "UNION" and b != "SELECT" for a, b in pairwise(solid)):
        return tokens
    word = random_case("DISTINCT", rng)
    return _each(("word",), lambda t, _: f"{t.text} {word}", lambda t: t.keyword == "UNION")(
        tokens, rng
    )


def _literal(make: Callable[[str, Random], str], shortest: int = 1) -> _Edit:
    """Write strings of letters and digits in another way; ``make`` gets what is in the quotes.

    Only strings in comparisons of two literals and those listed in calls and results: a column
    may compare by a collation that the new form does not have.
    """

    def edit(tokens: list[Token], rng: Random) -> list[Token]:
        compared = {i for place in comparisons(tokens) for i in (place.left, place.right)}
        places = [
            i
            for i, token in enumerate(tokens)
            if _is_simple(token, shortest) and (i in compared or _is_listed(tokens, i))
        ]
        for index in (places[n] for n in some(len(places), rng)):
            tokens[index] = Token("raw", f" {make(tokens[index].text[1:-1], rng)}")
        return tokens

    return edit


def _is_simple(token: Token, shortest: int) -> bool:
    inner = token.text[1:-1]
    is_string = token.kind == "string" and token.text[0] == "'" and len(inner) >= shortest
    # A number in hexadecimal would be one; letters are letters in every form.
    return is_string and inner.isascii() and inner.isalpha()


def _is_listed(tokens: list[Token], index: int) -> bool:
    before = [token for token in tokens[:index] if not token.is_blank][-2:]
    if not before:
        return False
    if before[-1].text == "(":
        return len(before) > 1 and before[0].kind == "word" and not before[0].keyword
    return before[-1].text == "," or before[-1].keyword in ("SELECT", "ALL", "DISTINCT")


def _in_parts(mark: str) -> Callable[[str, Random], str]:
    def cut(text: str, rng: Random) -> str:
        at = rng.randrange(1, len(text))
        return f"'{text[:at]}'{mark}'{text[at:]}'"

    return cut


def _integer(make: Callable[[int, Random], str]) -> _Edit:
    def compare(left: str, operator: str, right: str, rng: Random) -> str:
        # One side only: two numbers in hexadecimal MySQL compares as strings.
        sides = [left, right]
        side = rng.randrange(2)
        sides[side] = make(int(sides[side]), rng)
        return operator.join(sides)

    return _comparing(compare, _is_of_numbers)


def _swap_constants(tokens: list[Token], rng: Random) -> list[Token]:
    """Another comparison that is as true, or as false."""
    places = [p for p in comparisons(tokens) if not p.is_open or tokens[p.operator].text == "="]
    if not places:
        return tokens
    place = rng.choice(places)
    low = rng.randrange(1, 9000)
    high = low + rng.randrange(1, 900)
    if place.is_number:
        true = (f"{low}={low}", f"{low}<{high}", f"{high}>{low}", f"{low}<>{high}")
        false = (f"{low}={high}", f"{high}<{low}", f"{low}>{high}")
        text = rng.choice(true if place.is_true else false)
    else:
        quote = tokens[place.left].text[0]
        left, other = rng.sample(_LETTERS, 2)
        right = left if place.is_true else other
        text = f"{quote}{left}{quote}={quote}{right}{'' if place.is_open else quote}"
    return [*tokens[: place.left], Token("raw", text), *tokens[place.right + 1 :]]


def _true(rng: Random) -> str:
    a, b = rng.sample(range(1, 1000), 2)
    x, y = rng.sample(_LETTERS, 2)
    return rng.choice((f"{a}={a}", f"{a}<>{b}", f"'{x}'='{x}'", f"'{x}'<>'{y}'", "NOT 0", "TRUE"))


def _false(rng: Random) -> str:
    a, b = rng.sample(range(1, 1000), 2)
    x, y = rng.sample(_LETTERS, 2)
    return rng.choice((f"{a}={b}", f"'{x}'='{y}'", "NOT 1", "FALSE", "0"))


def _word(rng: Random) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.choice((0, 0, 2, 4, 6))))


def _codes(text: str, _rng: Random) -> str:
    return f"CHAR({','.join(str(ord(c)) for c in text)})"


def _operator(name: str, edit: _Edit, reason: str, *dialects: str) -> Operator:
    def apply(payload: str, rng: Random) -> str:
        return join(edit(tokenize(payload), rng)) if payload else payload

    return Operator(name, Kind.SQL, apply, reason, dialects)


_BOTH = ("mysql", "sqlite")
_EQ = _comparing

OPERATORS: tuple[Operator, ...] = (
    _operator(
        "keyword_case",
        _each(("word",), lambda t, r: random_case(t.text, r), _is_keyword),
        "keywords have no case",
        *_BOTH,
    ),
    _operator(
        "white_space",
        _each(("space",), lambda _, r: r.choice("\t\n\f\r"), _any),
        "tab, newline, form feed and return separate as a space does",
        *_BOTH,
    ),
    _operator(
        "wide_space",
        _each(("space",), lambda _, r: r.choice("\v\udca0"), _any),
        "MySQL takes vertical tab, and in one-byte character sets byte A0, for a space",
        "mysql",
    ),
    _operator(
        "space_repeated",
        _each(("space",), lambda t, r: t.text + r.choice(" \t\n") * r.randint(1, 8), _any),
        "any number of blanks separates",
        *_BOTH,
    ),
    _operator(
        "space_to_comment",
        _each(("space",), lambda _, r: f"/*{_word(r)}*/", _any),
        "a comment separates as a space does",
        *_BOTH,
    ),
    _operator(
        "space_dropped", _drop_spaces, "next to quotes and parentheses no space is needed", *_BOTH
    ),
    _operator(
        "comment_inserted", _insert_comments, "a comment between two tokens is nothing", *_BOTH
    ),
    _operator(
        "comment_tail",
        _tail(("-- ", "-- -", "-- {word}", "--\t{word}", "-- '{word}")),
        "what follows two hyphens and a space is a comment",
        *_BOTH,
    ),
    _operator(
        "comment_hash",
        _tail(("#", "#{word}", "# {word}", "#'{word}")),
        "in MySQL a hash begins a comment, too",
        "mysql",
    ),
    _operator(
        "comment_versioned",
        _each(
            ("word",), lambda t, r: f"/*!{r.choice(('', '50000', '40101'))}{t.text}*/", _is_keyword
        ),
        "MySQL runs what such a comment holds where its version is as new",
        "mysql",
    ),
    _operator(
        "integer_hex",
        _integer(lambda n, r: r.choice((f"0x{n:x}", f"0x{n:04X}"))),
        "a number in hexadecimal",
        *_BOTH,
    ),
    _operator(
        "integer_select",
        _integer(lambda n, _: f"(SELECT {n})"),
        "a query that yields the number",
        *_BOTH,
    ),
    _operator(
        "integer_product",
        _integer(lambda n, r: r.choice((f"{n}*1", f"{n}+0", f"({n}-0)", f"{n + 7}-7"))),
        "arithmetic that yields the number",
        *_BOTH,
    ),
    _operator(
        "integer_scientific",
        _integer(lambda n, r: r.choice((f"{n}e0", f"{n}.0", f"{n}0e-1"))),
        "the same number as a fraction",
        *_BOTH,
    ),
    _operator(
        "equal_like",
        _EQ(lambda a, _o, b, r: f"{a} {random_case('LIKE', r)} {b}", _is_equality),
        "literals without wildcards match only themselves",
        *_BOTH,
    ),
    _operator(
        "equal_in",
        _EQ(lambda a, _o, b, _: f"{a} IN ({b})", _is_closed_equality),
        "a set of one",
        *_BOTH,
    ),
    _operator(
        "equal_between",
        _EQ(lambda a, _o, b, _: f"{a} BETWEEN {b} AND {b}", _is_closed_equality),
        "a range of one",
        *_BOTH,
    ),
    _operator(
        "equal_not_differs",
        _EQ(lambda a, _o, b, _: f"NOT({a}<>{b})", _is_closed_equality),
        "not different",
        *_BOTH,
    ),
    _operator(
        "equal_null_safe",
        _EQ(lambda a, _o, b, _: f"{a}<=>{b}", _is_equality),
        "the same for what is not NULL",
        "mysql",
    ),
    _operator(
        "equal_regexp",
        _EQ(
            lambda a, _o, b, r: f"{a} {r.choice(('REGEXP', 'RLIKE'))} '^{b.strip(_QUOTES)}$'",
            _is_closed_equality,
        ),
        "a pattern that only the literal matches",
        "mysql",
    ),
    _operator("words_to_symbols", _to_symbols, "MySQL's || and && are OR and AND", "mysql"),
    _operator(
        "parenthesised",
        _EQ(lambda a, o, b, _: f"({a}{o}{b})", _is_closed),
        "a comparison in parentheses is itself",
        *_BOTH,
    ),
    _operator(
        "and_true",
        _EQ(lambda a, o, b, r: f"{_true(r)} AND {a}{o}{b}", _is_plain),
        "true and x is x",
        *_BOTH,
    ),
    _operator(
        "or_false",
        _EQ(lambda a, o, b, r: f"({a}{o}{b} OR {_false(r)})", _is_closed),
        "x or false is x",
        *_BOTH,
    ),
    _operator(
        "constants_swapped",
        _swap_constants,
        "another constant comparison of the same truth",
        *_BOTH,
    ),
    _operator(
        "string_concatenated", _literal(_in_parts("||"), 2), "a string in two parts", "sqlite"
    ),
    _operator(
        "string_adjacent", _literal(_in_parts(" "), 2), "MySQL joins adjacent strings", "mysql"
    ),
    _operator("string_char", _literal(_codes), "a string by the codes of its characters", *_BOTH),
    _operator(
        "string_hex",
        _literal(lambda text, _: f"0x{text.encode().hex()}"),
        "a string in hexadecimal",
        "mysql",
    ),
    _operator("union_distinct", _union_distinct, "DISTINCT is what UNION does by itself", "mysql"),
)
