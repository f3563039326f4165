"""Digests and references: what they spell, and what is refused."""

from __future__ import annotations

import pytest
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


def test_a_digest_spells_itself() -> None:
    digest = Digest.parse(DIGEST)
    assert (str(digest), digest.hex, digest.short) == (DIGEST, HEX, "sha256:0123456789ab")


@pytest.mark.parametrize(
    "text",
    ["", HEX, "sha256:", f"sha256:{HEX[1:]}", f"sha256:{HEX}0", f"sha256:{HEX.upper()}",
     f"sha512:{HEX}", f"{DIGEST}\n", f" {DIGEST}", "sha256:../" + HEX[3:], "\u0660" * 71],
)  # fmt: skip
def test_other_digests_are_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        Digest.parse(text)


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("wordpress", "wordpress", "latest", None),
        ("wordpress:6.1-php8.1", "wordpress", "6.1-php8.1", None),
        ("library/wordpress", "library/wordpress", "latest", None),
        ("localhost:5000/shop/web", "localhost:5000/shop/web", "latest", None),
        ("ghcr.io/a-b/c__d.e:V1", "ghcr.io/a-b/c__d.e", "V1", None),
        (f"shop@{DIGEST}", "shop", None, DIGEST),
        (f"r.io:443/shop:1@{DIGEST}", "r.io:443/shop", "1", DIGEST),
        (DIGEST, "", None, DIGEST),
    ],
)
def test_references(text: str, repository: str, tag: str | None, digest: str | None) -> None:
    reference = ImageReference.parse(text)
    assert (reference.repository, reference.tag) == (repository, tag)
    assert str(reference.digest) == str(digest)
    assert ImageReference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    ["", " ", "Shop", "shop:", "shop@", "shop:tag@", "shop:-1", "shop:a b", "-shop", "shop/",
     "/shop", "a//b", "../etc", "a/../../etc", "../x/y", "./x", "a..b", "a/.b", "shop:1:2",
     "shop\n", "shop@sha256:12", "caf\u00e9", "\u0661", "-.io/shop", "http://shop", "a" * 513],
)  # fmt: skip
def test_other_references_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        ImageReference.parse(text)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab1:/@.-_A\n", max_size=20))
def test_a_reference_that_parses_spells_itself_and_leads_nowhere_else(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InputError:
        return
    assert ImageReference.parse(str(reference)) == reference
    assert not {"", ".", ".."} & set(reference.repository.split("/"))
