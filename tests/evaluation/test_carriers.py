from __future__ import annotations

from collections import Counter
from urllib.parse import urlencode

import orjson
import pytest
from cnaf.evaluation.carriers import Place, places, write
from cnaf.models.exchange import Request
from cnaf.models.fields import Field, Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

ONCE = Limits(decode_rounds=0)
FORM = b"application/x-www-form-urlencoded"
names = st.text("abcXYZ_-", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
documents = st.recursive(
    texts | st.integers(-(2**53), 2**53) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def request(target: bytes = b"/", body: bytes = b"", media_type: bytes = b"") -> Request:
    headers = ((b"content-type", media_type), (b"content-length", str(len(body)).encode()))
    return Request("POST", target, headers if body else (), body, len(body))


def fields(made: Request) -> Counter[Field]:
    parsed = RequestParser(ONCE).parse(made)
    # JSON in a form value is taken apart, too; its leaves are not values of the carrier.
    return Counter(f for f in parsed.fields if ">" not in f.name)


def check_only_one_changed(before: Request, place: Place, value: bytes, append: bool) -> None:
    after = write(before, place, value, append=append)
    lost, found = fields(before) - fields(after), fields(after) - fields(before)
    if not lost:
        assert not found  # the new value is the old one
        return
    [(old, one)], [(new, other)] = lost.items(), found.items()
    assert one == other == 1
    assert (old.location, old.name) == (new.location, new.name) == place[:2]
    if place.location is not Location.PATH:
        assert new.value == (old.value if append else b"") + value
    elif append:
        assert new.value.count(value) >= 1
        assert len(new.value) == len(old.value) + len(value)
    assert after.body_size == len(after.body)
    if after.body:
        assert after.header(b"content-length") == str(len(after.body)).encode()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(names, texts), min_size=1, max_size=5), st.binary(max_size=30),
       st.booleans(), st.data())  # fmt: skip
def test_a_value_written_into_a_query_or_form_is_read_back(
    pairs: list[tuple[str, str]], value: bytes, append: bool, data: st.DataObject
) -> None:
    text = urlencode(pairs).encode()
    for made in (request(b"/shop?" + text), request(body=text, media_type=FORM)):
        found = [place for place in places(made) if place.location is not Location.PATH]
        assert [place.name for place in found] == [name for name, _ in pairs]
        check_only_one_changed(made, data.draw(st.sampled_from(found)), value, append)


@settings(deadline=None, max_examples=60)
@given(documents, texts, st.booleans(), st.data())
def test_a_value_written_into_json_is_read_back(
    document: object, value: str, append: bool, data: st.DataObject
) -> None:
    made = request(body=orjson.dumps(document), media_type=b"application/vnd.shop+json; charset=x")
    found = [place for place in places(made) if place.location is Location.JSON]
    if found:
        check_only_one_changed(made, data.draw(st.sampled_from(found)), value.encode(), append)


@settings(deadline=None, max_examples=60)
@given(st.lists(names, min_size=1, max_size=4), st.binary(max_size=30), st.booleans(), st.data())
def test_a_value_written_into_the_path_stays_in_its_segment(
    segments: list[str], value: bytes, append: bool, data: st.DataObject
) -> None:
    made = request(b"/" + "/".join(segments).encode() + b"?page=1")
    found = [place for place in places(made) if place.location is Location.PATH]
    assert len(found) == len(segments)
    place = data.draw(st.sampled_from(found))
    after = write(made, place, value, append=append)
    assert after.target.count(b"/") == made.target.count(b"/")
    assert after.target.count(b"?") == 1
    check_only_one_changed(made, place, value, append)


@pytest.mark.parametrize(
    "made",
    [
        request(b"/"),
        request(b"//?page&=1&&"),
        request(body=b"a=1", media_type=b"text/plain"),
        request(body=b'{"a":', media_type=b"application/json"),
        request(body=b'{"a":1,"b":[true,null]}', media_type=b"application/json"),
        Request("POST", b"/", ((b"content-type", FORM),), b"a=1", 9),
        Request("POST", b"/", ((b"content-type", FORM), (b"content-encoding", b"gzip")), b"a=1"),
    ],
)
def test_what_is_no_whole_value_is_no_place(made: Request) -> None:
    assert list(places(made)) == []
