"""What a model of some sixty to two hundred requests is worth, by itself.

So few requests show no tail of their own; what they lean on must neither stop visitors nor let
plain injections through. Nothing here was tuned on the shop, and no rule has a say.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.evaluation.trials import learn_model
from cnaf.models.calibration import CATEGORIES
from cnaf.models.exchange import Request
from cnaf.models.request_model import RequestModel
from cnaf.models.verdict import Action

from tests.support.shop import request, shop_traffic

TARGET = 0.01
SIZES = (60, 100, 200)
SQL = (
    "1' OR '1'='1", "1 UNION SELECT user, password FROM users", "x'; DROP TABLE users; --",
    "1) AND SLEEP(5)-- -", "' or sleep(5)='",
)  # fmt: skip
XSS = (
    "<script>alert(document.cookie)</script>", "<svg/onload=alert(1)>",
    '"><img src=x onerror=alert(1)>', "javascript:alert(document.domain)//",
)  # fmt: skip
#: Fields that take a number, a word, an identifier or a version.
PLAIN = (
    "/products?page={}&sort=name",
    "/products?page=1&sort={}",
    "/products/{}",
    "/static/app.js?v={}",
)
TEXT = ("/search?q={}",)


def in_target(place: str, payload: str) -> Request:
    return request(target=place.format(quote(payload)))


def in_form(name: str, payload: str) -> Request:
    """The payload in one field of a form that the shop knows, ordinary values in the others."""
    if name == "email":
        return request("POST", "/login", urlencode({name: payload, "password": "01ab"}).encode())
    form = {"rating": "3", "title": "nice", "text": "<p>red hat</p>", name: payload}
    return request("POST", "/reviews", urlencode(form).encode())


@cache
def learned(size: int, seed: int) -> RequestModel:
    """A model of so many requests."""
    return learn_model(shop_traffic(12, seed=seed)[:size], TARGET)[0]


def alone(size: int, seed: int) -> Inspector:
    """Blocks by such a model, without rules."""
    return Inspector(Policy(target_fpr=TARGET, signatures=False), None, learned(size, seed))


def blocked(inspector: Inspector, made: list[Request]) -> float:
    return float(np.mean([inspector.inspect(one).action is Action.BLOCK for one in made]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [1, 2])
def test_visitors_of_other_days_are_served(size: int, seed: int) -> None:
    for other in (21, 22):
        visits = [e.request for e in shop_traffic(30, seed=other)]
        assert len(visits) > 550
        assert blocked(alone(size, seed), visits) <= TARGET


@pytest.mark.parametrize("payloads", [SQL, XSS], ids=["sql", "xss"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [1, 2])
def test_injections_into_plain_fields_are_blocked(
    size: int, seed: int, payloads: tuple[str, ...]
) -> None:
    plain = [in_target(place, payload) for place in PLAIN for payload in payloads]
    assert blocked(alone(size, seed), plain) == 1.0
    text = [in_target(place, payload) for place in TEXT for payload in payloads]
    assert blocked(alone(size, seed), text) >= 0.75


@pytest.mark.parametrize(("size", "least"), [(60, 0.4), (100, 0.7), (200, 0.9)])
@pytest.mark.parametrize("seed", [1, 2])
def test_more_requests_find_more_of_what_bodies_carry(size: int, seed: int, least: float) -> None:
    made = [in_form(name, p) for name in ("email", "rating", "title") for p in SQL + XSS]
    assert blocked(alone(size, seed), made) >= least


@pytest.mark.parametrize("size", SIZES)
def test_a_model_says_on_how_little_it_rests(size: int) -> None:
    model = learned(size, 1)
    assert model.calibration.total <= size
    # Not one request of this kind was seen, and still it has a threshold.
    assert min(category.total for category in model.calibration.categories) == 0
    for rate in (TARGET, 0.001):
        thresholds = model.calibration.thresholds(rate)
        assert len(thresholds) == len(CATEGORIES)
        assert all(0 < threshold < 4.5 for threshold in thresholds)
