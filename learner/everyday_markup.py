"""What editors in the browser send: HTML of posts and comments, block editors' comments, wiki text.

Attributes stand in double quotes, as serialisers write them; there is no script, no event handler
and no scheme but http, https, mailto and tel.
"""

from __future__ import annotations

from cnaf.learner.everyday_grammar import Draw, Rules

__all__ = ["MARKUP_RULES"]

_INLINE = (
    "«clause»", "«clause»", "«sentence»", "«sentence»", "<strong>«words»</strong>",
    "<em>«words»</em>", "<b>«words»</b>", "<i>«words»</i>", "<u>«word»</u>",
    "<a href=\"«link»\">«words»</a>",
    "<a href=\"«link»\" target=\"_blank\" rel=\"noopener noreferrer\">«words»</a>", "<br>",
    "<br />", "<code>«word»</code>", "<span style=\"color: «colour»;\">«words»</span>",
    "<span class=\"«slug»\">«words»</span>", "<mark>«word»</mark>", "<sup>«1..9»</sup>",
    "<s>«word»</s>", "&nbsp;", "&amp;", "«word» &gt; «word»",
    "<span class=\"mention\" data-id=\"«1..99»\" data-value=\"«first»\">@«first»</span>",
    "<img src=\"«picture»\" alt=\"«words»\">", "&quot;«words»&quot;",
)  # fmt: skip
#: Between two pieces of inline text, and after the last.
_BETWEEN = (" ", " ", " ", " ", ", ", ". ", " - ", ": ", "", "; ", " (", ") ", "! ", "? ", "\n")
_LAST = ("", "", "", ".", ".", "!", "?", "...", ":", ",", ")", "%", '"', "”")
_BLOCKS = (
    "<p>«inline»</p>", "<p>«inline»</p>", "<p>«inline»</p>", "<p>«paragraph»</p>",
    "<h2>«title»</h2>", "<h3 id=\"«slug»\">«words»</h3>", "<h1 class=\"«slug»\">«words»</h1>",
    "<ul>\n<li>«inline»</li>\n<li>«inline»</li>\n</ul>",
    "<ol><li>«inline»</li><li>«inline»</li></ol>", "<blockquote><p>«sentence»</p></blockquote>",
    "<blockquote class=\"«slug»\" cite=\"«link»\">«sentence»</blockquote>", "<p><br></p>",
    "<p>&nbsp;</p>", "<hr>", "<hr />",
    "<p style=\"text-align: «center|right|justify»;\">«inline»</p>",
    "<p class=\"ql-align-center\">«inline»</p>", "<div>«inline»</div>",
    "<div class=\"«slug»\">«inline»</div>",
    "<figure class=\"wp-block-image size-large\"><img src=\"«picture»\" alt=\"«words»\" class=\""
        "wp-image-«1..999»\"/><figcaption>«sentence»</figcaption></figure>",
    "<figure class=\"image\"><img src=\"«picture»\" width=\"«100..2000»\" height=\"«100..2000»\""
        " alt=\"\"></figure>",
    "<table class=\"«slug»\"><thead><tr><th>«word»</th><th>«word»"
        "</th></tr></thead><tbody><tr><td>«words»</td><td>«1..99»</td></tr></tbody></table>",
    "<table border=\"1\" cellpadding=\"«1..9»\">\n<tr>\n<td width=\"«1..99»%\">«words»</td>\n"
        "<td>«inline»</td>\n</tr>\n</table>",
    "<pre><code>«words»\n«words»</code></pre>",
    "<details><summary>«words»</summary><p>«inline»</p></details>",
    "<dl><dt>«word»</dt><dd>«sentence»</dd></dl>", "<p data-pm-slice=\"1 1 []\">«inline»</p>",
    "<ul data-checked=\"true\"><li>«clause»</li></ul>",
    "<!-- wp:paragraph -->\n<p>«inline»</p>\n<!-- /wp:paragraph -->",
    "<!-- wp:heading {\"level\":«2..4»} -->\n<h2 class=\"wp-block-heading\">«title»</h2>\n<!--"
        " /wp:heading -->",
    "<!-- wp:image {\"id\":«1..999»,\"sizeSlug\":\"large\",\"linkDestination\":\"none\"} -->\n"
        "<figure class=\"wp-block-image size-large\"><img src=\"«picture»\" alt=\"\" class=\""
        "wp-image-«1..999»\"/></figure>\n<!-- /wp:image -->",
    "<!-- wp:list -->\n<ul class=\"wp-block-list\"><!-- wp:list-item -->\n<li>«inline»</li>\n"
        "<!-- /wp:list-item --></ul>\n<!-- /wp:list -->",
    "<!-- wp:«slug»/«slug» {\"«eword»\":\"«words»\",\"«camel»\":«1..99»} /-->",
    "<!-- wp:latest-posts {\"postsToShow\":«1..9»,\"displayPostDate\":true} /-->",
    "<!-- wp:group {\"layout\":{\"type\":\"constrained\"}} -->\n<div class=\"wp-block-group\">"
        "«block»</div>\n<!-- /wp:group -->",
    "<!--more-->",
    "<p class=\"MsoNormal\"><span lang=\"EN-US\" style=\"font-size: 11.0pt; font-family:"
        " &quot;Calibri&quot;,sans-serif;\">«inline»<o:p></o:p></span></p>",
    "<p><font size=\"«1..7»\" color=\"«colour»\">«inline»</font></p>",
    "<center><b>«words»</b></center>", "<p>[gallery ids=\"«1..99»,«1..99»\"]</p>",
    "<h2>«title»</h2>\n<p>«inline»</p>\n<p>«inline»</p>", "<p><!-- «words» --></p>",
)  # fmt: skip

_LEAVES = ("words", "number", "date", "name", "money", "uuid", "slug", "sentence")


def _inline(draw: Draw) -> str:
    pieces = [draw.fill(draw.one(_INLINE)) for _ in range(draw.count(1, 6))]
    return (
        "".join(piece + draw.one(_BETWEEN) for piece in pieces[:-1]) + pieces[-1] + draw.one(_LAST)
    )


def _html(draw: Draw) -> str:
    joint = draw.one(("\n", "", "\n\n", ""))
    return joint.join(draw.make("block") for _ in range(draw.count(1, 9)))


def _xml(draw: Draw) -> str:
    """An element with children, or a well-known document."""
    if draw.often(0.4):
        return draw.make("xml_part")
    root, attributes = draw.make("eword"), draw.one(("", "", ' id="«1..999»"', ' lang="«en|de»"'))
    names = [draw.make("eword") for _ in range(draw.count(1, 5))]
    joint = draw.one(("", "\n", "\n  "))
    body = "".join(f"{joint}<{n}>{draw.make(draw.one(_LEAVES))}</{n}>" for n in names)
    return draw.fill(f"<{root}{attributes}>") + body + joint.rstrip(" ") + f"</{root}>"


MARKUP_RULES: Rules = {
    "link": (
        "https://«domain»«path»", "https://«domain»«path»?«pair*&amp;»", "«path»", "#«slug»",
        "mailto:«user»@«domain»", "tel:+«##########»",
        "https://«domain»/wp-content/uploads/20«10..26»/«01|09|12»/«slug»-«100..2000»x"
            "«100..2000».«jpg|png|webp»",
        "http://«domain»/",
    ),
    "picture": (
        "https://«domain»/uploads/20«10..26»/«01|09|12»/«slug»-«100..2000»x«100..2000».jpg",
        "https://«domain»/«slug»/«eword».«png|jpg|webp|gif»",
        "/«slug»/«eword»-«1..99».«png|jpg|webp»",
        "https://«domain»/«alnum»?w=«100..2000»&amp;q=«10..90»", "//«domain»/«hex8».jpeg",
        "data:image/png;base64,«base64»", "/«eword»/«native_slug».jpg",
    ),
    "inline": _inline,
    "block": _BLOCKS,
    "html": _html,
    "paragraph_html": ("<p>«inline»</p>", "<p>«sentence»</p>", "«sentence»"),
    "comment_html": (
        "«inline»", "«sentence» <b>«words»</b> «sentence»", "«sentence»<br />\n«sentence»",
        "<p>«inline»</p>", "«sentence» <a href=\"«link»\">«words»</a>",
        "<blockquote>«sentence»</blockquote>\n«sentence»", "<i>«words»</i>, «clause»",
    ),
    "wiki": (
        "== «title» ==\n«sentence» '''«words»''' «sentence» [[«words»]] [[«word»|«words»]]",
        "[b]«words»[/b] «sentence» [url=https://«domain»«path»]«words»[/url]",
        "[quote=\"«user»\"]«sentence»[/quote]\n«paragraph»",
        "h2. «title»\n\n* «clause»\n* «clause» \"«words»\":https://«domain»",
        "* «clause»\n** «clause»\n# «clause»", "''«words»'' -- «clause» [https://«domain» «words»]",
        "[img]https://«domain»/«slug».png[/img]", "{|\n! «word»\n|-\n| «words» || «words»\n|}",
        "<ref>«sentence»</ref> «sentence»", "[[File:«slug».jpg|thumb|«sentence»]]",
        "= «title» =\n\n.. «words»\n\n«paragraph»", ":[i]«words»[/i] «emoji»",
    ),
    "xml": _xml,
    "xml_part": (
        "<item id=\"«1..99»\">\n  <name>«words»</name>\n  <price currency=\"EUR\">«1..99»"
            ".00</price>\n</item>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodCall><methodName>«eword».«camel»"
            "</methodName><params><param><value><string>«words»"
            "</string></value></param></params></methodCall>",
        "<outline text=\"«title»\" xmlUrl=\"https://«domain»/feed\"/>",
        "M«1..99».«#»,«1..99»c-«1..9».«#»,«1..9»-«1..9»,«1..9»z",
    ),
}  # fmt: skip
