"""Text that people write: sentences, titles, comments, mails, Markdown."""

# ruff: noqa: RUF001 - other scripts and typographic marks are the point here

from __future__ import annotations

from collections.abc import Sequence

from cnaf.learner.everyday_documents import paragraphs, sentences
from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_words import SPACELESS, english_word, phrase, word

__all__ = ["PROSE_RULES"]

#: Between two clauses of a sentence.
_JOINTS = (
    ", ", ", ", ", ", ", and ", ", but ", " and ", " or ", ", or ", "; ", ": ", " - ", " – ", " — ",
    "... ", ", because ", " when ", " while ", " if ", " (see below), ", ", e.g. ", ", i.e. ",
    ", which ", " that ", "/", " & ", " + ", " -> ", ", or rather, ", " not ", " from ", " like ",
)  # fmt: skip
#: Joints without words of English, for all other languages.
_BARE_JOINTS = (", ",) * 6 + ("; ", ": ", " - ", " – ", " — ", "... ", "/", " & ", " + ")
_ENDS = (".",) * 14 + ("!", "?", "...", "!!", "?!", ":", "", " :)", "!1!", " ;-)", "…")
_WIDE_JOINTS = ("，", "、", "，", "、", "：", "；", " ", "・", "（", "）", "～", "...")
_WIDE_ENDS = ("。",) * 8 + ("！", "？", "...", "…", "~", "!", "", "）", "」")
#: What stands in the middle of plain text now and then.
_ASIDES = (
    "\"«words»\"", "'«words»'", "\u201c«words»\u201d", "\u2018«words»\u2019", "(«words»)",
    "«word»'s", "«word»s'", "don't", "it's", "I'm", "we'll", "can't", "they've", "«number»",
    "«money»", "«measure»", "«date»", "«word»/«word»", "«word»-«word»", "«first»", "#«word»",
    "@«word»", "«1..99»%", "[«word»]", "*«word»*", "_«word»_", "«url»", "«email»",
    "«word» & «word»", "rock 'n' roll", "the '«10..99»s", "«number»-«number»", "o'clock",
    "«capitals»", "«word»; «word»", "«word» = «word»", "«word» > «word»", "1 or 2", "y'all",
    "«1..9»:«##»", "no. «1..99»", "§ «1..99»", "C#", "C++", ".NET", "Node.js", "«word»@«word»",
    "\"«word»\"", "'«word»'", "«word»™", "½", "w/o", "a.k.a.", "etc.", "vs.", "«word»(s)", "and/or",
    "n°«1..9»", "qu'il", "l'«word»", "d'«word»", "c'est", "¿«word»?", "¡«word»!", "«emoji»",
    "„«words»“", "«word» %", "«open_quote» «words» «close_quote»",
    "«open_quote»«words»«close_quote»", "「«word»」", "’", "«word»’s", "don’t", "l’«word»", "·",
    "•", "№ «1..99»", "«word»،",
)  # fmt: skip


def _joined(draw: Draw, words: list[str]) -> str:
    return ("" if draw.locale in SPACELESS else " ").join(words)


def _words(draw: Draw) -> str:
    return _joined(draw, phrase(draw, 1, 5))


def _clause(draw: Draw) -> str:
    words = phrase(draw, 2, 12)
    if draw.often(0.3):
        words.insert(draw.random.randrange(len(words)), draw.fill(draw.one(_ASIDES)))
    return _joined(draw, words)


def _sentence(draw: Draw) -> str:
    english = draw.locale.startswith("en_")
    if english and draw.often(0.5):
        return draw.one(sentences())
    if draw.often(0.08):
        return draw.fill(draw.one(_SENTENCES))
    joints: Sequence[str] = _JOINTS if english else _BARE_JOINTS
    ends: Sequence[str] = _ENDS
    if draw.locale in SPACELESS:
        joints, ends = _WIDE_JOINTS, _WIDE_ENDS
    text = _clause(draw)
    while draw.often(0.35):
        text += draw.one(joints) + _clause(draw)
    return text[:1].upper() + text[1:] + draw.one(ends)


def _document(draw: Draw) -> str:
    """One to six paragraphs of a manual in a row, their lines broken as there or not at all."""
    found = paragraphs()
    start = draw.random.randrange(len(found))
    chosen = found[start : start + draw.count(1, 6)]
    if draw.often(0.6):
        chosen = tuple(" ".join(text.split()) for text in chosen)
    return draw.one(("\n\n", "\n")).join(chosen)


def _text(draw: Draw) -> str:
    joint = draw.one(("\n\n", "\n", "\n\n", "\n \n"))
    return joint.join(_paragraph(draw) for _ in range(draw.count(1, 5)))


def _markdown(draw: Draw) -> str:
    joint = draw.one(("\n\n", "\n\n", "\n"))
    return joint.join(draw.make("markdown_block") for _ in range(draw.count(1, 8)))


def _paragraph(draw: Draw) -> str:
    return ("" if draw.locale in SPACELESS else " ").join(
        _sentence(draw) for _ in range(draw.count(1, 8))
    )


#: Sentences whose words databases and shells know, too.
_SENTENCES = (
    "Please select a «word» from the «word» where you live.",
    "Drop us a line, or drop in on «date».", "The union of «word» and «word» is «word».",
    "Insert coin into the slot; then update me.", "Order by phone or online, group by «word».",
    "Delete my account and all «word» from your «word».",
    "Where does «word» come from, and who or what is it?",
    "Select all that apply: 1 and 1, or 2 and 2.",
    "I'd like to have it before we join the «word» table.",
    "Create a table for «1..9» and let us know.",
    "You can update your plan or cancel it at any time -- no questions asked.",
    "Who's who, what's what and where's «first»?", "Exec team: «name», «name» and «name».",
    "As «first» said: \"«words», or «words»!\"",
    "The script is in the «word» folder; run it as admin.", "Alert: the «word» is on or off.",
    "Echo of the «word» («1..9»/10).", "Cat and dog food (2 for 1), «money»",
    "Ping me when you're done, or sleep on it.",
    "We need a system with «1..9» or more users; root cause is «word».",
    "Having said that, limit it to «1..99» and count on us.",
    "It's not null and void, it's just a null result.",
    "Values like honesty, and/or trust, matter.", "Set name to '«word»' and save.",
    "Use \"«word»\" or '«word»' -- both work.", "between «1..9» and «10..20» people",
    "Click <here> or reply to this mail.", "a < b and b > c, so a != c",
    "Terms & conditions; see below.", "Q: «words»? A: «words».", "PS: «words»...",
    "Best wishes,\n«name»", "Re: [«word»] «words» (was: «words»)", "ATTN: «name» -- URGENT!!!",
    "Size: «measure»; colour: «word»; price: «money»",
    "On «date» at «time», «name» wrote:\n> «clause»\n> «clause»\n\n«sentence»",
)  # fmt: skip


_MARKDOWN = (
    "# «title»", "## «title»", "### «words»", "«paragraph»", "«paragraph»",
    "**«words»** «sentence»", "*«words»*", "- «clause»\n- «clause»\n- **«word»**: «clause»",
    "* «clause»\n* «clause»\n  * «clause»", "1. «sentence»\n2. «sentence»\n3. [«words»](«url»)",
    "[«words»](«url»)", "![«words»](«url» \"«title»\")",
    "«sentence» See [«words»](/«slug»/«slug») or `«word»`.", "> «sentence»\n> «sentence»",
    "| «word» | «word» |\n|---|:---:|\n| «words» | «1..99» |\n| «words» | `«word»` |", "---",
    "- [ ] «clause»\n- [x] «clause»", "«sentence»[^1]\n\n[^1]: «sentence»",
    "```\n«words»\n«words»\n```", "~~«words»~~ «sentence»", "<«url»>", "[1]: «url» \"«title»\"",
    "«words»\n=====", "«words»\n-----", "Fixes #«1..999», closes «word»/«word»#«1..99».",
    "@«user»: «sentence»", "«sentence»  \n«sentence»", "`«word»` - «clause»", "&nbsp;",
    "***«words»***", "#«word» #«word»", "<br>", "«word»_«word» / __«word»__",
    "&copy; 20«10..26» «company»", "Steps:\n\n1) «clause»\n2) «clause»\n\nExpected: «clause»",
    ":tada: «clause» :+1:",
)  # fmt: skip

PROSE_RULES: Rules = {
    "word": word,
    "eword": english_word,
    "open_quote": ("\u00ab",),
    "close_quote": ("\u00bb",),
    "english": lambda draw: draw.one(sentences()),
    "document": _document,
    "words": _words,
    "clause": _clause,
    "sentence": _sentence,
    "paragraph": _paragraph,
    "emoji": (*"😀😂👍🎉🙏🔥😉🤔✨🚀☕✅", "❤️", "👩‍💻", "🇩🇪"),
    "title": (
        "«words»", "«clause»", "«sentence»", "«words»: «words»", "«words» - «words»",
        "«words» | «company»", "«words» («words»)", "\"«words»\" by «name»", "«1..20» «words»",
        "How «words»?", "Why «clause»", "[«capitals»] «words»", "«words» & «words»",
        "«word»'s «words»", "Re: «words»", "Fwd: «words»", "#«1..99» «words»", "«words» – «words»",
        "«words», pt. «1..4»", "«words»!", "«words» / «words»", "(«words»)", "*«words»*",
        "«words» [«word»]", "Copy of «words»", "«words» (copy)", "v«1..3»: «words»",
        "«words» «emoji»", "What's «words»?", "Don't «words»", "'«words»'", "\"«words»\"",
        "«first»'s «word» «word»", "50% off «words»!", "«words» vs. «words»",
        "«words» @ «city», «date»", "«words» = «words»",
    ),
    "text": _text,
    "mail": (
        "Dear «name»,\n\n«paragraph»\n\n«paragraph»\n\nKind regards,\n«name»\n\n--\n«name»\n"
            "«job», «company»\nTel.: «phone» | «email»\n«url»",
        "Hi «first»,\n\n«paragraph»\n\nThanks!\n«first»\n\nOn «moment», «name» <«email»>"
            " wrote:\n> «sentence»\n> «sentence»\n>> «sentence»\n",
        "«paragraph»\n\n-----Original Message-----\nFrom: «name» [mailto:«email»]\nSent: "
            "«moment»\nTo: «email»\nSubject: «title»\n\n«paragraph»",
        "Hallo «first»,\n«sentence»\n«sentence»\n\nLG «first»\n\nP.S.: «sentence»",
        "«paragraph»\n\nSent from my iPhone",
        "Subject: «title»\nDate: «moment»\nMessage-ID: <«hex16»@«domain»>\nContent-Type:"
            " text/plain; charset=utf-8\n\n«text»",
        "Hello team,\n\n1. «sentence»\n2. «sentence»\n3) «sentence»\n\n- «clause»\n- «clause»"
            "\n\n/«first»",
        "«first» -\n\n«paragraph»\n\nCheers,\n«first» :-)\n___\n\"«sentence»\" - «name»",
    ),
    "markdown": _markdown,
    "markdown_block": _MARKDOWN,
    "tags": (
        "«word*,»", "«word*, »", "#«word» #«word» @«word»", "«words*, »", "«word*;»", "«word*|»",
        "[«word*, »]", "«word*\n»", "«word» «word»", "\"«words»\", «word», «word»", "{«word*,»}",
        "«word»:«word», «word»:«word»",
    ),
}  # fmt: skip
