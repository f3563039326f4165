"""A small synthetic shop and its seeded traffic: every kind of value that applications take."""

from __future__ import annotations

import random
from datetime import date, timedelta
from functools import cache
from urllib.parse import quote_plus, urlencode
from uuid import UUID

import orjson
from cnaf.learner.fit import FitOptions, FitResult, fit
from cnaf.learner.samples import Samples, collect
from cnaf.models.exchange import Exchange, Label, Request, Response

OPTIONS = FitOptions(folds=5, trees=30, seed=3)
FORM = b"application/x-www-form-urlencoded"
_WORDS = """
    red green blue small large warm woollen linen cotton silk jacket shirt scarf hat glove shoe
    summer winter quick brown fox lazy dog quality price really nice would buy again for my
    sister and the delivery came early but the colour was not as shown thank you
    """.split()  # noqa: SIM905 - one literal a word would be a page


def request(
    method: str = "GET",
    target: str = "/",
    body: bytes = b"",
    content_type: bytes = FORM,
    *headers: tuple[bytes, bytes],
) -> Request:
    """A request to the shop, with a content type where it has a body."""
    typed = ((b"content-type", content_type),) if body else ()
    return Request(
        method,
        target.encode("utf-8"),
        ((b"host", b"shop.test"), (b"user-agent", b"test/1.0"), *typed, *headers),
        body,
        len(body),
    )


class Shopper:
    """One visitor's session: each method makes a benign request."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._cookie = (b"cookie", b"session=" + self._hex(32).encode())

    def visit(self) -> list[Request]:
        """A session of about twenty requests."""
        steps = (
            self.home, self.listing, self.listing, self.product, self.product, self.search,
            self.search, self.order, self.script, self.login, self.cart, self.cart, self.review,
            self.profile,
        )  # fmt: skip
        chosen = self._random.choices(steps, k=self._random.randint(14, 26))
        return [step() for step in chosen]

    def home(self) -> Request:
        return self._get("/")

    def listing(self) -> Request:
        sort = self._random.choice(("price", "name", "newest"))
        return self._get(f"/products?page={self._random.randint(1, 60)}&sort={sort}")

    def product(self) -> Request:
        return self._get(f"/products/{self._random.randint(1, 4000)}")

    def search(self) -> Request:
        return self._get(f"/search?q={quote_plus(self._text(1, 4))}")

    def order(self) -> Request:
        return self._get(f"/orders/{UUID(int=self._random.getrandbits(128))}")

    def script(self) -> Request:
        return self._get(f"/static/app.js?v={self._random.randint(1, 9)}.{self._digits(1)}")

    def login(self) -> Request:
        user = f"{self._word()}.{self._word()}{self._digits(2)}@example.org"
        return self._post("/login", urlencode({"email": user, "password": self._hex(10)}).encode())

    def cart(self) -> Request:
        items = [
            {"sku": f"{self._word()}-{self._digits(3)}", "count": self._random.randint(1, 9)}
            for _ in range(self._random.randint(1, 3))
        ]
        body = orjson.dumps({"items": items, "gift": self._random.random() < 0.5})
        return self._post("/api/cart", body, b"application/json")

    def review(self) -> Request:
        html = f"<p>{self._text(8, 30)}</p>\n<p><em>{self._text(2, 5)}</em>.</p>"
        form = {"rating": str(self._random.randint(1, 5)), "title": self._text(2, 6), "text": html}
        return self._post("/reviews", urlencode(form).encode())

    def profile(self) -> Request:
        born = date(1950, 1, 1) + timedelta(days=self._random.randint(0, 20_000))
        parts = [("name", self._text(2, 2).title()), ("born", born.isoformat())]
        lines = [
            f'--XyZ\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parts
        ]
        body = "".join(lines) + "--XyZ--\r\n"
        return self._post("/profile", body.encode(), b"multipart/form-data; boundary=XyZ")

    def _get(self, target: str) -> Request:
        return request("GET", target, b"", b"", self._cookie)

    def _post(self, target: str, body: bytes, content_type: bytes = FORM) -> Request:
        return request("POST", target, body, content_type, self._cookie)

    def _word(self) -> str:
        return self._random.choice(_WORDS)

    def _text(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=self._random.randint(least, most)))

    def _digits(self, count: int) -> str:
        return "".join(self._random.choices("0123456789", k=count))

    def _hex(self, count: int) -> str:
        return "".join(self._random.choices("0123456789abcdef", k=count))


def exchanges_of(requests: list[Request], session: str) -> list[Exchange]:
    """Benign exchanges of one session."""
    return [
        Exchange(f"{session}-{i}", session, Label.BENIGN, made, Response(200))
        for i, made in enumerate(requests)
    ]


@cache
def shop_traffic(sessions: int = 40, seed: int = 0) -> tuple[Exchange, ...]:
    """The traffic of several sessions, alike for equal arguments."""
    return tuple(
        exchange
        for number in range(sessions)
        for exchange in exchanges_of(Shopper(seed * 100_000 + number).visit(), f"s{number}")
    )


@cache
def shop_samples() -> Samples:
    """The shop's training samples."""
    return collect(shop_traffic(), folds=OPTIONS.folds, seed=OPTIONS.seed)


@cache
def shop_fit() -> FitResult:
    """The shop's model, learned once a process."""
    return fit(shop_samples(), OPTIONS, lambda _stage, _done, _total: None)
