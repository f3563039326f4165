from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.errors import (
    ArtifactFormatError,
    ArtifactMismatchError,
    ModelNotFoundError,
    RegistryError,
)
from cnaf.models.image_layout import ImageLayout
from cnaf.models.oci import digest_of
from cnaf.models.registry_layout import LayoutRegistry

FilesMaker = Callable[..., tuple[ArtifactFiles, Digest]]
IMAGE = "shop/web:1.2"
TIMEOUT_S = 120


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def registry(root: Path) -> LayoutRegistry:
    return LayoutRegistry(root)


def blobs(root: Path) -> set[str]:
    return set(os.listdir(root / "blobs" / "sha256"))


def index_of(root: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((root / "index.json").read_bytes())
    return index


def test_the_folder_is_an_oci_image_layout(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    record = registry.push(files, subject=subject, image=IMAGE)
    assert json.loads((root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = index_of(root)["manifests"]
    manifest_bytes = (root / "blobs/sha256" / record.manifest.hex).read_bytes()
    assert entry == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cnaf.request-model.v1",
        "digest": str(record.manifest),
        "size": len(manifest_bytes),
        "annotations": {
            "org.opencontainers.image.ref.name": f"model-{subject.hex}",
            "org.opencontainers.image.created": "2024-05-01T12:00:00+00:00",
            "com.cnaf.image": IMAGE,
            "com.cnaf.subject": str(subject),
            "com.cnaf.size": str(files.size),
        },
    }
    manifest = json.loads(manifest_bytes)
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == entry["mediaType"]
    assert manifest["artifactType"] == entry["artifactType"]
    assert manifest["subject"]["digest"] == str(subject)
    assert manifest["config"]["digest"] == str(digest_of(files.config))
    assert [layer["digest"] for layer in manifest["layers"]] == [str(digest_of(files.tensors))]
    assert len(blobs(root)) == 3
    for name in blobs(root):
        content = (root / "blobs/sha256" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == name


def test_looking_makes_no_folder(registry: LayoutRegistry, root: Path) -> None:
    assert list(registry.list()) == []
    for call in (registry.pull, registry.remove):
        with pytest.raises(ModelNotFoundError):
            call(Digest("sha256:" + "0" * 64))
    assert not root.exists()


def test_listing_reads_the_index_alone(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    record = registry.push(files, subject=subject, image=IMAGE)
    for name in blobs(root):
        (root / "blobs/sha256" / name).unlink()
    assert registry.find(IMAGE) == record
    with pytest.raises(RegistryError, match="lacks its blobs"):
        registry.pull(subject)


# Garbage


def test_a_replaced_model_leaves_nothing(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    for number in range(3):
        files, subject = make_files(1, model={"n": number})
        registry.push(files, subject=subject, image=IMAGE)
        assert len(blobs(root)) == 3


def test_a_removed_model_leaves_what_others_share(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    pushed = [make_files(number) for number in range(2)]
    assert pushed[0][0].tensors == pushed[1][0].tensors
    for files, subject in pushed:
        registry.push(files, subject=subject, image=IMAGE)
    assert len(blobs(root)) == 5
    registry.remove(pushed[0][1])
    assert registry.pull(pushed[1][1]) == pushed[1][0]
    registry.remove(pushed[1][1])
    assert blobs(root) == set()


def _age(path: Path) -> None:
    old = time.time() - 7200
    os.utime(path, (old, old))


def test_only_old_orphans_and_the_temporary_files_of_the_dead_are_collected(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    folder = root / "blobs" / "sha256"
    for name in ("1" * 64, "2" * 64, ".cnaf-tmp-dead"):
        (folder / name).write_bytes(b"x")
    (root / ".cnaf-tmp-dead").write_bytes(b"x")
    for path in folder.iterdir():
        if path.name != "2" * 64:
            _age(path)
    other, other_subject = make_files(2)
    registry.push(other, subject=other_subject, image=IMAGE)
    assert "2" * 64 in blobs(root)  # may be half of another tool's image
    assert {"1" * 64, ".cnaf-tmp-dead"}.isdisjoint(blobs(root))
    assert not (root / ".cnaf-tmp-dead").exists()
    assert registry.pull(subject) == files


def _put(root: Path, document: object) -> dict[str, Any]:
    """Store a document as another tool would and return its descriptor."""
    data = json.dumps(document).encode()
    digest = digest_of(data)
    path = root / "blobs/sha256" / digest.hex
    path.write_bytes(data)
    _age(path)
    media_type = "application/vnd.oci.image.config.v1+json"
    if isinstance(document, dict):
        media_type = document.get("mediaType", media_type)
    return {"mediaType": media_type, "digest": str(digest), "size": len(data)}


def test_images_of_other_tools_stay_with_all_their_blobs(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    manifest = _put(root, {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _put(root, {"os": "linux"}), "layers": [_put(root, "layer")],
    })  # fmt: skip
    nested = _put(root, {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    })  # fmt: skip
    index = index_of(root)
    index["manifests"].insert(0, nested)
    (root / "index.json").write_text(json.dumps({**index, "annotations": {"by": "other"}}))
    registry.remove(subject)
    assert index_of(root)["manifests"] == [nested]
    assert index_of(root)["annotations"] == {"by": "other"}
    assert len(blobs(root)) == 4


def test_nothing_is_collected_where_an_image_cannot_be_followed(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    index = index_of(root)
    entry = index["manifests"][0]
    index["manifests"].append({"mediaType": entry["mediaType"], "digest": "sha256:" + "9" * 64,
                               "size": 5})  # fmt: skip
    (root / "index.json").write_text(json.dumps(index))
    registry.remove(subject)
    assert list(registry.list()) == []
    assert len(blobs(root)) == 3


# Damage


def test_each_damaged_blob_is_refused(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    for name in blobs(root):
        path = root / "blobs/sha256" / name
        whole = path.read_bytes()
        for damaged in (b"", whole[:-1], whole[:-1] + b"\xff"):
            path.write_bytes(damaged)
            with pytest.raises(ArtifactFormatError, match=f"{name[:12]} is damaged.*learn"):
                registry.pull(subject)
        path.write_bytes(whole)
    assert registry.pull(subject) == files


def test_a_push_mends_damaged_blobs(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    for name in blobs(root):
        (root / "blobs/sha256" / name).write_bytes(b"damaged")
    registry.push(files, subject=subject, image=IMAGE)
    assert registry.pull(subject) == files


def _spoil(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = index_of(root)
    change(index)
    (root / "index.json").write_text(json.dumps(index))


def test_a_model_listed_for_another_image_is_refused(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    other = "sha256:" + "9" * 64
    _spoil(root, lambda i: i["manifests"][0]["annotations"].update({"com.cnaf.subject": other}))
    with pytest.raises(
        ArtifactMismatchError, match="sha256:999999999999 was learned from sha256:0"
    ):
        registry.pull(Digest(other))


def _entry(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda index: index["manifests"][0].update(changes)


def _note(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    notes = {key.replace("_", "."): value for key, value in changes.items()}
    return lambda index: index["manifests"][0]["annotations"].update(notes)


BAD_INDEXES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another version": lambda index: index.update(schemaVersion=3),
    "no manifests": lambda index: index.pop("manifests"),
    "manifests that are no list": lambda index: index.update(manifests={"a": 1}),
    "an entry without annotations": lambda index: index["manifests"][0].pop("annotations"),
    "a list of annotations": _entry(annotations=[]),
    "a digest that leaves the folder": _entry(digest="sha256:../../etc/passwd"),
    "a digest of another kind": _entry(digest=7),
    "a subject that is none": _note(com_cnaf_subject="x"),
    "an image that is none": _note(com_cnaf_image="\x1b[2J"),
    "a size that is none": _note(com_cnaf_size="big"),
    "a time that is none": _note(org_opencontainers_image_created="now"),
    "a time without a zone": _note(org_opencontainers_image_created="2024-05-01T12:00:00"),
}
BAD_INDEX_BYTES = {
    "nothing": b"",
    "half of it": b'{"schemaVersion":2,"manif',
    "no JSON": b"\x00\xff",
    "a list": b"[]",
    "a number": b"7",
    "deep nesting": b"[" * 100_000,
    "a key twice": b'{"schemaVersion":2,"manifests":[],"manifests":[]}',
    "more than the cap": b" " * ((8 << 20) + 1),
}


@pytest.mark.parametrize("case", [*BAD_INDEXES, *BAD_INDEX_BYTES])
def test_a_damaged_index_is_a_typed_error_and_stays_as_it_is(
    case: str, registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    if case in BAD_INDEXES:
        _spoil(root, BAD_INDEXES[case])
    else:
        (root / "index.json").write_bytes(BAD_INDEX_BYTES[case])
    before, names = (root / "index.json").read_bytes(), blobs(root)
    for call in (
        registry.list,
        lambda: registry.pull(subject),
        lambda: registry.find(IMAGE),
        lambda: registry.remove(subject),
        lambda: registry.push(files, subject=subject, image=IMAGE),
    ):
        with pytest.raises(RegistryError, match=r"index\.json"):
            call()
    assert (root / "index.json").read_bytes() == before
    assert blobs(root) == names


def test_a_lost_index_is_not_taken_for_an_empty_registry(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    (root / "index.json").unlink()
    with pytest.raises(RegistryError, match="missing"):
        registry.push(files, subject=subject, image=IMAGE)


@pytest.mark.parametrize("marker", [b'{"imageLayoutVersion":"2.0.0"}', b"", b"[]", b"{}"])
def test_a_layout_of_another_version_is_refused(
    marker: bytes, registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    (root / "oci-layout").write_bytes(marker)
    with pytest.raises(RegistryError):
        registry.list()


BAD_MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "something else": lambda m: m.update(artifactType="application/x"),
    "no layers": lambda m: m.update(layers=[]),
    "two layers": lambda m: m.update(layers=m["layers"] * 2),
    "no subject": lambda m: m.pop("subject"),
    "a size that is none": lambda m: m["config"].update(size=True),
    "a negative size": lambda m: m["config"].update(size=-1),
    "a huge size": lambda m: m["config"].update(size=2**40),
    "a digest that leaves the folder": lambda m: m["config"].update(digest="sha256:../../x"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_hostile_manifest_is_a_typed_error(
    case: str, registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    record = registry.push(files, subject=subject, image=IMAGE)
    manifest = json.loads((root / "blobs/sha256" / record.manifest.hex).read_bytes())
    BAD_MANIFESTS[case](manifest)
    descriptor = _put(root, manifest)
    _spoil(root, lambda index: index["manifests"][0].update(descriptor))
    with pytest.raises(ArtifactFormatError, match="manifest"):
        registry.pull(subject)


# Full disks, permissions, folders of others


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failing_disk_is_a_registry_error_and_keeps_the_old_model(
    call: str, code: int, registry: LayoutRegistry, root: Path, make_files: FilesMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    old, subject = make_files(1)
    new, _ = make_files(1, model={"new": True})
    real = getattr(os, call)
    for step in range(20):
        for path in (root / "blobs/sha256").glob("*"):
            _age(path)
        registry.push(old, subject=subject, image=IMAGE)
        seen = 0

        def failing(*args: Any, step: int = step) -> Any:
            nonlocal seen
            seen += 1
            if seen <= step:
                return real(*args)
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            failure = None
            try:
                registry.push(new, subject=subject, image=IMAGE)
            except RegistryError as error:
                failure = error
        if failure is None:
            break
        assert os.strerror(code) in failure.message
        assert failure.hint
        assert len(registry.list()) == 1
        # Where the index changed but may not be on the disk yet, the old blobs wait an hour.
        changed = registry.pull(subject) == new
        assert changed or registry.pull(subject) == old
        assert len(blobs(root)) == (5 if changed else 3)
    assert 4 <= step < 20
    assert registry.pull(subject) == new


def test_a_full_disk_leaves_the_old_model_and_says_so(
    registry: LayoutRegistry, make_files: FilesMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, subject = make_files(1)
    registry.push(old, subject=subject, image=IMAGE)

    def full(file: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RegistryError, match=r"No space left.*free some space; .* unchanged"):
            registry.push(make_files(1, model={"n": 1})[0], subject=subject, image=IMAGE)
    assert registry.pull(subject) == old


FILE_LIMIT = """
import resource, signal, sys
from pathlib import Path
from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.errors import RegistryError
from cnaf.models.registry_layout import LayoutRegistry
root, config, tensors, subject = sys.argv[1:]
files = ArtifactFiles(Path(config).read_bytes(), Path(tensors).read_bytes())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    LayoutRegistry(Path(root)).push(files, subject=Digest(subject), image="a")
except RegistryError as error:
    print(error)
"""


def test_a_write_that_the_system_cuts_off_keeps_the_old_model(
    registry: LayoutRegistry, root: Path, tmp_path: Path, make_files: FilesMaker
) -> None:
    old, subject = make_files(1)
    new, _ = make_files(1, model={"new": True})
    registry.push(old, subject=subject, image=IMAGE)
    names = blobs(root)
    (tmp_path / "config").write_bytes(new.config)
    (tmp_path / "tensors").write_bytes(new.tensors)
    arguments = [str(root), str(tmp_path / "config"), str(tmp_path / "tensors"), str(subject)]
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, *arguments],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
    )  # fmt: skip
    assert "cannot be written: File too large" in done.stdout
    assert blobs(root) == names
    assert registry.pull(subject) == old


def test_a_folder_without_permission_is_a_registry_error(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    new, _ = make_files(1, model={"new": True})
    user = os.geteuid()
    for path in (root, root / "blobs/sha256"):
        path.chmod(0o500)
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(RegistryError, match=r"Permission denied.*permissions"):
            registry.push(new, subject=subject, image=IMAGE)
    finally:
        os.seteuid(user)
        for path in (root, root / "blobs/sha256"):
            path.chmod(0o700)
    assert registry.pull(subject) == files


def test_a_file_in_the_place_of_the_folder_is_a_registry_error(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    root.write_text("a file")
    files, subject = make_files(1)
    with pytest.raises(RegistryError, match=r"Not a directory.*name a folder"):
        registry.push(files, subject=subject, image=IMAGE)
    with pytest.raises(RegistryError, match="Not a directory"):
        registry.list()


@pytest.mark.parametrize("name", ["holiday.jpg", "index.json"])
def test_a_folder_of_other_things_is_left_alone(
    name: str, registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    root.mkdir()
    (root / name).write_text("{}")
    files, subject = make_files(1)
    with pytest.raises(RegistryError, match="holds other files"):
        registry.push(files, subject=subject, image=IMAGE)
    with pytest.raises(RegistryError, match="holds other files"):
        registry.list()
    assert os.listdir(root) == [name]


def test_an_index_does_not_grow_without_bound(
    registry: LayoutRegistry, root: Path, make_files: FilesMaker
) -> None:
    files, subject = make_files(1)
    registry.push(files, subject=subject, image=IMAGE)
    layer = _put(root, "layer")
    _spoil(root, lambda index: index["manifests"].extend([layer] * 4095))
    other, other_subject = make_files(2)
    with pytest.raises(RegistryError, match=r"full.*cnaf models rm"):
        registry.push(other, subject=other_subject, image=IMAGE)
    registry.push(files, subject=subject, image=IMAGE)  # replacing needs no room
    assert [record.subject for record in registry.list()] == [subject]


# Crashes and other processes

PUSHER = """
import sys
from pathlib import Path
from cnaf.models.artifact import Artifact, pack, unpack
from cnaf.models.digest import Digest
from cnaf.models.registry_layout import LayoutRegistry

def files_of(number, mark):
    metadata = {
        "subject": f"sha256:{number:064x}", "image": "a", "created": "2024-05-01T12:00:00Z",
        "trainer": {"name": "t", "version": "1"}, "parent": None, "model": {"mark": mark},
        "corpus": {"hash": "h", "exchanges": 0, "sessions": 0},
    }
    return pack(Artifact(metadata, {})), Digest(metadata["subject"])
registry = LayoutRegistry(Path(sys.argv[1]))
"""

CRASHER = (
    PUSHER
    + """
import os
files, subject = files_of(1, "old")
new, _ = files_of(1, "new")
ends = []
for step in range(1, 100):
    registry.push(files, subject=subject, image="a")
    child = os.fork()
    if child == 0:
        left = step
        def dying(real):
            def call(*args, **kwargs):
                global left
                left -= 1
                if left == 0:
                    os._exit(9)
                return real(*args, **kwargs)
            return call
        for name in ("open", "write", "fsync", "replace", "unlink", "close"):
            setattr(os, name, dying(getattr(os, name)))
        registry.push(new, subject=subject, image="a")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    (record,) = registry.list()
    pulled = registry.pull(subject)
    unpack(pulled.config, pulled.tensors, expect=subject)
    assert pulled in (files, new)
    ends.append("new" if pulled == new else "old")
    if status == 0:
        break
print(" ".join(ends))
"""
)


def test_a_crash_at_any_system_call_leaves_one_whole_model(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHER, str(root)],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ends = done.stdout.split()
    assert 20 < len(ends) < 99
    # Old until the index changes, new from then on.
    assert ends == sorted(ends, reverse=True)
    assert {ends[0], ends[-1]} == {"old", "new"}
    assert len(blobs(root)) <= 6
    LayoutRegistry(root).remove(Digest(f"sha256:{1:064x}"))
    assert not [name for name in blobs(root) if name.startswith(".")]


WRITER = (
    PUSHER
    + """
from cnaf.models.errors import ModelNotFoundError
me = int(sys.argv[2])
for round in range(15):
    files, subject = files_of(me * 1000 + round, "own")
    registry.push(files, subject=subject, image=f"own:{me}")
    files, shared = files_of(7, f"{me} {round}")
    registry.push(files, subject=shared, image="shared")
    files, brief = files_of(me * 1000 + 500 + round, "brief")
    registry.push(files, subject=brief, image="brief")
    registry.remove(brief)
"""
)


def test_writers_in_several_processes_lose_nothing_and_readers_see_whole_models(
    registry: LayoutRegistry, root: Path
) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), str(me)], stderr=subprocess.PIPE, text=True
        )
        for me in (1, 2, 3)
    ]
    pulls = 0
    deadline = time.monotonic() + TIMEOUT_S
    try:
        while any(writer.poll() is None for writer in writers) and time.monotonic() < deadline:
            registry.list()
            try:
                files = registry.pull(Digest(f"sha256:{7:064x}"))
            except ModelNotFoundError:
                continue
            assert b'"mark":"' in files.config
            pulls += 1
    finally:
        for writer in writers:
            _, errors = writer.communicate(timeout=TIMEOUT_S)
            assert writer.returncode == 0, errors
    own = {me * 1000 + round for me in (1, 2, 3) for round in range(15)}
    assert {int(record.subject.hex, 16) for record in registry.list()} == own | {7}
    for record in registry.list():
        registry.pull(record.subject)
    assert pulls > 0
    # Each has its manifest and configuration; the empty tensors are shared by all.
    assert len(blobs(root)) == 2 * 46 + 1


def test_a_reader_begins_again_when_the_model_is_replaced_under_it(
    registry: LayoutRegistry, make_files: FilesMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, subject = make_files(1)
    new, _ = make_files(1, model={"new": True})
    registry.push(old, subject=subject, image=IMAGE)
    real = ImageLayout.read_blob
    reads = 0

    def meddling(self: ImageLayout, digest: Digest, cap: int) -> bytes | None:
        nonlocal reads
        reads += 1
        if reads == 2:  # between the manifest and the configuration
            registry.push(new, subject=subject, image=IMAGE)
        return real(self, digest, cap)

    monkeypatch.setattr(ImageLayout, "read_blob", meddling)
    assert registry.pull(subject) == new
