"""PayloadsAllTheThings: lines of its word lists and code blocks, by the folder that they are in.

Nobody sorted them by hand: among the attacks stand lines that are harmless alone. They are material
for engines to be held against each other on, and never for a rate of what is detected.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from cnaf.evaluation.packed import read_folder
from cnaf.evaluation.payloads import Payload, PayloadSet, collect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_payload_lists"]

#: Whole documents, as they would be uploaded or sent.
_DOCUMENTS = (".xml", ".svg", ".xsl", ".xsd")
_FENCED = re.compile(rb"^\s*```[^\n]*\n(.*?)^\s*```", re.DOTALL | re.MULTILINE)
#: Longer lines are shell codes and keys.
_LINE = 2048


def read_payload_lists(path: Path) -> PayloadSet:
    """Read a folder or tar archive, plain or .xz; the class is the name of the top folder."""
    found: list[Payload] = []
    left_out: Counter[str] = Counter()
    for name, raw in read_folder(path, (".txt", ".md", *_DOCUMENTS)):
        for value in _values(name, raw):
            if len(value) > _LINE and not name.endswith(_DOCUMENTS):
                left_out[f"is longer than {_LINE} bytes"] += 1
            else:
                found.append(Payload(value, name.partition("/")[0], name))
    return collect("PayloadsAllTheThings", found, (), left_out)


def _values(name: str, raw: bytes) -> Iterator[bytes]:
    if name.endswith(_DOCUMENTS):
        yield raw[: 16 * _LINE]
        return
    texts = [raw] if name.endswith(".txt") else [block[1] for block in _FENCED.finditer(raw)]
    for text in texts:
        yield from (line.strip() for line in text.splitlines() if line.strip())
