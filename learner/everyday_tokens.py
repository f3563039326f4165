"""Values that machines write: numbers, dates, ids, hashes, tokens, versions, colours, agents."""

# ruff: noqa: RUF001 - other scripts and typographic marks are the point here

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import partial

from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_words import english_word

__all__ = ["TOKEN_RULES"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _LETTERS + _LETTERS.upper() + "0123456789"
_EPOCH = datetime(1950, 1, 1, tzinfo=UTC)
_RECENT = datetime(2012, 1, 1, tzinfo=UTC)
#: As apps, browsers and people write a moment.
_DATE_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d",
    "%B %d, %Y", "%d %b %Y", "%b %d", "%A, %d %B %Y", "%a %d %b", "%m/%y", "%Y-%m", "%Y-W%W", "%Y",
    "%d. %B %Y",
)  # fmt: skip
_TIME_FORMATS = (
    "%H:%M", "%H:%M:%S", "%I:%M %p", "%H:%M:%S.%f", "%H.%M Uhr", "%Hh%M", "%I %p",
)  # fmt: skip
_MOMENT_FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S+02:00", "%a, %d %b %Y %H:%M:%S GMT", "%d.%m.%Y, %H:%M", "%Y%m%dT%H%M%SZ",
    "%m/%d/%Y %I:%M %p", "%a %b %d %Y %H:%M:%S GMT+0100 (CET)", "%Y-%m-%d %H:%M:%S.%f",
    "%d/%b/%Y:%H:%M:%S +0000",
)  # fmt: skip
#: Specials of a strong password, quotes and angle brackets less often than its sisters.
_SPECIALS = "!!@@##$$%%^&&**--__++==??..::,,;/()[]{}~|<>'\"`\\ "


def _from(draw: Draw, alphabet: str, low: int, high: int) -> str:
    return "".join(draw.random.choices(alphabet, k=draw.random.randint(low, high)))


def _moment(draw: Draw, formats: tuple[str, ...]) -> str:
    start, days = (_RECENT, 7_000) if draw.often(0.7) else (_EPOCH, 30_000)
    when = start + timedelta(days=draw.random.random() * days)
    return when.strftime(draw.one(formats))


def _hash(draw: Draw) -> str:
    if draw.often(0.06):
        salted = draw.one(("$P$B", "$2y$10$", "$2b$12$", "$1$", "$5$rounds=5000$", "$6$"))
        return salted + _from(draw, _ALNUM + "./", 30, 53)
    size = draw.one((4, 8, 16, 16, 20, 20, 32, 32, 64))
    text = draw.random.randbytes(size).hex()
    return text.upper() if draw.often(0.1) else text


def _uuid(draw: Draw) -> str:
    text = draw.random.randbytes(16).hex()
    text = f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
    text = text.upper() if draw.often(0.1) else text
    return f"{{{text}}}" if draw.often(0.03) else text


def _base64(draw: Draw) -> str:
    data = draw.random.randbytes(draw.count(6, 160))
    encode = base64.urlsafe_b64encode if draw.often(0.5) else base64.b64encode
    text = encode(data).decode("ascii")
    return text.rstrip("=") if draw.often(0.4) else text


def _jwt(draw: Draw) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")

    header = part(draw.fill('{"alg":"«HS256|RS256|ES256»","typ":"JWT"}'))
    claims = part(draw.fill('{"sub":"«1..99999»","name":"«name»","iat":16«########»}'))
    signature = base64.urlsafe_b64encode(draw.random.randbytes(32)).decode("ascii").rstrip("=")
    return f"{'Bearer ' if draw.often(0.2) else ''}{header}.{claims}.{signature}"


def _token(draw: Draw) -> str:
    prefix = draw.one(("", "", "", "", "tok_", "sk_test_", "pk-", "cus_", "GA1.2.", "s:", "v1."))
    return prefix + _from(draw, _ALNUM + "_-", 8, 64)


def _password(draw: Draw) -> str:
    """Half as a person makes them, half as a password manager does."""
    word = partial(english_word, draw)
    if draw.often(0.5):
        letters = word().title() if draw.often(0.7) else word()
        tail = _from(draw, _SPECIALS, 1, 2) if draw.often(0.6) else ""
        return draw.one((letters + draw.fill("«1..9999»") + tail, tail + letters + tail))
    if draw.often(0.15):
        return draw.one("-_ .+").join(word() for _ in range(draw.random.randint(3, 5)))
    alphabet = _ALNUM + _SPECIALS * draw.one((0, 0, 1, 1))
    return _from(draw, alphabet, 8, 24)


def _number(draw: Draw) -> str:
    digits = draw.count(1, 12)
    whole = str(draw.random.randrange(10**digits))
    return draw.fill(
        draw.one(("", "", "", "-", "+")) + whole + draw.one(("", "", "", ".«#»", ".«##»"))
    )


def _coordinates(draw: Draw) -> str:
    latitude, longitude = draw.random.uniform(-90, 90), draw.random.uniform(-180, 180)
    places = draw.one((2, 4, 5, 6, 14))
    separator = draw.one((",", ", ", " ", ";"))
    return f"{latitude:.{places}f}{separator}{longitude:.{places}f}"


def _ip(draw: Draw) -> str:
    if draw.often(0.3):
        return ":".join(f"{draw.random.randrange(65536):x}" for _ in range(8))
    start = draw.one(("192.168.", "10.", "«11..99».", "«130..191».«16..254».", "«193..223»."))
    address = draw.fill(start)
    while address.count(".") < 4:
        address += draw.fill("«0..255».")
    return address[:-1] + draw.one(("", "", "", "", draw.fill(":«1024..65535»")))


TOKEN_RULES: Rules = {
    "date": lambda draw: _moment(draw, _DATE_FORMATS),
    "time": lambda draw: _moment(draw, _TIME_FORMATS),
    "moment": lambda draw: _moment(draw, _MOMENT_FORMATS),
    "timestamp": ("1«#########»", "1«############»", "1«#########».«######»"),
    "span": (
        "«date» - «date»", "«date» to «date»", "«date»/«date»", "«moment»/«moment»",
        "«time»-«time»", "Mo-Fr «time»-«time»; Sa 10:00-14:00", "Mon, Wed & Fri «time»",
        "«time» – «time»", "«1..99» days ago", "in «2..9» weeks", "last 30 days",
        "«1..12»h «1..59»m", "«0..2»«0..9»:«10..59»:«10..59»,«###»", "PT«1..12»H«1..59»M",
        "P«1..9»D", "«1..59» min.", "yesterday, «time»", "next Tuesday at «time»",
        "Q«1..4» 20«10..29»", "20«10..26»/«10..27»", "ca. 18«10..99»", "c. 19«10..99»–«10..99»",
        "'«10..99»", "1 Jan '«10..25»", "every 2nd Monday", "24/7", "now-«1..24»h", "<«date»",
        ">=«date»", "[«date» TO «date»]", "«date»,«date»", "«10..23»:«10..59» (UTC+«1..9»)",
    ),
    "number": _number,
    "hash": _hash,
    "uuid": _uuid,
    "base64": _base64,
    "jwt": _jwt,
    "token": _token,
    "password": _password,
    "coordinates": _coordinates,
    "ip": _ip,
    "hex6": lambda draw: draw.random.randbytes(3).hex(),
    "hex8": lambda draw: draw.random.randbytes(4).hex(),
    "hex16": lambda draw: draw.random.randbytes(8).hex(),
    "code8": lambda draw: _from(draw, _LETTERS.upper() + "0123456789", 4, 8),
    "capitals": lambda draw: _from(draw, _LETTERS.upper(), 2, 4),
    "alnum": lambda draw: _from(draw, _ALNUM, 6, 22),
    "version": (
        "«0..30».«0..20»", "«0..30».«0..20».«0..40»", "v«0..9».«0..20».«0..9»", "«0..9».«x|*»",
        "^«0..9».«0..20».«0..9»", "~«0..9».«0..20»", ">=«2..3».«0..12»",
        "«1..4».«0..9».«0..9»-«alpha|beta|rc».«1..9»", "«1..9».«0..9».«0..9»+build.«1..9999»",
        "20«10..29».«1..12».«1..28»", "r«####»", "latest", "stable", "«1..9»_«0..9»_«0..9»",
        "«1..9».«0..9».«0..9».«####»",
    ),
    "colour": (
        "#«hex6»", "#«hex6»", "#«###»", "«hex6»", "rgb(«0..255», «0..255», «0..255»)",
        "rgba(«0..255»,«0..255»,«0..255»,0.«1..9»)", "hsl(«0..360», «0..100»%, «0..100»%)",
        "«lightgray|dark-blue|transparent|currentColor|red|white|inherit»", "var(--«slug»)",
        "#«hex8»", "hsla(«0..360»,«0..100»%,«0..100»%,.«1..9»)",
    ),
    "id": (
        "«1..99»", "«1..99999»", "«word»-«1..999»", "«capitals»-«1..99999»", "«word»:«1..9999»",
        "«word»_«alnum»", "«word»-«1..999»:«word»", "urn:«word»:«word»:«1..9999»",
        "urn:isbn:978«##########»", "urn:uuid:«uuid»", "arn:aws:s3:::«slug»/«word»",
        "arn:aws:iam::«############»:role/«slug»", "«hex8»«hex16»", "«hex16»", "«alnum»",
        "#«1..9999»", "«word»/«word»#«1..999»", "«word»@«1..9»", "«word».«word».«1..99»",
        "«capitals»«####»/«##»", "gid://«word»/«Order|User|Product»/«1..99999»", "did:web:«domain»",
        "tag:«domain»,20«10..25»:«word»", "«capitals»«code8»", "post-«1..999»",
        "«word»_«1..999»_«word»", "«1..9999»-«slug»", "block-«uuid»", "«uuid».«hash»",
        "T«####»/«##»",
    ),
    "money": (
        "$«1..999».«##»", "$«1..99»,«###».«##»", "«1..999» €", "«1..999»,«##» €", "€«1..9999»",
        "£«1..99».«##»", "USD «1..999».00", "«1..999».«##»", "«1..9».«###»,«##»", "¥«1..99»,«###»",
        "«1..9999» руб.", "CHF «1..999».—", "-$«1..99».«##»", "₹«1..99»,«###»", "«1..999» kr",
        "R$ «1..99»,«##»", "$«1..9»k", "$«1..9».«#»M", "$«10..49»–$«50..99»", "«1..99»¢",
        "(«1..999».«##»)", "«1..999» zł", "US$«1..999»",
    ),
    "measure": (
        "«4..6»'«0..11»\"", "«3..30»\" vinyl", "«1..99» cm", "«1..99» x «1..99» mm",
        "«1..99»×«1..99»×«1..9» cm", "«1..99».«#» kg", "«1..40» °C", "«1..100»%", "«1..100» %",
        "±«0..9».«#» %", "«1..9» 1/2 cups", "1/«2..8» tsp", "«1..200» km/h", "«1..99» m²",
        "«1..999»px", "«1..9».«#»em", "«1..9»fr", "«1..100»vh", "«100..4000»x«100..3000»",
        "«1..64» GB", "«1..900» MB/s", "«1..9»-«10..20» days", "< «1..99» min", "> «1..99» kg",
        "~«1..99» miles", "«1..9»:«1..9»", "«16|4»:«9|3»", "«1..12» oz.", "EU «36..47»", "«1..9»+",
        "«1..99» µg/m³", "«1..9»\" x «1..9»\"", "calc(«50|100»% - «1..99»px)",
    ),
    "flag": (
        "on", "off", "true", "false", "True", "False", "yes", "no", "Yes", "No", "y", "n", "null",
        "undefined", "NULL", "None", "nil", '""', "''", "N/A", "n/a", "-1", "-", "--", "0", "1",
        "[]", "{}", "*", "all", "any", "none", "default", "auto", "inherit", "NaN", "?", ".", "...",
        "✓", "\u2713", "x", "X", "asc", "desc", "checked", "disabled", "[object Object]", "open",
        "closed", "enabled", "(none)", "- Select -", "other",
    ),
    "isbn": (
        "978-«#»-«####»-«####»-«#»", "978«##########»", "«#########»X",
        "ISBN «#»-«###»-«#####»-«#»", "ISSN «####»-«####»", "10.«####»/«word».«####».«##»",
        "doi:10.«####»/s«#####»-0«##»-«####»-«#»",
    ),
    "licence_key": (
        "«code8»-«code8»-«code8»-«code8»", "«hex8»-«hex8»-«hex8»",
        "«capitals»«##»-«capitals»-«####»",
    ),
    "chemical": (
        "H2O", "C«1..30»H«2..60»O«1..9»", "Na+ / Cl-", "2,4-dinitrophenol",
        "«1..4»-methyl-«1..4»-propanol", "N,N-dimethylformamide", "(2R,3S)-«2..4»-aminobutane",
        "Fe2(SO4)3", "α-D-glucose", "[Cu(NH3)4]2+", "CH3-CH2-OH", "L-(+)-tartaric acid",
        "C1=CC=CC=C1", "CC(=O)OC1=CC=CC=C1C(=O)O",
    ),
    "dna": lambda draw: _from(draw, "ACGT", 8, 60),
    "plate": (
        "«capitals» «###»", "«capitals»-«capitals» «1..9999»", "«capitals»«##» «capitals»",
        "«#»«capitals»«###»",
    ),
    "cron": (
        "*/«5|10|15» * * * *", "0 «0..23» * * «0..6»", "«0..59» «0..23» «1..28» * *",
        "@«daily|weekly|hourly»", "0 0 «1|15» * 1-5", "0 «9..18»/2 * * MON-FRI",
    ),
}  # fmt: skip
