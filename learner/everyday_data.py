"""Structured text in one field: lists, sort keys, filters, JSON, queries, settings, cards."""

# ruff: noqa: RUF001 - other scripts and typographic marks are the point here

from __future__ import annotations

import json

from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_words import english_word

__all__ = ["DATA_RULES"]

_SCALARS = (
    "«eword»", "«eword»", "«words»", "«1..999»", "«hex6»", "«date»", "«moment»", "«uuid»", "«url»",
    "«path»", "«email»", "«name»", "«title»", "«sentence»", "«colour»", "«locale»", "«version»",
    "«slug»", "«measure»", "«id»", "«paragraph_html»", "", "«flag»", "«timestamp»",
)  # fmt: skip
_KEYS = (
    "«eword»", "«eword»", "«eword»_«eword»", "«camel»", "«eword»-«eword»", "id", "name", "type",
    "value", "title", "url", "«eword».«eword»", "@type", "@id", "_«eword»", "«eword»Id",
    "is«Pascal»", "«1..99»", "«Pascal»", "data", "items", "attributes", "«eword»:«eword»",
    "/«eword»", "data-«eword»",
)  # fmt: skip


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _json_value(draw: Draw, depth: int) -> object:
    if depth and draw.often(0.16):
        return _json_object(draw, depth - 1, draw.count(0, 7))
    if depth and draw.often(0.04):
        return [_json_value(draw, depth - 1) for _ in range(draw.count(0, 4))]
    if draw.often(0.1):
        # Lists hold values of one kind, mostly.
        kind = draw.one(_SCALARS)
        return [draw.fill(kind) for _ in range(draw.count(0, 6))]
    if draw.often(0.6):
        return draw.fill(draw.one(_SCALARS))
    number = draw.random.randint(0, 10 ** draw.count(1, 9))
    return draw.one((number, number, number / 1000, True, False, True, False, None))


def _json_object(draw: Draw, depth: int, size: int) -> dict[str, object]:
    return {draw.fill(draw.one(_KEYS)): _json_value(draw, depth) for _ in range(size)}


def _json(draw: Draw) -> str:
    if draw.often(0.2):
        value: object = [_json_value(draw, draw.count(0, 2)) for _ in range(draw.count(0, 6))]
    else:
        value = _json_object(draw, 2, draw.count(1, 9))
    separators = draw.one(((",", ":"), (",", ":"), (", ", ": ")))
    indent = 2 if draw.often(0.06) else None
    text = json.dumps(value, ensure_ascii=draw.often(0.15), separators=separators, indent=indent)
    return text.replace("/", "\\/") if draw.often(0.1) else text


def _nested_json(draw: Draw) -> str:
    """JSON whose strings hold JSON, as queues and trackers pack it."""
    inner = json.dumps(_json_object(draw, 1, 3))
    return json.dumps(
        {draw.make("eword"): draw.fill(draw.one(_SCALARS)), draw.make("eword"): inner}
    )


def _document_json(draw: Draw) -> str:
    """A rich text as editors keep it: a tree of nodes, a list of insertions, a list of blocks."""
    texts = [draw.make(draw.one(("sentence", "words", "clause"))) for _ in range(draw.count(1, 6))]
    style = draw.one(("bold", "italic", "code", "strike"))
    nodes: list[object] = [
        {"type": "text", "text": t, "marks": [{"type": style}]} if draw.often(0.3)
        else {"type": "text", "text": t} for t in texts
    ]  # fmt: skip
    inserted = [{"insert": f"{t}\n", "attributes": {style: True}} for t in texts]
    blocks = [{"id": draw.make("alnum"), "type": "paragraph", "data": {"text": t}} for t in texts]
    document = draw.one(
        (
            {"type": "doc", "content": [{"type": "paragraph", "content": nodes}]},
            {"ops": [*inserted, {"insert": "\n"}]},
            {"time": draw.random.randrange(10**12), "blocks": blocks, "version": "2.28.2"},
            [{"type": "paragraph", "children": [{"text": t, style: True}]} for t in texts],
        )
    )
    separators = draw.one(((",", ":"), (",", ":"), (", ", ": ")))
    return json.dumps(document, ensure_ascii=False, separators=separators)


def _csv(draw: Draw) -> str:
    separator = draw.one((",", ",", ";", "\t", "|"))
    kinds = [draw.one(_SCALARS) for _ in range(draw.count(2, 7))]

    def cell(template: str) -> str:
        text = draw.fill(template)
        quote = separator in text or '"' in text or "\n" in text or draw.often(0.2)
        return '"' + text.replace('"', '""') + '"' if quote else text

    rows = [separator.join(draw.make("eword") for _ in kinds)]
    rows += [separator.join(cell(kind) for kind in kinds) for _ in range(draw.count(1, 6))]
    return "\n".join(rows)


_GRAPHQL = (
    "query «Pascal»($id: ID!) {\n  «eword»(id: $id) {\n    id\n    «camel»\n    «eword» {\n   "
        "   «eword»\n    }\n  }\n}",
    "{ «eword» { id «eword» «camel» } }",
    "mutation «Pascal»«Pascal»($input: «Pascal»Input!) { «camel»(input: $input) { «eword» { id"
        " } errors { field message } } }",
    "query {\n  «eword»(first: «1..99», orderBy: {field: «Pascal», direction: DESC}) {\n   "
        " edges { node { id «eword» __typename } }\n    pageInfo { hasNextPage endCursor }\n  }\n}",
    "fragment «Pascal»Fields on «Pascal» {\n  id\n  «eword»\n  «camel»\n}",
    "subscription { «camel» { id «eword» } }",
    "query «Pascal»($first: Int = «1..99», $after: String) {\n  «camel»(first: $first, after:"
        " $after, filter: \"«word»\") {\n    totalCount\n    nodes { ...«Pascal»Fields }\n  }\n}",
)  # fmt: skip

#: Calls of remote procedures, of search engines, of trackers.
_CALLS = (
    '[{"name":"«eword»-«eword»[«1..99»]","value":"«words»"},{"name":"«eword»","value":"«1..99»"}]',
    '{"«eword»[«eword»]":"«words»","«eword»-«eword»[«1..9»]":{"value":"«colour»"}}',
    '{"jsonrpc":"2.0","method":"«eword».«camel»","params":["«word»",«1..99»],"id":«1..999»}',
    '{"operationName":"«Pascal»","variables":{"id":"«alnum»","first":«1..99»'
        '},"query":"query «Pascal»($id: ID!, $first: Int) { «eword»(id: $id) { id __typename }'
        ' }"}',
    '{"query":{"match":{"«eword»":"«words»"}},"size":«1..99»,"sort":[{"«column»":"desc"}]}',
    '{"query":{"bool":{"must":[{"term":{"«column»":"«eword»"}},{"range":{"«column»'
        '":{"gte":«1..99»,"lt":«100..999»}}}]}}}',
    '[{"op":"replace","path":"/«eword»/«1..9»","value":"«words»"}]',
    '[{"event":"«eword»_«eword»","properties":{"«eword»":"«words»'
        '","$browser":"Chrome","token":"«hex16»"}}]',
    '{"data":{"type":"«eword»s","id":"«1..999»","attributes":{"title":"«title»'
        '"},"relationships":{"author":{"data":{"type":"people","id":"«1..9»"}}}}}',
    '42["«eword»",{"«eword»":"«words»"}]',
    '{"message":"«sentence»","room":"#«eword»","user":{"name":"«first»"}}',
    '{"@context":"https://«domain»","@type":"Person","name":"«first» «last»"}',
    '«camel»({"«eword»":«1..99»})',
    '{"type":"FeatureCollection","features":[{"geometry":{"type":"Point","coordinates":['
        '«1..99».«####»,«1..89».«####»]}}]}',
)  # fmt: skip

DATA_RULES: Rules = {
    "camel": ("«eword»«Pascal»", "«eword»«Pascal»«Pascal»"),
    "Pascal": lambda draw: english_word(draw).title(),
    "json": _json,
    "csv": _csv,
    "nested_json": _nested_json,
    "document_json": _document_json,
    "call_json": lambda draw: draw.fill(draw.one(_CALLS), _in_json),
    "column": (
        "«eword»", "«eword»_«eword»", "«eword»_at", "«camel»", "«eword».«eword»", "id", "name",
        "created_at", "price", "date",
    ),
    "sort": (
        "«column»", "-«column»", "+«column»", "«column»:«asc|desc»", "«column» «asc|desc|ASC|DESC»",
        "«column»_«asc|desc»", "«column»,-«column»", "«column» desc, «column» asc",
        "«column».«asc|desc»", "«column»,«asc|desc»", "«column»-«asc|desc»",
        "«column»:«asc|desc»,«column»:«asc|desc»", "sort=«column»&order=«asc|desc»",
        "«column»|«asc|desc»", "«column*,»", "«Pascal»«Asc|Desc»ending", "price-low-to-high",
        "relevance", "newest", "«1..9»", "_«column»",
    ),
    "filter": (
        "status=«open|closed|draft»,«eword»", "«column»:«eword»",
        "«column»=«eword»;«column»=«eword»", "«column»>«1..99»",
        "«column»>=«1..99»&«column»<«100..999»", "«column»:[«1..9» TO «10..99»]",
        "«column»:«eword» AND «column»:«eword»", "(«column»:«eword» OR «column»:«eword»)",
        "«column»~«eword»", "«column»!=«eword»", "«column» in («1..9»,«10..99»)",
        "«column»:>«date»", "«1..99»-«100..999»", "«1..99»,«1..99»,«1..99»", "«1..9»..«10..99»",
        "gt:«1..99»", "eq.«eword»", "in.(«eword»,«eword»)", "not.is.null", "«column»|eq|«eword»",
        "«column»,cs,«eword»", "-«eword»,+«eword»", "«column»[«eword»]", "«Pascal» eq «1..99»",
        "«Pascal» gt «1..99» and «Pascal» eq '«word»'", "contains(«Pascal»,'«word»')",
        "startswith(«Pascal»,'«word»') or «Pascal» lt «1..99»",
        "«Pascal»/any(d:d/«Pascal» gt «1..99»)", "«Pascal» ne null", "year(«Pascal») ge 20«10..26»",
        "not endswith(«Pascal»,'«word»')", "«column» = \"«words»\"",
        "project = «capitals» AND status = \"«words»\" ORDER BY «column» DESC",
        "assignee = currentUser() and «column» is not empty", "«column»==\"«word»*\"",
        "«column»:'«word»'", "$select=«Pascal»,«Pascal»&$top=«1..99»&$skip=«0..99»",
        "$filter=«Pascal» gt «1..99» and «Pascal» eq '«word»'",
        "$expand=«Pascal»($select=«Pascal»)", "$orderby=«Pascal» desc",
        "items(«eword»,«eword»/«eword»)", "**", "*,«eword».*", "«eword»(«eword»,«eword»)",
    ),
    "list": (
        "«1..99»,«1..99»,«1..99»", "«word*,»", "«word*, »", "«eword*|»", "«eword*;»", "«eword*; »",
        "«eword* | »", "[«1..9»,«1..9»]", "[\"«eword»\",\"«eword»\"]", "«uuid*,»", "«hex8*,»",
        "«name*, »", "«email*,»", "«path*,»", "«eword*+»", "«eword*/»", "«eword*:»", "«eword*.»",
        "«measure*, »", "«date*,»", "«1..9»-«10..19»,«20..30»", "(«1..99», «1..99»)", "«name*\n»",
        "«url*\n»", "«money*; »", "«eword*>»", "«words* > »", "«words* / »", "«words* › »",
        "«word», «word» & «word»", "'«eword»','«eword»'", "\"«words»\" \"«words»\"",
        ",«1..9»,«1..9»,", "«eword*%2C»",
    ),
    "graphql": lambda draw: draw.fill(draw.one(_GRAPHQL)),
    "settings": (
        "«eword»: «words»\n«eword»_«eword»: «1..99»\n«eword»:\n  - «words»\n  - \"«words»\"\n "
            " - '«word»'\n",
        "[«eword»]\n«eword» = «words»\n«eword»=«1..99»\n; «words»\n# «words»\n«eword» = \""
            "«path»\"\n",
        "«Pascal»=«eword»\n«Pascal»=«path»\n",
        "---\ntitle: \"«title»\"\ndate: «date»\ntags: [«word*, »]\ndraft: false\n---\n\n«text»",
        "«eword»=«eword»; «eword»=«1..99»; Path=/",
        "User-agent: *\nDisallow: /«slug»/\nAllow: /\nSitemap: https://«domain»/sitemap.xml",
        "max-age=«1..99999», must-revalidate", "width=device-width, initial-scale=1",
        "noindex,nofollow", "«eword»: \"«words»\", «eword»: «1..99»",
        "{«eword»: \"«word»\", «eword»: true}", "«eword»(«1..99», «1..99»)",
        "a:«1..3»:{i:0;s:5:\"«eword»\";i:1;s:«1..9»:\"«eword»\";}",
        "«eword»=\"«words»\" «eword»=\"«1..99»\"", "[«eword» id=\"«1..999»\" «eword»=\"«words»\"]",
        "[gallery ids=\"«1..99»,«1..99»\"]", "sha256-«base64»",
        "width: «measure»; float: «left|right»",
    ),
    "style": (
        "margin: 0 auto", ".«eword»-«eword»{color:#«hex6»;margin:0}.«eword»>a:hover{border:0}",
        "@media(max-width:«600..999»px){.«eword» a{display:none}}", "color: «colour»;",
        "font-size:«1..99»px;line-height:1.«1..9»", "width: calc(100% - «1..99»px)",
        ".«eword»-«eword» {\n  color: «colour»;\n  padding: «1..9»em «1..9»px;\n}",
        "#«eword» > .«eword»:hover { display: none !important; }", "display:flex; gap:«1..9»rem",
        "background: «colour» url(\"/images/«file»\") no-repeat",
        "font-family: \"Helvetica Neue\", Arial, sans-serif;",
        "@media (max-width: «600..1200»px) {\n  .«eword» { float: none; }\n}",
        "text-align: center;", "transform: translate(-50%, -50%) rotate(«1..90»deg)",
        ".«eword», a.«eword»:not(.«eword») { border: 1px solid «colour» }",
        "«eword»-«eword» «eword»--«eword» is-«eword»", "col-md-«1..12» mt-«1..5» d-flex",
        "div.«eword» > ul li:nth-child(«1..9»)",
    ),
    "card": (
        "BEGIN:VCARD\nVERSION:3.0\nFN:«name»\nN:«last»;«first»;;;\nORG:«company»\n"
            "TEL;TYPE=WORK,VOICE:«phone»\nEMAIL:«email»\nADR;TYPE=HOME:;;«street»;«city»;;"
            "«postcode»;«country»\nEND:VCARD",
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//«company»//«word» 1.0//EN\nBEGIN:VEVENT\nUID:"
            "«uuid»@«domain»\nDTSTART;TZID=Europe/Berlin:20«10..26»«01|06|12»«10..28»T«10..23»0000"
            "\nSUMMARY:«title»\nLOCATION:«city»\\, «country»\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT="
            "«1..20»\nEND:VEVENT\nEND:VCALENDAR",
        "FREQ=«DAILY|WEEKLY|MONTHLY»;INTERVAL=«1..4»;BYDAY=«MO|TU|FR»",
        "WIFI:T:WPA;S:«word»;P:«alnum»;;", "geo:«number»,«number»?z=1«0..9»",
        "POINT(«number» «number»)", "{\"type\":\"Point\",\"coordinates\":[«number»,«number»]}",
        "P«1..9»DT«1..12»H",
        "@«eword»{«last»20«10..26»,\n  title = {«title»},\n  author = {«last», «first» and "
            "«last», «first»},\n  year = {20«10..26»}\n}",
    ),
}  # fmt: skip
