from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cnaf.models.artifact import Artifact, ArtifactFiles, pack, unpack
from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactError, ArtifactFormatError, ArtifactMismatchError
from cnaf.models.strict_json import JSON, canonical_json, parse_json
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load

Maker = Callable[..., Artifact]
SUBJECT = Digest("sha256:" + "a" * 64)
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


@pytest.fixture
def artifact(make_artifact: Maker) -> Artifact:
    return make_artifact()


@pytest.fixture
def files(artifact: Artifact) -> ArtifactFiles:
    return pack(artifact)


def resealed(config: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return the configuration changed by one who also mends its checksum."""
    metadata: Any = parse_json(config)
    change(metadata)
    metadata["checksum"] = "0" * 64
    unsealed = canonical_json(metadata)
    return unsealed.replace(b"0" * 64, hashlib.sha256(unsealed).hexdigest().encode(), 1)


@st.composite
def plain_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = np.dtype(draw(st.sampled_from(["<", ">"])) + draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    array = draw(
        hnp.arrays(
            dtype,
            shape,
            elements={"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None,
        )
    )
    return np.asarray(
        draw(st.sampled_from([array, array.T, array[..., ::-1]]) if array.ndim else st.just(array))
    )


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), plain_arrays(), max_size=4
    )
)
def test_arrays_of_every_dtype_and_shape_come_back(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    metadata: dict[str, JSON] = {
        "subject": str(SUBJECT), "image": "a", "created": "2024-05-01T12:00:00+02:00",
        "trainer": {"name": "t", "version": "1"}, "parent": str(SUBJECT), "model": {},
        "corpus": {"hash": "h", "exchanges": 0, "sessions": 0},
    }  # fmt: skip
    packed = pack(Artifact(metadata, arrays))
    back = unpack(packed.config, packed.tensors, expect=SUBJECT)
    assert back.arrays.keys() == arrays.keys() == load(packed.tensors).keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
        assert back.arrays[name].dtype == array.dtype.newbyteorder("<")
        assert back.arrays[name].shape == array.shape
        assert not back.arrays[name].flags.writeable
    assert pack(back) == packed


def test_metadata_comes_back_with_what_pack_adds(artifact: Artifact, files: ArtifactFiles) -> None:
    back = unpack(files.config, files.tensors, expect=SUBJECT)
    assert {**back.metadata, **artifact.metadata} == back.metadata
    assert back.metadata["format"] == "cnaf.request-model"
    assert back.metadata["format_version"] == 1
    assert back.subject == SUBJECT
    assert back.image == "shop/web:1.2"
    assert back.created.isoformat() == "2024-05-01T12:00:00+00:00"
    assert back.metadata["tensors"]["roots"] == {  # type: ignore[index,call-overload]
        "dtype": "i4",
        "shape": [2],
        "sha256": hashlib.sha256(artifact.arrays["roots"].tobytes()).hexdigest(),
    }


def test_the_same_artifact_gives_the_same_bytes(artifact: Artifact, files: ArtifactFiles) -> None:
    turned = Artifact(
        dict(reversed([*artifact.metadata.items()])), dict(reversed([*artifact.arrays.items()]))
    )
    assert pack(turned) == files
    assert files.config == canonical_json(parse_json(files.config))


def test_each_changed_byte_of_the_configuration_is_found(files: ArtifactFiles) -> None:
    for mask in (0x01, 0x20, 0x80, 0xFF):
        for position in range(len(files.config)):
            spoiled = bytearray(files.config)
            spoiled[position] ^= mask
            with pytest.raises(ArtifactError):
                unpack(bytes(spoiled), files.tensors, expect=SUBJECT)


def test_each_changed_byte_of_the_tensors_is_found(files: ArtifactFiles) -> None:
    for mask in (0x01, 0x29, 0x80, 0xFF):  # 0x29 turns a space into a tab
        for position in range(len(files.tensors)):
            spoiled = bytearray(files.tensors)
            spoiled[position] ^= mask
            with pytest.raises(ArtifactFormatError):
                unpack(files.config, bytes(spoiled))


def test_every_truncation_and_extension_is_found(files: ArtifactFiles) -> None:
    for end in range(len(files.config)):
        with pytest.raises(ArtifactFormatError):
            unpack(files.config[:end], files.tensors)
    for end in range(len(files.tensors)):
        with pytest.raises(ArtifactFormatError):
            unpack(files.config, files.tensors[:end])
    for extra in (b"\0", b" ", b"\n", b"{}"):
        with pytest.raises(ArtifactFormatError):
            unpack(files.config + extra, files.tensors)
        with pytest.raises(ArtifactFormatError):
            unpack(extra + files.config, files.tensors)
        with pytest.raises(ArtifactFormatError):
            unpack(files.config, files.tensors + extra)


def test_a_model_of_another_image_is_refused(files: ArtifactFiles) -> None:
    with pytest.raises(ArtifactMismatchError, match=r"sha256:aaaaaaaaaaaa, not from sha256:bbbb"):
        unpack(files.config, files.tensors, expect=Digest("sha256:" + "b" * 64))


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda metadata: metadata.pop(key)


def _with(**entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda metadata: metadata.update(entries)


HOSTILE_METADATA: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a future version": (_with(format_version=2), "version 2, this release reads 1.*upgrade"),
    "a past version": (_with(format_version=0), "version 0, .*learn the image again"),
    "true as version": (_with(format_version=True), "format_version is missing or no int"),
    "another format": (_with(format="pickle"), "format is not"),
    "no subject": (_without("subject"), "subject is missing"),
    "a tag as subject": (_with(subject="latest"), "no.* an image digest|not an image digest"),
    "no parent": (_without("parent"), "parent is missing"),
    "a number as parent": (_with(parent=7), "parent is missing or no str"),
    "control characters in the image": (_with(image="a\x1b[2J"), "not an image reference"),
    "an endless image": (_with(image="a" * 600), "over 512"),
    "no time": (_with(created="yesterday"), "RFC 3339"),
    "a time without zone": (_with(created="2024-05-01T12:00:00"), "RFC 3339"),
    "an impossible time": (_with(created="2024-13-01T12:00:00Z"), "created cannot be read"),
    "no trainer": (_with(trainer="me"), "trainer is missing or no dict"),
    "a trainer without version": (_with(trainer={"name": "me"}), "version is missing"),
    "a negative corpus": (
        _with(corpus={"hash": "", "exchanges": -1, "sessions": 0}), "exchanges are negative"
    ),
    "half a corpus": (_with(corpus={"hash": "", "exchanges": 1.5, "sessions": 0}), "no int"),
    "no model": (_without("model"), "model is missing"),
    "a list as model": (_with(model=[]), "model is missing or no dict"),
    "no tensors": (_without("tensors"), "tensors is missing"),
    "one tensor less": (lambda m: m["tensors"].pop("roots"), "not those that the metadata lists"),
    "one tensor more": (
        lambda m: m["tensors"].update(more=m["tensors"]["roots"]), "not those that the metadata"
    ),
    "another dtype": (lambda m: m["tensors"]["roots"].update(dtype="u4"), "roots has not the"),
    "another shape": (lambda m: m["tensors"]["roots"].update(shape=[1, 2]), "roots has not"),
    "another hash": (lambda m: m["tensors"]["roots"].update(sha256="0" * 64), "roots does not"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_METADATA)
def test_hostile_metadata_with_a_mended_checksum_is_refused(
    case: str, files: ArtifactFiles
) -> None:
    change, reason = HOSTILE_METADATA[case]
    with pytest.raises(ArtifactFormatError, match=reason):
        unpack(resealed(files.config, change), files.tensors, expect=SUBJECT)


def test_resealing_by_itself_changes_nothing(files: ArtifactFiles) -> None:
    assert resealed(files.config, lambda metadata: None) == files.config


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (b"", "cannot be read"),
        (b"[]", "no dict"),
        (b"null", "no dict"),
        (b"{}", "format"),
        (b"[" * 100_000, "deeper"),
        (b'{"format":"x","format":"cnaf.request-model"}', "twice"),
        (b'{"format":NaN}', "NaN"),
        (b"\x80\x04\x95pickle", "cannot be read"),
        (b" " * ((8 << 20) + 1), "over 8388608 bytes"),
    ],
)
def test_hostile_configurations_are_refused(
    config: bytes, reason: str, files: ArtifactFiles
) -> None:
    with pytest.raises(ArtifactFormatError, match=reason):
        unpack(config, files.tensors)


def test_both_blobs_together_are_capped(files: ArtifactFiles) -> None:
    with pytest.raises(ArtifactFormatError, match="over 16777216 bytes"):
        unpack(files.config, bytes(16 << 20))


def test_a_checksum_quoted_elsewhere_does_not_hide_a_change(make_artifact: Maker) -> None:
    with pytest.raises(ArtifactFormatError, match="checksum"):
        pack(make_artifact(model={"checksum": "0" * 64}))


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_bytes_give_a_typed_error(config: bytes, tensors: bytes) -> None:
    with pytest.raises(ArtifactFormatError):
        unpack(config, tensors)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_splice_of_a_sound_artifact_gives_a_typed_error(data: st.DataObject) -> None:
    metadata: dict[str, JSON] = {
        "subject": str(SUBJECT), "image": "a", "created": "2024-05-01T12:00:00Z",
        "trainer": {"name": "t", "version": "1"}, "parent": None, "model": {},
        "corpus": {"hash": "h", "exchanges": 0, "sessions": 0},
    }  # fmt: skip
    sound = pack(Artifact(metadata, {"a": np.arange(4.0), "b": np.zeros(3, np.uint8)}))
    blobs = [sound.config, sound.tensors]
    which = data.draw(st.integers(0, 1))
    start = data.draw(st.integers(0, len(blobs[which])))
    end = data.draw(st.integers(start, len(blobs[which])))
    middle = data.draw(st.binary(max_size=12))
    before = blobs[which]
    blobs[which] = before[:start] + middle + before[end:]
    if blobs[which] != before:
        with pytest.raises(ArtifactFormatError):
            unpack(*blobs)


@pytest.mark.parametrize("entries", [{"image": ""}, {"model": {"x": float("inf")}}, {"parent": 1}])
def test_pack_refuses_what_unpack_would(make_artifact: Maker, entries: dict[str, Any]) -> None:
    with pytest.raises(ArtifactFormatError):
        pack(make_artifact(**entries))


def test_an_artifact_is_plain_json_and_safetensors(files: ArtifactFiles) -> None:
    assert json.loads(files.config)["image"] == "shop/web:1.2"
    assert load(files.tensors)["roots"].tolist() == [0, 3]
