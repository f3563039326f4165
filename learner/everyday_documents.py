"""English as people write it: the documentation of Python and of a few distributions.

Sentences made from lists of words know no grammar; these do. Such documents hold code, too:
paragraphs of it are left out, and so is what a signature matches (a manual quotes what is
dangerous). Read are descriptions, not licences: wheels bundle other licences per platform.
"""

from __future__ import annotations

import ast
import inspect
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from pydoc_data.topics import topics

from cnaf.models.fields import SEPARATOR, Field, Location, ParsedRequest
from cnaf.signatures.engine import SignatureEngine

__all__ = ["DISTRIBUTIONS", "paragraphs", "sentences", "vocabulary", "word_runs"]

#: Whose descriptions are read: what this distribution depends on is always there.
DISTRIBUTIONS = (
    "docker", "faker", "joblib", "matplotlib", "numba", "orjson", "platformdirs", "rich",
    "scikit-learn", "scipy", "typer", "urllib3",
)  # fmt: skip
_BLANK = re.compile(r"\n[ \t]*\n")
_CODE = re.compile(
    r">>>|::$|^\s*(?:def|class|import|from|if|for|@)\b.*[:)]$|[{}<>=|\\$]", re.MULTILINE
)
_PLAIN = re.compile(r"[A-Za-z0-9\s.,;:!?'\"()/*`-]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_RUN = re.compile(r"[A-Za-z][a-z']*(?:[ -][A-Za-z][a-z']*){2,}")
#: Words that mean something else between slashes or angle brackets.
_NO_SEGMENTS = {
    "bin", "boot", "dev", "embed", "etc", "iframe", "localhost", "object", "proc", "script",
    "scripts", "svg", "sys",
}  # fmt: skip
_WORD = re.compile(r"\b[a-z]{3,14}\b")


@cache
def paragraphs() -> tuple[str, ...]:
    """Return paragraphs of prose, each once, in an order that only the sources' versions decide."""
    matches = SignatureEngine.load().match
    found = dict.fromkeys(
        paragraph
        for document in _documents()
        for paragraph in map(inspect.cleandoc, _BLANK.split(document))
        if _is_prose(paragraph)
    )
    return tuple(text for text in found if not matches(_as_field(" ".join(text.split()).encode())))


@cache
def sentences() -> tuple[str, ...]:
    """Return the sentences of all paragraphs, lines joined."""
    joined = (" ".join(text.split()) for text in paragraphs())
    found = (s for text in joined for s in _SENTENCE_END.split(text) if 10 < len(s) < 400)
    return tuple(dict.fromkeys(found))


@cache
def word_runs() -> tuple[tuple[str, ...], ...]:
    """Return stretches of three and more words without a mark in between, in lower case."""
    runs = (m[0].lower().split() for text in sentences() for m in _RUN.finditer(text))
    return tuple(tuple(run) for run in runs)


@cache
def vocabulary() -> tuple[str, ...]:
    """Return the words that occur twice and more, and may stand anywhere."""
    counts = Counter(word for text in sentences() for word in _WORD.findall(text))
    return tuple(sorted(word for word, n in counts.items() if n > 1 and word not in _NO_SEGMENTS))


def _documents() -> Iterator[str]:
    for topic in sorted(topics):
        yield topics[topic]
    for module in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(module.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""
    for name in DISTRIBUTIONS:
        yield distribution(name).metadata.get_payload()  # type: ignore[attr-defined]


def _is_prose(text: str) -> bool:
    if (
        not 40 < len(text) < 4000
        or len(text.split()) < 6
        or text[-1] not in ".!?:"
        or _CODE.search(text)
    ):
        return False
    return len(_PLAIN.findall(text)) > 0.98 * len(text)


def _as_field(value: bytes) -> ParsedRequest:
    field = Field(Location.FORM, "text", value)
    return ParsedRequest("POST", "/", [field], [], value + SEPARATOR, [0], len(value))
