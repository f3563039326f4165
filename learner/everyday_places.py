"""Addresses of the web and of files: URLs, links back, query strings, paths, file names, slugs."""

from __future__ import annotations

from cnaf.learner.everyday_grammar import Draw, Rules
from cnaf.learner.everyday_words import english_word, phrase

__all__ = ["PLACE_RULES"]


def _slug(draw: Draw) -> str:
    return "-".join(english_word(draw) for _ in range(draw.count(1, 6)))


def _native_slug(draw: Draw) -> str:
    return "-".join(phrase(draw, 1, 5))


PLACE_RULES: Rules = {
    "slug": _slug,
    "native_slug": _native_slug,
    "extension": (
        "html", "php", "jpg", "jpeg", "png", "gif", "svg", "webp", "avif", "ico", "css", "js",
        "mjs", "json", "xml", "txt", "pdf", "docx", "xlsx", "pptx", "odt", "csv", "zip", "tar.gz",
        "mp3", "mp4", "webm", "woff2", "ttf", "map", "md", "aspx", "jsp", "do", "action", "rss",
        "ics", "eml", "heic", "psd", "epub", "7z", "apk", "wasm", "webmanifest", "min.js",
        "min.css", "po",
    ),
    "path": (
        "/", "/«slug»", "/«slug»/", "/«eword»/«1..9999»", "/«eword»/«slug»/",
        "/api/v«1..4»/«eword»", "/api/v«1..4»/«eword»/«1..9999»/«eword»",
        "/20«10..26»/«01|02|07|11|12»/«slug»/", "/«eword»/«uuid»", "/«locale»/«slug»",
        "/«eword»/«file»", "/wp-content/uploads/20«10..26»/«01|05|10»/«file»",
        "/static/«eword».«hex8».«js|css»", "/«eword»/«eword»/«eword»", "/assets/«file»",
        "/@«eword»/«slug»", "/«native_slug»/", "/~«eword»/", "/«slug».html", "/index.php/«slug»",
        "/admin/«eword»/", "/users/«1..999»/edit", "/#«eword»", "/«eword»;v=«1..9»",
        "/tag/«eword»/page/«1..20»/", "/o/oauth2/auth", "/«eword»/-/«eword»/«1..99»",
    ),
    "pair": (
        "«eword»=«eword»", "«eword»=«1..999»", "«eword»_id=«1..9999»", "«eword»=-«1..9»",
        "«eword»-«eword»[«1..99»]=«eword»", "page=«1..99»", "q=«eword»+«eword»",
        "lang=«en|de|fr|ja»", "utm_source=«eword»", "utm_campaign=«slug»", "«eword»[]=«eword»",
        "«eword»[«eword»]=«1..99»", "sort=-«eword»", "«eword»=", "«eword»", "ref=«eword»",
        "token=«alnum»", "v=«1..9».«0..9».«0..9»", "id=«uuid»", "«eword»=«eword»,«eword»",
        "date=20«10..26»-«01|04|11»-«10..28»", "action=«eword»", "_=1«############»",
        "«eword»=true", "_wpnonce=«hex8»«##»", "gclid=«alnum»",
    ),
    "query": ("«pair»", "«pair*&»", "«pair*&»", "?«pair*&»", "«pair*&»#«eword»"),
    "url": (
        "https://«domain»«path»", "https://«domain»«path»", "http://«domain»", "https://«domain»/",
        "https://«domain»«path»?«pair*&»", "https://«domain»«path»?«pair»",
        "https://«domain»«path»#«slug»", "//«domain»«path»", "https://www.«domain»/watch?v=«alnum»",
        "https://«domain»/«slug»/«native_slug»/", "https://«domain»:«8443|8080|3000»«path»",
        "«domain»«path»", "www.«domain»", "https://«domain»/«slug»?url=https://«domain»«path»",
        "https://«domain»/image/«alnum».«png|jpg»?w=«100..2000»&h=«100..2000»&fit=crop",
        "https://«domain»/maps/@«number»,«number»,15z", "https://«domain»/wiki/«eword»_(«eword»)",
        "HTTPS://«domain»/", "data:image/«png|gif»;base64,«base64»", "tel:+«##########»",
        "mailto:«user»@«domain»?subject=«eword»", "ftp://«domain»/pub/«file»",
        "urn:«eword»:«1..99»", "android-app://com.«eword».«eword»", "blob:https://«domain»/«uuid»",
        "wss://«domain»/«eword»", "git@«domain»:«eword»/«eword».git", "s3://«slug»/«eword»/«file»",
    ),
    "redirect": (
        "«path»", "«path»?«pair*&»", "«path»#«slug»", "https://«domain»«path»",
        "https://«domain»«path»?«pair»", "/?redirect_to=«path»", "«slug»", "«path»?next=«path»",
        "?«pair»", "#«slug»", "/?p=«1..999»&preview=true",
        "https://«domain»/callback?code=«alnum»&state=«alnum»",
    ),
    "file": (
        "«slug».«extension»", "«eword»_«####».«extension»", "IMG_«########»_«######».jpg",
        "DSC«#####».JPG", "«native_slug».«extension»", "«words».«extension»",
        "«words» («1..9»).«extension»", "«word» & «word».«pdf|docx|jpg»",
        "Screenshot 20«10..26»-«10..12»-«10..28» at «10..23».«10..59».«10..59».png",
        "«last»_«first»_CV.pdf", "«words» - copy.«extension»", "«eword»-v«1..9».«0..9».zip",
        "«word»'s «word».«extension»", "«words» [«eword»].«mp3|mp4|mkv»",
        "Report Q«1..4» 20«10..26» - final, «first».xlsx", "«hash».«extension»",
        "«uuid».«extension»", "«eword».«hex8».«js|css»", "image.png", "blob", "README", "Makefile",
        ".«eword»", "«eword».«eword».«eword».js", "Unbenannt-«1..9».«psd|ai»", "«eword»@2x.png",
        "«eword»-«100..2000»x«100..2000».«jpg|webp»", "~$«words».docx",
        "«words»+«words».«pdf|epub»", "«1..99»% «word».txt", "#«1..9» «words».txt",
        "«word», «word» and «word».pdf",
    ),
    "file_path": (
        "C:\\fakepath\\«file»", "C:\\Users\\«first»\\Documents\\«file»", "D:\\«words»\\«file»",
        "\\\\«eword»\\share\\«words»\\«file»", "/home/«eword»/«file»",
        "/var/www/«eword»/uploads/«file»", "/Users/«first»/Desktop/«file»",
        "«eword»/«eword»/«file»", "./«eword»/«file»", "src/«eword»/«eword».«py|ts|go|rs|java»",
        "uploads/20«10..26»/«01|06|12»/«file»", "«eword»::«eword»", "com.«eword».«eword».«eword»",
        "«eword»/«slug»@«version»", "~/«eword»/«file»", "@«eword»/«slug»",
    ),
    "route": (
        "/«eword»/:id", "/«eword»/{id}", "/«eword»/{«eword»}/«eword»", "/«eword»/*",
        "^/«eword»/(\\d+)$", "/«eword»/<int:id>", "/(«eword»|«eword»)/.*", "**/*.«js|ts|md»",
        "!«eword»/**", "*.«eword».com", "/«eword»/[id]", "[a-z0-9-]+", "^[A-Z]{2}\\d{4}$",
    ),
}  # fmt: skip
