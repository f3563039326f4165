"""Compile the targets of rules to functions of a transaction.

A target's function returns pairs of an element's name and its value; a variable that has one value
gives it under the name None. An element is called ``COLLECTION:name``, as in ModSecurity's logs.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.regexes import compile_regex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnaf.signatures.seclang.syntax import Place, Variable
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = ["PERSISTENT", "Fetch", "basename", "compile_first", "compile_target", "is_known"]

Pair = tuple["bytes | None", bytes]
Fetch = "Callable[[Transaction], Iterable[Pair]]"

#: Collections that outlive a request in ModSecurity; here they do not.
PERSISTENT = frozenset(("GLOBAL", "IP", "RESOURCE", "SESSION", "USER"))


def _names(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(key, key) for key, _ in pairs]


def _flag(name: str) -> Callable[[Transaction], bytes]:
    return lambda t: b"1" if name in t.multipart.flags else b"0"


def basename(t: Transaction) -> bytes:
    """Return what follows the last slash of the path, nothing where there is none."""
    path = t.path
    return (
        path[max(path.rfind(b"/"), path.rfind(b"\\")) + 1 :]
        if b"/" in path or b"\\" in path
        else b""
    )


def _host(t: Transaction) -> bytes:
    host = t.headers.get(b"host")
    return host[0][1].split(b":", 1)[0] if host else b""


def _auth_type(t: Transaction) -> bytes:
    header = t.headers.get(b"authorization")
    return header[0][1].split(b" ", 1)[0] if header else b""


def _multipart(t: Transaction, value: bytes) -> bytes:
    """Flags of a multipart body are empty where there was none."""
    return value if t.processor == b"MULTIPART" else b""


def _multipart_flag(name: str) -> Callable[[Transaction], bytes]:
    return lambda t: _multipart(t, b"1" if name in t.multipart.flags else b"0")


def _clock(form: str) -> Callable[[Transaction], bytes]:
    return lambda _: time.strftime(form).lstrip("0").encode("ascii") or b"0"


_SCALARS: dict[str, Callable[[Transaction], bytes]] = {
    "ARGS_COMBINED_SIZE": lambda t: b"%d.000000" % t.args_combined_size if t.args else b"",
    "AUTH_TYPE": _auth_type,
    "DURATION": lambda t: b"%f" % (time.perf_counter() - t.started),
    "FILES_COMBINED_SIZE": lambda t: b"%d" % t.files_combined_size if t.multipart.files else b"",
    "HIGHEST_SEVERITY": lambda t: b"%d" % t.highest_severity,
    "INBOUND_DATA_ERROR": lambda t: b"1" if t.inbound_data_error else b"0",
    "MATCHED_VAR": lambda t: t.matched[-1][1] if t.matched else b"",
    "MATCHED_VAR_NAME": lambda t: t.matched[-1][0] if t.matched else b"",
    "MSC_PCRE_ERROR": lambda t: b"1" if t.pcre_errors else b"0",
    "MSC_PCRE_LIMITS_EXCEEDED": lambda t: b"1" if t.pcre_errors else b"0",
    "MULTIPART_BOUNDARY_QUOTED": _multipart_flag("boundary_quoted"),
    "MULTIPART_BOUNDARY_WHITESPACE": _multipart_flag("boundary_whitespace"),
    "MULTIPART_CRLF_LF_LINES": lambda t: _multipart(
        t, b"1" if t.multipart.crlf_line and "lf_line" in t.multipart.flags else b"0"
    ),
    "MULTIPART_DATA_AFTER": _multipart_flag("data_after"),
    "MULTIPART_DATA_BEFORE": _multipart_flag("data_before"),
    "MULTIPART_FILE_LIMIT_EXCEEDED": lambda _: b"",
    "MULTIPART_HEADER_FOLDING": _multipart_flag("header_folding"),
    "MULTIPART_INVALID_HEADER_FOLDING": _multipart_flag("invalid_header_folding"),
    "MULTIPART_INVALID_PART": _multipart_flag("invalid_part"),
    "MULTIPART_INVALID_QUOTING": _multipart_flag("invalid_quoting"),
    "MULTIPART_LF_LINE": _multipart_flag("lf_line"),
    "MULTIPART_MISSING_SEMICOLON": _multipart_flag("missing_semicolon"),
    "MULTIPART_SEMICOLON_MISSING": _multipart_flag("missing_semicolon"),
    "MULTIPART_STRICT_ERROR": lambda t: _multipart(t, b"1" if t.multipart.strict else b"0"),
    "MULTIPART_UNMATCHED_BOUNDARY": lambda t: _multipart(t, b"%d" % t.multipart.unmatched_boundary),
    "PATH_INFO": lambda t: t.path,
    "QUERY_STRING": lambda t: t.query,
    "REMOTE_ADDR": lambda t: t.peer,
    "REMOTE_HOST": lambda t: t.peer,
    "REQBODY_ERROR": lambda t: b"1" if t.reqbody_error else b"0",
    "REQBODY_ERROR_MSG": lambda t: t.reqbody_error_message,
    "REQBODY_PROCESSOR": lambda t: t.processor,
    "REQBODY_PROCESSOR_ERROR": lambda t: b"1" if t.reqbody_error else b"0",
    "REQBODY_PROCESSOR_ERROR_MSG": lambda t: t.reqbody_error_message,
    "REQUEST_BASENAME": basename,
    "REQUEST_BODY": lambda t: t.body,
    "REQUEST_BODY_LENGTH": lambda t: b"%d" % len(t.body) if t.body else b"",
    "REQUEST_FILENAME": lambda t: t.path,
    "REQUEST_LINE": lambda t: t.request_line,
    "REQUEST_METHOD": lambda t: t.method,
    "REQUEST_PROTOCOL": lambda t: t.protocol,
    "REQUEST_URI": lambda t: t.uri,
    "REQUEST_URI_RAW": lambda t: t.target,
    "RESPONSE_BODY": lambda _: b"",
    "RESPONSE_PROTOCOL": lambda t: t.response_protocol,
    "RESPONSE_STATUS": lambda t: t.response_status,
    "SERVER_NAME": _host,
    "STATUS": lambda t: t.response_status,
    "TIME_DAY": _clock("%d"),
    "TIME_EPOCH": lambda _: b"%d" % time.time(),
    "TIME_HOUR": _clock("%H"),
    "TIME_MIN": _clock("%M"),
    "TIME_MON": _clock("%m"),
    "TIME_SEC": _clock("%S"),
    "TIME_WDAY": lambda _: time.strftime("%w").encode("ascii"),
    "TIME_YEAR": lambda _: time.strftime("%Y").encode("ascii"),
    "UNIQUE_ID": lambda t: t.unique_id(),
    "URLENCODED_ERROR": lambda t: b"1" if t.urlencoded_error else b"0",
}

_COLLECTIONS: dict[str, Callable[[Transaction], Sequence[tuple[bytes, bytes]]]] = {
    "ARGS": lambda t: t.args,
    "ARGS_GET": lambda t: t.args_get,
    "ARGS_GET_NAMES": lambda t: _names(t.args_get),
    "ARGS_NAMES": lambda t: _names(t.args),
    "ARGS_POST": lambda t: t.args_post,
    "ARGS_POST_NAMES": lambda t: _names(t.args_post),
    "FILES": lambda t: t.multipart.files,
    "FILES_NAMES": lambda t: [(name, name) for name in t.multipart.file_names],
    "FILES_SIZES": lambda t: [(name, b"%d" % size) for name, size in t.multipart.file_sizes],
    "MATCHED_VARS": lambda t: list(t.matched),
    "MATCHED_VARS_NAMES": lambda t: _names(t.matched),
    "MULTIPART_FILENAME": lambda t: [(n, n) for n in t.multipart.part_filenames],
    "MULTIPART_NAME": lambda t: [(n, n) for n in t.multipart.part_names],
    "MULTIPART_PART_HEADERS": lambda t: t.multipart.part_headers,
    "REQUEST_COOKIES": lambda t: t.cookies,
    "REQUEST_COOKIES_NAMES": lambda t: _names(t.cookies),
    "REQUEST_HEADERS": lambda t: t.header_pairs,
    "REQUEST_HEADERS_NAMES": lambda t: _names(t.header_pairs),
    "RESPONSE_HEADERS": lambda t: t.response_headers,
    "RESPONSE_HEADERS_NAMES": lambda t: _names(t.response_headers),
    "TX": lambda t: tuple(t.tx.items()),
} | {
    name: (lambda t, n=name: [(k, v) for (c, k), v in t.collections.items() if c == n])
    for name in PERSISTENT
}
_XML: dict[str, Callable[[Transaction], list[bytes]]] = {
    "/*": lambda t: t.xml_text,
    "//@*": lambda t: t.xml_attributes,
}


def is_known(collection: str) -> bool:
    """Whether a variable of this name can be read."""
    return collection in _SCALARS or collection in _COLLECTIONS or collection == "XML"


def compile_target(
    variable: Variable, exclusions: Sequence[Variable], place: Place
) -> Callable[[Transaction], Iterable[Pair]]:
    """Return the function of a target less what is excluded from it; raises SecLangError."""
    fetch = _compile(variable, exclusions, place)
    if not variable.is_count:
        return fetch
    if variable.collection == "REQUEST_HEADERS" and variable.selector and not variable.is_regex:
        name = variable.selector.encode("latin-1").lower()
        return lambda t: _COUNTS[min(len(t.headers.get(name, ())), _MAX_COUNT)]
    return lambda t: ((None, b"%d" % len(list(fetch(t)))),)


#: Counts as the pairs that targets give; more fields of one name than this count as so many.
_MAX_COUNT = 4096
_COUNTS = tuple(((None, b"%d" % number),) for number in range(_MAX_COUNT + 1))


def _compile(
    variable: Variable, exclusions: Sequence[Variable], place: Place
) -> Callable[[Transaction], Iterable[Pair]]:
    name, selector = variable.collection, variable.selector
    if name in _SCALARS:
        if selector:
            raise _wrong(place, f"{name} has no elements: {variable.label()}")
        get = _SCALARS[name]
        return lambda t: ((None, get(t)),)
    if name == "XML":
        return _xml(variable, place)
    if name not in _COLLECTIONS:
        raise SecLangError(
            place.file,
            place.line,
            f"the variable {name} is not supported",
            supported=", ".join(sorted((*_SCALARS, *_COLLECTIONS, "XML"))),
        )
    pairs = _COLLECTIONS[name]
    if variable.is_regex:
        return _by_expression(name, pairs, selector, exclusions, place)
    if selector:
        return _by_name(name, pairs, selector.encode("latin-1").lower())
    if exclusions:
        excluded = _excluder(exclusions, place)
        return lambda t: [pair for pair in pairs(t) if not excluded(pair[0])]
    return pairs


def _xml(variable: Variable, place: Place) -> Callable[[Transaction], Iterable[Pair]]:
    get = _XML.get(variable.selector)
    if get is None:
        raise SecLangError(
            place.file,
            place.line,
            f"the expression of {variable.label()} is not supported",
            supported="XML:/* and XML://@*",
        )
    return lambda t: [(None, value) for value in get(t)]


def _by_name(
    collection: str,
    pairs: Callable[[Transaction], Sequence[tuple[bytes, bytes]]],
    name: bytes,
) -> Callable[[Transaction], Iterable[Pair]]:
    """Give the latest value first, as libmodsecurity does: chains keep what matched last."""
    if collection == "REQUEST_HEADERS":
        return lambda t: t.headers.get(name, ())
    if collection == "TX":
        return lambda t: ((name, t.tx[name]),) if name in t.tx else ()
    return lambda t: [pair for pair in reversed(pairs(t)) if pair[0].lower() == name]


def _by_expression(
    collection: str,
    pairs: Callable[[Transaction], Sequence[tuple[bytes, bytes]]],
    expression: str,
    exclusions: Sequence[Variable],
    place: Place,
) -> Callable[[Transaction], Iterable[Pair]]:
    """Names are few and come again, so what was decided of one is remembered, within a bound."""
    search = compile_regex(expression, place, ignore_case=True).search
    excluded = _excluder(exclusions, place)
    known: dict[bytes, bool] = {}

    def is_meant(name: bytes) -> bool:
        if len(known) >= _MAX_NAMES:
            known.clear()
        known[name] = meant = search(name) is not None and not excluded(name)
        return meant

    def select(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        get = known.get
        found = []
        for pair in pairs:
            meant = get(pair[0])
            if is_meant(pair[0]) if meant is None else meant:
                found.append(pair)
        return found

    if collection == "TX":
        return _tx_by_expression(select)
    return lambda t: select(pairs(t))


def _tx_by_expression(
    select: Callable[[Iterable[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]],
) -> Callable[[Transaction], Iterable[Pair]]:
    """Variables that were set in advance come first, and most often none of them is meant."""
    fixed_names: list[bytes] = []
    none_fixed = False

    def fetch(t: Transaction) -> Iterable[Pair]:
        nonlocal fixed_names, none_fixed
        if not fixed_names and t.tx_fixed:
            fixed_names = list(islice(t.tx, t.tx_fixed))
            none_fixed = not select((name, b"") for name in fixed_names)
        return select(islice(t.tx.items(), t.tx_fixed if none_fixed else 0, None))

    return fetch


_MAX_NAMES = 1024


def _excluder(exclusions: Sequence[Variable], place: Place) -> Callable[[bytes], bool]:
    names = frozenset(e.selector.encode("latin-1").lower() for e in exclusions if not e.is_regex)
    searches = [
        compile_regex(e.selector, place, ignore_case=True).search for e in exclusions if e.is_regex
    ]

    known: dict[bytes, bool] = {}

    def excluded(name: bytes) -> bool:
        is_excluded = known.get(name)
        if is_excluded is None:
            if len(known) >= _MAX_NAMES:
                known.clear()
            is_excluded = name.lower() in names or any(s(name) is not None for s in searches)
            known[name] = is_excluded
        return is_excluded

    return excluded


def compile_first(variable: Variable, place: Place) -> Callable[[Transaction], bytes]:
    """Return a function of the first value of a target, or nothing: what a macro stands for."""
    name = variable.collection
    if name in _SCALARS and not variable.selector:
        return _SCALARS[name]
    if name == "TX" and variable.selector and not variable.is_regex:
        key = variable.selector.encode("latin-1").lower()
        return lambda t: t.tx.get(key, b"")
    fetch = compile_target(variable, (), place)
    return lambda t: next((value for _, value in fetch(t)), b"")


def _wrong(place: Place, problem: str) -> SecLangError:
    return SecLangError(place.file, place.line, problem)
