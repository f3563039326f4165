"""Values about people and firms: names, addresses, telephone numbers, mail addresses, accounts."""

# ruff: noqa: RUF001 - other scripts and typographic marks are the point here

from __future__ import annotations

import re
import unicodedata

from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_words import english_word

__all__ = ["PEOPLE_RULES"]

_NO_ACCOUNT = re.compile(r"[^a-z0-9]")
#: Shapes of names that lists of common names leave out: apostrophes, hyphens, particles, initials.
_NAMES = (
    "«Seán|Mary|Conor|Aoife» O'«Connor|Brien|Neill|Reilly|Sullivan|Shea|Dwyer|Leary|Hara»",
    "«first» «D'Angelo|D'Souza|D'Amico|Dell'Acqua|Dall'Oglio|L'Hôpital|N'Diaye|M'Bala|Van 't Hoff»",
    "«first» «last»-«last»", "«first»-«first» «last»", "«first» «A|B|C|D|J|K|M|R». «last»",
    "«first» «van der|van|de la|von|di|ter|bin|al|el-|Mac|St.|dos» «last»", "«last», «first»",
    "Dr. «first» «last»", "«Mr|Mrs|Ms|Mx|Prof|Rev». «last»",
    "«first» «last» «Jr.|Sr.|III|PhD|M.D.|, MBA|(she/her)»", "«first» \"«word»\" «last»",
    "«first» «last» & «first» «last»", "«first» and «first» «last»", "«first» («first») «last»",
    "«first» «last» / «last»", "«J|R|T».«J|R|K». «last»",
    "«Siobhán|Zoë|Renée|Åsa|Łukasz|Þór|Nuño|Jürgen|Chloë|İbrahim» «last»", "X Æ A-«1..20»",
    "the «last»s'", "«last» et al.", "«first»'s «word»",
)  # fmt: skip

_COMPANIES = (
    "«firm»", "«firm»", "«firm»", "«last» & Sons", "«last» & «last»",
    "«last», «last» & «last» «LLP|LLC|Inc.|Ltd.»", "«last»'s «Diner|Books|Garage|Bakery»", "AT&T",
    "H&M", "«last» GmbH & Co. KG", "«last» S.A.", "«last» (Pty) Ltd", "«last»+«last»",
    "«word».«io|ai|com|app»", "«last» Bros.", "Toys \"R\" Us", "Yahoo!", "Ben & Jerry's",
    "«last» A/S", "«last» s.r.o.", "«last» Sp. z o.o.", "«firm» (formerly «firm»)", "ООО «last»",
    "株式会社«last»", "«word»™", "«last»® Group", "«last» | «word»", "E*Trade",
)  # fmt: skip
_PHONES = (
    "+«1..99» «###» «#######»", "(«###») «###»-«####»", "«###»-«###»-«####»", "0«###»/«######»",
    "+1.«###».«###».«####»", "+«10..99»«##########»", "«###»-«####» ext. «1..999»",
    "00«10..99» «##» «####» «####»", "tel:+«10..99»«#########»", "«###» «###» «####» x«###»",
    "+44 (0)20 «####» «####»",
)  # fmt: skip
_EMAILS = (
    *("«mailbox»@«domain»",) * 5,
    "«account_first»+«eword»@«gmail.com|googlemail.com|outlook.com»",
    "«account_first»_«account_last»«1..99»@«yahoo.com|hotmail.co.uk|web.de|qq.com|mail.ru»",
    "«info|sales|no-reply|support|webmaster»@«domain»", "«account_first»@mail.«domain»",
    "«first» «last» <«mailbox»@«domain»>", "\"«last», «first»\" <«mailbox»@«domain»>",
    "«mailbox»@«domain», «mailbox»@«domain»", "«mailbox»@«domain»; «mailbox»@«domain»",
    "«hex8»@users.noreply.«domain»", "mailto:«mailbox»@«domain»", "o'«account_last»@«domain»",
    "«mailbox»+«eword»+«1..99»@«domain»", "<«hex16».«####»@mail.«domain»>",
)  # fmt: skip
_USERS = (
    "«account_first»", "«account_first»«1..99»", "«account_first».«account_last»",
    "«account_first»_«account_last»", "«eword»_«eword»", "«eword»«####»", "x«eword»x", "-«eword»-",
    "«account_first»-«eword»", "@«eword»«1..99»", "«eword».«eword»«##»", "_«eword»_",
    "Mr«account_last»", "i_am_«account_first»", "«eword»!", "~«eword»~", "DOMAIN\\«account_first»",
)  # fmt: skip
_DOMAINS = (
    "«1..99»«eword».com", "«account_last».com", "«eword».org", "www.«eword»-«eword».com",
    "«account_last».de", "«eword».co.uk", "blog.«eword».net", "«eword».io", "«eword».app",
    "shop.«account_last».fr", "«eword».example", "«eword»«1..99».dev", "cdn.«eword».net",
    "«account_last»-«account_last».info", "m.«eword».ru", "«eword».github.io", "api.«eword».cloud",
    "«eword».gov.au",
)  # fmt: skip


def _account(draw: Draw, rule: str) -> str:
    """A name as accounts and domains spell it; an English word where its script has no Latin."""
    plain = unicodedata.normalize("NFKD", draw.make(rule)).encode("ascii", "ignore").decode()
    return _NO_ACCOUNT.sub("", plain.lower()) or english_word(draw)


def _city(draw: Draw) -> str:
    # Faker lists the cities of Italy in the order of a set, which differs from run to run.
    if draw.locale == "it_IT":
        return draw.voice.state()
    return draw.voice.city()


PEOPLE_RULES: Rules = {
    "first": lambda draw: draw.voice.first_name(),
    "last": lambda draw: draw.voice.last_name(),
    "full_name": lambda draw: draw.voice.name(),
    "odd_name": _NAMES,
    "name": ("«full_name»", "«full_name»", "«first»", "«last»", "«first» «last»", "«odd_name»"),
    "company": _COMPANIES,
    "firm": lambda draw: draw.voice.company(),
    "job": lambda draw: draw.voice.job(),
    "street": lambda draw: draw.voice.street_address(),
    "city": _city,
    "country": lambda draw: draw.voice.country(),
    "whole_address": lambda draw: draw.voice.address(),
    "address": (
        "«whole_address»", "«whole_address»", "«street»", "«city»", "«country»", "«street», «city»",
        "«city», «country»", "c/o «name», «street»", "«street» #«1..99»",
        "Apt. «1..99»«A|B|C», «street»", "«street»\n«city»\n«country»", "P.O. Box «1..9999»",
        "«1..9»-«1..30»-«1..20» «city»", "«1..300»/«1..9» «street»", "«city» («country»)",
        "«postcode» «city»", "King's Cross, «city»", "Rue de l'«last» «1..99»", "«1..99»½ «street»",
        "«street», 2nd floor; ring «last»", "St. John's", "L'Aquila", "«city» - «city»",
    ),
    "postcode": lambda draw: draw.voice.postcode(),
    "own_phone": lambda draw: draw.voice.phone_number(),
    "phone": ("«own_phone»",) * len(_PHONES) + _PHONES,
    "email": _EMAILS,
    "mailbox": (
        "«account_first»", "«account_first».«account_last»", "«account_first»_«account_last»",
        "«account_last»«1..99»", "«eword»", "«eword».«eword»", "«account_first»-«eword»",
    ),
    "user": _USERS,
    "domain": _DOMAINS,
    "account_first": lambda draw: _account(draw, "first"),
    "account_last": lambda draw: _account(draw, "last"),
    "iban": lambda draw: draw.voice.iban(),
    "bank": (
        "«iban»", "«code8»«capitals»", "**** **** **** «####»", "4«###» «####» «####» «####»",
        "4«###############»", "«1..12»/«25..35»", "«1..9»-«####»-«####»", "«##»-«##»-«##»",
        "xxxx-«####»",
    ),
}  # fmt: skip
