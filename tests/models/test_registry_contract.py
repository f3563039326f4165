"""What holds of every registry, run over each implementation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cnaf.models.artifact import ArtifactFiles, unpack
from cnaf.models.digest import Digest
from cnaf.models.errors import (
    ArtifactFormatError,
    ArtifactMismatchError,
    InputError,
    ModelNotFoundError,
)
from cnaf.models.oci import digest_of
from cnaf.models.registry import ModelRegistry
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.models.registry_memory import MemoryRegistry

FilesMaker = Callable[..., tuple[ArtifactFiles, Digest]]
IMAGE = "shop/web:1.2"


@pytest.fixture(params=["memory", "layout"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> ModelRegistry:
    return MemoryRegistry() if request.param == "memory" else LayoutRegistry(tmp_path / "models")


def test_an_empty_registry_lists_nothing(registry: ModelRegistry) -> None:
    assert list(registry.list()) == []


def test_what_is_pushed_is_pulled(registry: ModelRegistry, make_files: FilesMaker) -> None:
    files, subject = make_files(1)
    record = registry.push(files, subject=subject, image=IMAGE)
    assert (record.subject, record.image, record.size) == (subject, IMAGE, files.size)
    assert record.created.isoformat() == "2024-05-01T12:00:00+00:00"
    assert registry.pull(subject) == files
    assert list(registry.list()) == [record]
    unpack(files.config, files.tensors, expect=subject)


def test_implementations_agree_on_the_record(make_files: FilesMaker, tmp_path: Path) -> None:
    files, subject = make_files(1)
    both = MemoryRegistry(), LayoutRegistry(tmp_path)
    first, second = (registry.push(files, subject=subject, image=IMAGE) for registry in both)
    assert first == second


def test_a_second_model_of_an_image_replaces_the_first(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    old, subject = make_files(1, created="2024-05-02T00:00:00Z")
    new, _ = make_files(1, created="2024-05-01T00:00:00Z", model={"better": True})
    registry.push(old, subject=subject, image=IMAGE)
    record = registry.push(new, subject=subject, image=IMAGE)
    assert registry.pull(subject) == new
    assert list(registry.list()) == [record]


def test_pushing_the_same_twice_changes_nothing(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    first = registry.push(files, subject=subject, image=IMAGE)
    assert registry.push(files, subject=subject, image=IMAGE) == first
    assert registry.pull(subject) == files


def test_models_are_listed_newest_first_across_time_zones(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    times = ["2024-05-01T12:00:00Z", "2024-05-01T13:00:00+05:00", "2024-05-01T12:00:00.5Z",
             "2024-05-01T12:00:00Z"]  # fmt: skip
    for number, created in enumerate(times):
        files, subject = make_files(number, created=created)
        registry.push(files, subject=subject, image=IMAGE)
    assert [int(record.subject.hex, 16) for record in registry.list()] == [2, 3, 0, 1]


def test_among_models_of_one_time_the_last_pushed_leads(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    for number in (1, 2, 1):
        files, subject = make_files(number)
        registry.push(files, subject=subject, image=IMAGE)
    assert [int(record.subject.hex, 16) for record in registry.list()] == [1, 2]
    assert registry.find(IMAGE).subject == subject


def test_a_removed_model_is_gone(registry: ModelRegistry, make_files: FilesMaker) -> None:
    files, subject = make_files(1)
    other, other_subject = make_files(2)
    record = registry.push(files, subject=subject, image=IMAGE)
    registry.push(other, subject=other_subject, image=IMAGE)
    assert registry.remove(subject) == record
    with pytest.raises(ModelNotFoundError):
        registry.pull(subject)
    with pytest.raises(ModelNotFoundError):
        registry.remove(subject)
    assert registry.pull(other_subject) == other


def test_an_unknown_digest_is_an_error_that_says_what_to_do(registry: ModelRegistry) -> None:
    for call in (registry.pull, registry.remove):
        with pytest.raises(ModelNotFoundError, match=r"sha256:0000.*cnaf learn"):
            call(Digest("sha256:" + "0" * 64))


def test_unsound_files_never_replace_a_sound_model(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    other, _ = make_files(2)
    record = registry.push(files, subject=subject, image=IMAGE)
    with pytest.raises(ArtifactMismatchError):
        registry.push(other, subject=subject, image=IMAGE)
    with pytest.raises(ArtifactFormatError):
        registry.push(ArtifactFiles(files.config, b""), subject=subject, image=IMAGE)
    with pytest.raises(InputError):
        registry.push(files, subject=subject, image="not an image")
    assert registry.pull(subject) == files
    assert list(registry.list()) == [record]


REFERENCES: dict[str, tuple[str, int]] = {
    "a whole digest": ("sha256:" + "a" * 64, 0),
    "twelve digits": ("a" * 12, 0),
    "twelve digits with the algorithm": ("sha256:" + "b" * 12, 1),
    "a repository with its digest": ("anything@sha256:" + "b" * 64, 1),
    "a repository and tag": ("shop/web:1.2", 1),
    "a repository alone is its latest": ("shop/web", 2),
    "a name of hexadecimal digits": ("deadbeefdead", 3),
    "a host with a port": ("localhost:5000/web:1", 4),
    "a tag next to a digest": ("pinned:7", 5),
}


@pytest.fixture
def stocked(registry: ModelRegistry, make_files: FilesMaker) -> ModelRegistry:
    stock = [
        ("a" * 64, "shop/web:1.2", "2024-05-01T12:00:00Z"),
        ("b" * 64, "shop/web:1.2", "2024-05-02T12:00:00Z"),
        ("c" * 63 + "1", "shop/web", "2024-04-01T12:00:00Z"),
        ("c" * 63 + "2", "deadbeefdead:latest", "2024-04-01T12:00:00Z"),
        ("e" * 64, "localhost:5000/web:1", "2024-04-01T12:00:00Z"),
        ("f" * 64, "pinned:7@sha256:" + "f" * 64, "2024-04-01T12:00:00Z"),
    ]
    for digits, image, created in stock:
        files, subject = make_files(int(digits, 16), created=created)
        registry.push(files, subject=subject, image=image)
    return registry


@pytest.mark.parametrize("case", REFERENCES)
def test_a_reference_finds_the_newest_model_that_it_means(
    case: str, stocked: ModelRegistry
) -> None:
    reference, index = REFERENCES[case]
    heads = ["a" * 64, "b" * 64, "c" * 63 + "1", "c" * 63 + "2", "e" * 64, "f" * 64]
    assert stocked.find(reference).subject.hex == heads[index]


BAD_REFERENCES: dict[str, tuple[str, type[Exception], str]] = {
    "a prefix of two": ("c" * 20, InputError, "several models.*one of c{24} .*c{24}"),
    "too few digits": ("sha256:aaaa", InputError, "at least 12"),
    "capital digits": ("sha256:" + "A" * 64, InputError, "lower-case"),
    "too many digits": ("sha256:" + "a" * 65, InputError, "not an image digest"),
    "an unknown digest": ("sha256:" + "d" * 64, ModelNotFoundError, "cnaf models ls"),
    "an unknown image": ("other:1", ModelNotFoundError, "no model is stored for other:1"),
    "another tag": ("shop/web:9", ModelNotFoundError, r"there is shop/web:1.2, shop/web:latest"),
    "another digest of a known image": (
        "shop/web@sha256:" + "d" * 64, ModelNotFoundError, "cnaf models ls"
    ),
    "nothing": ("", InputError, "not an image reference"),
    "no reference": ("Shop Web", InputError, "not an image reference"),
    "a control character": ("a\x1b[2J", InputError, r"'a\\x1b\[2J'"),
    "far too much": ("a" * 100_000, InputError, "not an image reference"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_REFERENCES)
def test_a_reference_that_means_no_model_is_a_typed_error(
    case: str, stocked: ModelRegistry
) -> None:
    reference, error, reason = BAD_REFERENCES[case]
    with pytest.raises(error, match=reason):
        stocked.find(reference)


def test_the_manifest_names_the_model_by_content(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    first = registry.push(files, subject=subject, image=IMAGE)
    second = registry.push(make_files(1, model={"x": 1})[0], subject=subject, image=IMAGE)
    assert first.manifest != second.manifest
    assert digest_of(files.config) != first.manifest


def test_the_metadata_may_name_another_image_than_the_registry(
    registry: ModelRegistry, make_files: FilesMaker
) -> None:
    files, subject = make_files(1, image="built:abc")
    assert registry.push(files, subject=subject, image="released").image == "released:latest"
    assert registry.find("released").subject == subject


def test_any_number_of_models_stays_apart(registry: ModelRegistry, make_files: FilesMaker) -> None:
    pushed: dict[Digest, Any] = {}
    for number in range(12):
        files, subject = make_files(number, model={"n": number})
        registry.push(files, subject=subject, image=f"app:{number}")
        pushed[subject] = files
    assert {record.subject: registry.pull(record.subject) for record in registry.list()} == pushed
