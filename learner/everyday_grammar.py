"""Draw ordinary values from templates: the notation that the tables of values are written in.

A template is text with slots between ``«`` and ``»``, which no table uses otherwise:

- ``«word»`` is made by the rule of that name: a table of templates (one is picked) or a function;
- ``«word*, »`` repeats it two to six times, with what follows the star in between;
- ``«asc|desc»`` picks one, ``«|s»`` one that may be nothing;
- ``«1..99»`` is a number in that range, ``«####»`` as many digits.

One value speaks one language: :meth:`Draw.value` picks the locale that all its slots draw from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import TypeVar

from faker import Faker

__all__ = ["LOCALES", "Draw", "Rule", "Rules"]

_T = TypeVar("_T")
_SLOT = re.compile(r"«([^»]*)»")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_BY_WORD = re.compile(r"(\w+)\*(.*)", re.DOTALL)

#: Languages, each as often as its number says. All have names, and most have addresses, of their
#: own; English leads because code, documentation and defaults of applications are English.
LOCALES: Mapping[str, int] = {
    "en_US": 36, "en_GB": 8, "en_IN": 2, "en_CA": 2, "en_NZ": 1, "en_IE": 2,
    "de_DE": 6, "de_AT": 1, "de_CH": 1, "fr_FR": 6, "fr_CA": 1, "es_ES": 4, "es_MX": 3, "es_AR": 1,
    "it_IT": 4, "pt_BR": 4, "pt_PT": 1, "nl_NL": 3, "nl_BE": 1, "da_DK": 1, "sv_SE": 2, "no_NO": 1,
    "fi_FI": 1, "pl_PL": 3, "cs_CZ": 2, "sk_SK": 1, "hu_HU": 1, "ro_RO": 1, "hr_HR": 1, "tr_TR": 2,
    "az_AZ": 1, "el_GR": 2, "ru_RU": 4, "uk_UA": 1, "mk_MK": 1, "hy_AM": 1, "he_IL": 1, "ar_AA": 2,
    "ar_DZ": 1, "fa_IR": 1, "hi_IN": 1, "bn_BD": 1, "th_TH": 1, "vi_VN": 2, "id_ID": 2,
    "ja_JP": 3, "ko_KR": 2, "zh_CN": 3, "zh_TW": 1,
}  # fmt: skip


class Draw:
    """Chance, a language and the rules: everything that a value is made of.

    Equal seeds and equal calls give equal values. Nothing here reads a clock.
    """

    def __init__(self, rules: Rules) -> None:
        self.random = Random(0)  # noqa: S311 - values to learn from, no secrets
        self.locale = "en_US"
        self._rules = rules
        self._voices: dict[str, Faker] = {}

    @property
    def voice(self) -> Faker:
        """Faker in the language of the value at hand."""
        return self.voice_of(self.locale)

    def voice_of(self, locale: str) -> Faker:
        """Faker in a language, drawing from the same chance as all others."""
        if locale not in self._voices:
            voice = self._voices[locale] = Faker(locale)
            voice.random = self.random  # type: ignore[attr-defined]  # Faker's stub forgets it
        return self._voices[locale]

    @cached_property
    def _locales(self) -> tuple[list[str], list[int]]:
        return list(LOCALES), list(LOCALES.values())

    def value(self, rule: str) -> str:
        """Return a value of the rule, in a language of its own."""
        (self.locale,) = self.random.choices(*self._locales)
        return self.make(rule)

    def make(self, rule: str) -> str:
        """Return a value of the rule; KeyError where no rule has that name."""
        made = self._rules[rule]
        return made(self) if callable(made) else self.fill(self.one(made))

    def fill(self, template: str, escape: Callable[[str], str] = str) -> str:
        """Return the template with its slots filled, each escaped as its surroundings need."""
        return _SLOT.sub(lambda match: escape(self._slot(match[1])), template)

    def one(self, choices: Sequence[_T]) -> _T:
        """Return one of them, each as likely."""
        return choices[int(self.random.random() * len(choices))]

    def often(self, share: float) -> bool:
        """Return true in that share of calls."""
        return self.random.random() < share

    def count(self, low: int, high: int) -> int:
        """Return a number from low to high, both included; small ones are likelier."""
        return low + int((high - low + 1) * self.random.random() ** 2)

    def _slot(self, slot: str) -> str:
        if slot in self._rules:
            return self.make(slot)
        if "|" in slot:
            return self.one(slot.split("|"))
        if bounds := _RANGE.fullmatch(slot):
            return str(self.random.randint(int(bounds[1]), int(bounds[2])))
        if repeated := _BY_WORD.fullmatch(slot):
            return repeated[2].join(self.make(repeated[1]) for _ in range(self.count(2, 6)))
        if slot.strip("#"):
            raise KeyError(slot)
        return "".join(self.one("0123456789") for _ in slot)


Rule = Sequence[str] | Callable[[Draw], str]
Rules = Mapping[str, Rule]
