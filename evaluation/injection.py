"""Put attack strings into the fields of benign requests, where an attacker would put them.

Every field of the corpus (endpoint, location, name) is as likely as any other, however many
requests carry it: a poll that a browser repeats each second is one field, and so is the version
in the addresses of all scripts. Query and form values, strings of JSON bodies and segments of the
path are fields. In half of the cases the payload takes the place of the value, in half it is
appended to it, as both are usual (``-1 UNION ...`` and ``42' UNION ...``). Everything is chosen
by hashes of payload and seed: equal input gives equal requests, and one payload more changes no
other.
"""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from cnaf.evaluation.carriers import Place, places, write
from cnaf.evaluation.data_set import Kind
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label
from cnaf.models.fields import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnaf.evaluation.payloads import Payload

__all__ = ["Injector"]

#: Exchanges kept of one field; more would only repeat it.
_PER_FIELD = 16
#: Longer payloads go into bodies only: servers refuse longer targets (nginx and Apache: 8 KiB).
_TARGET_BYTES = 4096
_VOLATILE = re.compile(rb"[0-9a-fA-F]{16,}|[0-9]+")
#: Files that servers hand out as they are; those of one kind are one endpoint.
_STATIC = re.compile(rb"\.(?:avif|css|gif|ico|jpe?g|js|map|mp[34]|png|svg|ttf|txt|webp|woff2?)$")
_BODY = frozenset((Location.FORM, Location.JSON))


class Injector:
    """Puts payloads into the fields of the ``exchanges``.

    Parameters
    ----------
    ambiguous:
        Globs over labels (``POST /wp-admin/post.php form:content``; ``*`` stands for any text,
        ``?`` for any character) of fields that take rich text or code by design, where a payload
        may be honest input: such an exchange has ``ambiguous`` set in its ``meta``.
    seed:
        Another seed gives other fields to the same payloads.

    Raises CorpusError where the exchanges have no field.
    """

    def __init__(
        self, exchanges: Iterable[Exchange], *, ambiguous: Sequence[str] = (), seed: int = 0
    ) -> None:
        found: dict[str, list[_Slot]] = {}
        for exchange in exchanges:
            for place in places(exchange.request):
                slot = _Slot(exchange, place)
                same = found.setdefault(slot.label, [])
                if len(same) < _PER_FIELD:
                    same.append(slot)
        if not found:
            raise CorpusError(
                "the benign exchanges have no field to inject into",
                hint="pass a corpus with queries, forms or JSON bodies",
            )
        self._fields = [found[label] for label in sorted(found)]
        # Brackets are part of names, not of the globs.
        self._ambiguous = tuple(pattern.replace("[", "[[]") for pattern in ambiguous)
        self._seed = seed

    @property
    def fields(self) -> tuple[str, ...]:
        """The labels of all fields, sorted."""
        return tuple(slots[0].label for slots in self._fields)

    def inject(self, payload: Payload) -> Exchange | None:
        """Return a benign exchange with the payload in one of its fields, labelled as attack.

        The session is that of the benign exchange, so that folds by session keep the two together.
        Returns None where no field can carry the payload: it is too long for a target, or is not
        UTF-8, and the corpus has no form.
        """
        draw = _Draw(f"{self._seed}:".encode() + payload.value)
        fits = [slots for slots in self._fields if _fits(slots[0].place.location, payload.value)]
        if not fits:
            return None
        slots = fits[draw.below(len(fits))]
        slot = slots[draw.below(len(slots))]
        appends = draw.below(2) == 1
        label = slot.label
        meta: dict[str, object] = {
            "class": payload.attack_class,
            "kind": Kind.ATTACK.value,
            "source": payload.source,
            "field": label,
            "variant": "append" if appends else "replace",
        }
        if any(fnmatchcase(label, pattern) for pattern in self._ambiguous):
            meta["ambiguous"] = True
        return Exchange(
            id=f"injected:{draw.name}",
            session=slot.exchange.session,
            label=Label.ATTACK,
            request=write(slot.exchange.request, slot.place, payload.value, append=appends),
            meta=meta,
        )


class _Slot(NamedTuple):
    """One value of one exchange."""

    exchange: Exchange
    place: Place

    @property
    def endpoint(self) -> str:
        path = self.exchange.request.target.partition(b"?")[0]
        if static := _STATIC.search(path):
            path = b"*" + static[0]
        elif self.place.location is Location.PATH:
            # What stands below one folder is one field, whatever it is called.
            assert isinstance(self.place.at, int)
            path = b"/".join(path.split(b"/")[: self.place.at]) + b"/"
        path = _VOLATILE.sub(b"#", path)
        return f"{self.exchange.request.method} {path.decode('latin-1')}"

    @property
    def label(self) -> str:
        """Endpoint, location and name, as in ``POST /wp-admin/post.php form:content``."""
        location, name, _ = self.place
        return f"{self.endpoint} {location.label}" + (f":{name}" if name else "")


class _Draw:
    """Numbers that follow from a key alone."""

    def __init__(self, key: bytes) -> None:
        digest = hashlib.sha256(key).digest()
        self.name = digest[:12].hex()
        self._rest = int.from_bytes(digest, "big")

    def below(self, n: int) -> int:
        self._rest, drawn = divmod(self._rest, n)
        return drawn


def _fits(location: Location, payload: bytes) -> bool:
    if len(payload) > _TARGET_BYTES and location not in _BODY:
        return False
    if location is not Location.JSON:
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
