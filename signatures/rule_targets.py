"""Which fields the variables of SecLang name: the one place where both vocabularies meet.

SecLang knows arguments of the query and of the body; fields have the place where a value stood.
``ARGS_POST`` is what forms send, in either encoding; leaves of JSON are arguments whose name
starts with ``json.``, elements of a list end in ``.array_0`` there and in ``[]`` here. Elements
and attributes of XML are one place. The body is a field only where no format is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cnaf.models.bodies import ODD_NAME
from cnaf.models.fields import Location
from cnaf.signatures.rule import PROSE, PROSE_LOCATIONS, Targets
from cnaf.signatures.seclang.errors import SecLangError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnaf.signatures.seclang.syntax import Place, Variable

__all__ = ["read_targets"]

_Name = tuple[Location, str]

_SENT: Final = (Location.FORM, Location.MULTIPART)
_ARGUMENTS: Final = (Location.QUERY, *_SENT, Location.JSON)
#: Variables that are whole places, and may be narrowed to a name.
_COLLECTIONS: Final = {
    "ARGS": _ARGUMENTS,
    "ARGS_GET": (Location.QUERY,),
    "ARGS_POST": _SENT,
    "FILES": (Location.FILENAME,),
    "FILES_TMP_CONTENT": (Location.FILE,),
    "REQUEST_COOKIES": (Location.COOKIE,),
    "REQUEST_HEADERS": (Location.HEADER,),
}
#: Names, where they are odd enough to be looked at; they come with their values, too.
_NAMES: Final = {
    "ARGS_NAMES": _ARGUMENTS,
    "ARGS_GET_NAMES": (Location.QUERY,),
    "ARGS_POST_NAMES": _SENT,
    "REQUEST_COOKIES_NAMES": (Location.COOKIE,),
}
#: What has no names, by its label.
_WHOLE: Final = {
    "REQUEST_BODY": Location.BODY,
    "REQUEST_FILENAME": Location.PATH,
    "XML:/*": Location.XML,
    "XML://@*": Location.XML,
}
_SUPPORTED: Final = (
    f"{', '.join(sorted((*_COLLECTIONS, *_NAMES, *_WHOLE)))}; a name behind a colon where "
    "there are names, and ! before what is left out"
)
_JSON: Final = "json."
_ELEMENT: Final = ".array_0"
_EVERY_PROSE: Final = frozenset((loc, name) for loc in PROSE_LOCATIONS for name in PROSE)


def read_targets(variables: Iterable[Variable], place: Place, *, prose: bool) -> Targets:
    """Return the targets; with ``prose`` a match says less where people write texts.

    Raises SecLangError for a variable that is no field.
    """
    locations: set[Location] = set()
    names: set[_Name] = set()
    exceptions: set[_Name] = set()
    for variable in variables:
        whole, named = _fields(variable, place)
        if variable.is_exclusion:
            if whole:
                raise _unknown(variable, place)
            exceptions.update(named)
        else:
            locations.update(whole)
            names.update(named)
    names = {name for name in names - exceptions if name[0] not in locations}
    return Targets(
        frozenset(locations), frozenset(names), frozenset(exceptions),
        _EVERY_PROSE if prose else frozenset(),
    )  # fmt: skip


def _fields(variable: Variable, place: Place) -> tuple[tuple[Location, ...], tuple[_Name, ...]]:
    if variable.is_regex or variable.is_count:
        raise _unknown(variable, place)
    label, selector = variable.collection, variable.selector.lower()
    if variable.label() in _WHOLE:
        return (_WHOLE[variable.label()],), ()
    if label in _NAMES and not selector:
        return (), tuple((location, ODD_NAME) for location in _NAMES[label])
    if label not in _COLLECTIONS:
        raise _unknown(variable, place)
    if not selector:
        return _COLLECTIONS[label], ()
    if label == "ARGS" and selector.startswith(_JSON):
        return (), ((Location.JSON, selector[len(_JSON) :].replace(_ELEMENT, "[]")),)
    places = (loc for loc in _COLLECTIONS[label] if loc is not Location.JSON)
    return (), tuple((location, selector) for location in places)


def _unknown(variable: Variable, place: Place) -> SecLangError:
    sign = "&" * variable.is_count + "!" * variable.is_exclusion
    problem = f"no fields for {sign}{variable.label()}"
    return SecLangError(place.file, place.line, problem, supported=_SUPPORTED)
