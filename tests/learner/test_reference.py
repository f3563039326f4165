"""The reference: the one that ships, its packing, and files that are none."""

from __future__ import annotations

import math
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.reference import (
    TAILS,
    Reference,
    ReferenceFiles,
    general_reference,
    pack_reference,
    packaged_reference,
    unpack_reference,
)
from cnaf.models.calibration import CATEGORIES, STEPS, Calibration, Tail, fit_tail
from cnaf.models.errors import ArtifactError, ArtifactFormatError
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES, surprise
from cnaf.models.prior import general_prior
from cnaf.models.scoring import TAIL_GROUP_COUNT
from cnaf.models.strict_json import JSON, canonical_json, parse_json
from cnaf.models.tensor_blob import write_tensors

from tests.support.shop import shop_fit

ROWS = TAILS + len(CATEGORIES)
NEVER = float(np.finfo(np.float32).max)


def small(seed: int = 0) -> Reference:
    random = np.random.default_rng(seed)
    rows = [fit_tail(random.exponential(1 + i / ROWS, size=50)) for i in range(ROWS)]
    return Reference(tuple(rows[:TAILS]), tuple(rows[TAILS:]))


def config_of(files: ReferenceFiles) -> dict[str, JSON]:
    config = parse_json(files.config)
    assert isinstance(config, dict)
    return config


def packed_arrays(**arrays: npt.NDArray[np.generic]) -> ReferenceFiles:
    """Files that are sound but for these arrays; one that is None is left out."""
    sound: dict[str, npt.NDArray[np.generic]] = {
        "points": np.zeros((ROWS, STEPS), np.float32),
        "slopes": np.ones(ROWS, np.float64),
    }
    chosen = {name: array for name, array in (sound | arrays).items() if array is not None}
    blob, tensors = write_tensors(chosen)
    config = config_of(pack_reference(small(), {}))
    return ReferenceFiles(canonical_json(config | {"tensors": tensors}), blob)


class TestShipped:
    def test_it_is_what_the_package_holds(self) -> None:
        reference = general_reference()
        assert reference is general_reference()
        again = unpack_reference(packaged_reference())
        for one, other in zip(rows_of(reference), rows_of(again), strict=True):
            assert one.slope == other.slope
            assert one.points.tobytes() == other.points.tobytes()
        assert len(packaged_reference().tensors) < 20_000

    def test_it_fits_the_prior_and_the_models_of_this_release(self) -> None:
        config, reference = config_of(packaged_reference()), general_reference()
        assert config["prior"] == general_prior().digest
        assert len(reference.tails) == len(shop_fit().model.tail_points) == TAILS
        news = len(NOVELTIES) + 1 + len(CHANNELS)
        assert TAIL_GROUP_COUNT * len(MEASURES) + news == TAILS
        assert len(reference.scores) == len(CATEGORIES)
        for tail in rows_of(reference):
            assert tail.points.shape == (STEPS,)
            assert tail.points.dtype == np.float32

    def test_it_says_what_it_was_made_from(self) -> None:
        sources = config_of(packaged_reference())["sources"]
        assert isinstance(sources, dict)
        assert {"corpus", "exchanges", "small corpora"} <= sources.keys()

    def test_packing_it_again_gives_the_same_bytes(self) -> None:
        files = packaged_reference()
        sources = config_of(files)["sources"]
        assert isinstance(sources, dict)
        assert pack_reference(general_reference(), sources) == files

    def test_its_tails_rest_on_enough_to_tell_one_in_a_hundred(self) -> None:
        for tail in rows_of(general_reference()):
            known = tail.points[np.isfinite(tail.points)]
            assert len(known) > 20
            assert (np.diff(known) >= 0).all()
            assert 0 < tail.slope <= 10 / math.log(10) + 1e-6
            # Whatever is odder than all of it is rarer than all of it.
            assert surprise(known[-1] + 5.0, *tail) > 2.0

    def test_alone_it_sets_thresholds_that_attacks_reach(self) -> None:
        for tail in general_reference().scores:
            nothing = Calibration(np.zeros(0, np.float32), np.zeros(0, np.int32), 0, tail)
            thresholds = [nothing.threshold(rate) for rate in (0.1, 0.05, 0.01, 0.005, 0.001)]
            assert thresholds == sorted(thresholds)
            assert thresholds[0] > 0
            assert thresholds[-1] < 4.5


class TestFiles:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_what_is_packed_comes_back(self, seed: int) -> None:
        made = small(seed)
        assert not np.isfinite([tail.points for tail in made.tails]).all()
        again = unpack_reference(pack_reference(made, {"a": "1", "b": 2}))
        assert len(again.tails) == TAILS
        for one, other in zip(rows_of(made), rows_of(again), strict=True):
            assert one.slope == other.slope
            # What a step does not know stays unknown.
            assert one.points.tolist() == other.points.tolist()
            assert other.points.dtype == np.float32

    def test_equal_contents_give_equal_bytes(self) -> None:
        made = [pack_reference(small(1), {"a": 1}), pack_reference(small(1), {"a": 1})]
        assert made[0] == made[1]
        assert pack_reference(small(2), {"a": 1}) != made[0]
        assert pack_reference(small(1), {"a": 2}) != made[0]

    def test_its_description_is_canonical_and_names_its_tensors(self) -> None:
        files = pack_reference(small(), {"b": 2, "a": 1})
        config = config_of(files)
        assert canonical_json(config) == files.config
        points = np.stack([tail.points for tail in rows_of(unpack_reference(files))])
        written = np.minimum(points, np.finfo(np.float32).max)
        tensors = config["tensors"]
        assert isinstance(tensors, dict)
        assert tensors["points"] == {
            "dtype": "f4", "shape": [ROWS, STEPS], "sha256": sha256(written.tobytes()).hexdigest(),
        }  # fmt: skip

    def test_a_flipped_bit_of_the_tensors_is_refused(self) -> None:
        files = pack_reference(small(), {})
        for at in range(0, len(files.tensors), max(1, len(files.tensors) // 150)):
            spoilt = bytearray(files.tensors)
            spoilt[at] ^= 0x10
            with pytest.raises(ArtifactFormatError):
                unpack_reference(ReferenceFiles(files.config, bytes(spoilt)))

    def test_a_flipped_bit_of_the_description_changes_no_number(self) -> None:
        """Sources are told to people; everything else is checked."""
        files = pack_reference(small(), {"corpus": "0" * 64})
        whole = unpack_reference(files)
        for at in range(0, len(files.config), 3):
            changed = bytearray(files.config)
            changed[at] ^= 0x01
            try:
                found = unpack_reference(ReferenceFiles(bytes(changed), files.tensors))
            except ArtifactError:
                continue
            for one, other in zip(rows_of(whole), rows_of(found), strict=True):
                assert one.slope == other.slope
                assert one.points.tobytes() == other.points.tobytes()

    @pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
    def test_truncated_files_are_refused(self, share: float) -> None:
        files = pack_reference(small(), {})
        for config, tensors in ((share, 1), (1, share)):
            cut = ReferenceFiles(
                files.config[: int(len(files.config) * config)],
                files.tensors[: int(len(files.tensors) * tensors)],
            )
            with pytest.raises(ArtifactFormatError):
                unpack_reference(cut)

    @pytest.mark.parametrize(
        ("entries", "why"),
        [
            ({"format": "cnaf.prior"}, "it is no reference"),
            ({"format": None}, "it is no reference"),
            ({"version": 2}, "its version is unknown"),
            ({"version": None}, "its version is unknown"),
            ({"prior": "0" * 64}, "made with another prior"),
            ({"prior": None}, "made with another prior"),
            ({"tensors": None}, None),
            ({"tensors": {}}, None),
            ({"tensors": {"points": {}}}, None),
        ],
    )
    def test_a_description_that_is_none_is_refused(
        self, entries: dict[str, JSON], why: str | None
    ) -> None:
        files = pack_reference(small(), {})
        config = config_of(files)
        for wrong in (config | entries, {k: v for k, v in config.items() if k not in entries}):
            with pytest.raises(ArtifactFormatError, match=why) as caught:
                unpack_reference(ReferenceFiles(canonical_json(wrong), files.tensors))
            assert caught.value.hint

    @pytest.mark.parametrize("config", [b"", b"[]", b"null", b"{", b"\xff", b'{"format":1}'])
    def test_what_is_no_description_is_refused(self, config: bytes) -> None:
        with pytest.raises(ArtifactFormatError):
            unpack_reference(ReferenceFiles(config, pack_reference(small(), {}).tensors))

    @pytest.mark.parametrize(
        ("part", "array", "why"),
        [
            ("points", None, "the array points is missing"),
            ("slopes", None, "the array slopes is missing"),
            ("points", np.zeros((ROWS - 1, STEPS), np.float32), "points do not fit"),
            ("points", np.zeros((ROWS + 1, STEPS), np.float32), "points do not fit"),
            ("points", np.zeros((ROWS, STEPS - 1), np.float32), "points do not fit"),
            ("points", np.zeros(ROWS * STEPS, np.float32), "points do not fit"),
            ("points", np.zeros((), np.float32), "points do not fit"),
            ("points", np.zeros((ROWS, STEPS), np.float64), "points do not fit"),
            ("points", np.zeros((ROWS, STEPS), np.int32), "points do not fit"),
            ("slopes", np.ones(ROWS - 1), "slopes do not fit"),
            ("slopes", np.ones((ROWS, 1)), "slopes do not fit"),
            ("slopes", np.ones(ROWS, np.float32), "slopes do not fit"),
            ("slopes", np.zeros(ROWS), "no tails"),
            ("slopes", -np.ones(ROWS), "no tails"),
            ("points", -np.arange(ROWS * STEPS).reshape(ROWS, STEPS).astype(np.float32), "no tail"),
            ("points", np.full((ROWS, STEPS), np.nan, np.float32), None),
            ("points", np.full((ROWS, STEPS), np.inf, np.float32), None),
            ("slopes", np.full(ROWS, np.nan), None),
            ("slopes", np.full(ROWS, np.inf), None),
        ],
    )
    def test_arrays_that_are_no_tails_are_refused(
        self, part: str, array: npt.NDArray[np.generic] | None, why: str | None
    ) -> None:
        assert len(unpack_reference(packed_arrays()).tails) == TAILS
        with pytest.raises(ArtifactFormatError, match=why):
            unpack_reference(packed_arrays(**{part: array}))  # type: ignore[arg-type]

    def test_one_step_that_falls_in_one_row_is_refused(self) -> None:
        points = np.tile(np.arange(STEPS, dtype=np.float32), (ROWS, 1))
        assert unpack_reference(packed_arrays(points=points)).scores
        points[-1, -1] = points[-1, -2] - 1
        with pytest.raises(ArtifactFormatError, match="no tails"):
            unpack_reference(packed_arrays(points=points))

    def test_the_greatest_number_stands_for_a_step_that_nothing_showed(self) -> None:
        points = np.zeros((ROWS, STEPS), np.float32)
        points[:, 30:] = NEVER
        for tail in rows_of(unpack_reference(packed_arrays(points=points))):
            assert np.isfinite(tail.points[:30]).all()
            assert np.isinf(tail.points[30:]).all()


def rows_of(reference: Reference) -> tuple[Tail, ...]:
    return (*reference.tails, *reference.scores)
