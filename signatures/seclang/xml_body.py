"""XML as two lists of values: the text of the root element, and all attributes.

They stand for ``XML:/*`` and ``XML://@*``, the two expressions that rules use. What was read before
an error counts. Nothing outside of the document is ever read, and text that entities multiply has
a cap.
"""

from __future__ import annotations

import re
from xml.parsers import expat

__all__ = ["read_xml"]

_ROOT = re.compile(rb"<[A-Za-z_:\x80-\xff]")
#: Versions that libxml2 reads on after; expat takes any.
_VERSION = re.compile(r"1\.[0-9]*")
#: Counted in bytes of text, what a reference to an outer parameter entity costs: a parser.
_OUTER_BYTES = 1024
#: Elements may be nested so deep, as in libxml2.
_MAX_DEPTH = 257


class _TooMuchError(Exception):
    """Entities made more of the document than it may be, or it is nested too deep."""


def read_xml(body: bytes, max_bytes: int) -> tuple[list[bytes], list[bytes], str | None]:
    """Return the root's text (one value or none), the attributes, and what is wrong or None."""
    reader = _Reader(max_bytes)
    problem = reader.read(body)
    text = ["".join(reader.text).encode("utf-8", "surrogatepass")] if reader.has_root else []
    return text, [a.encode("utf-8", "surrogatepass") for a in reader.attributes], problem


class _Reader:
    def __init__(self, max_bytes: int) -> None:
        self.text: list[str] = []
        self.attributes: list[str] = []
        self.has_root = False
        self._problem: str | None = None
        self._left = max_bytes
        self._depth = 0

    def read(self, body: bytes) -> str | None:
        parser = expat.ParserCreate()
        parser.specified_attributes = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.SkippedEntityHandler = self._skipped
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        # Else expat passes over all declarations behind a reference to a parameter entity.
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)

        def refuse(context: str | None, *_where: object) -> int:
            """Take an external entity as if it were empty."""
            self._spend(_OUTER_BYTES)
            if context is None:
                parser.ExternalEntityParserCreate(None).Parse(b"", True)
            return 1

        parser.ExternalEntityRefHandler = refuse
        try:
            parser.Parse(body, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            # A root that breaks off is there all the same.
            self.has_root = self.has_root or _ROOT.search(body) is not None
            return str(error)
        except _TooMuchError:
            return "nested too deep, or entities expand to too much text"
        return self._problem

    def _declaration(self, version: str | None, _encoding: str | None, _alone: int) -> None:
        if version is None or _VERSION.fullmatch(version) is None:
            self._problem = "no version of XML that is known"

    def _skipped(self, _name: str, is_parameter: bool) -> None:
        """Behind a parameter entity that nobody knows, expat takes no declaration."""
        if is_parameter:
            self._problem = "a parameter entity is not declared"

    def _start(self, _name: str, attributes: list[str]) -> None:
        self.has_root = True
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _TooMuchError
        for name, value in zip(attributes[::2], attributes[1::2], strict=True):
            if name != "xmlns" and not name.startswith("xmlns:"):
                self._spend(len(value))
                self.attributes.append(value)

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _characters(self, data: str) -> None:
        self._spend(len(data))
        self.text.append(data)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooMuchError
