"""Values that browsers and clients put into headers and cookies, and what looks like them."""

from __future__ import annotations

from cnaf.learner.everyday_grammar import Rules

__all__ = ["PROTOCOL_RULES"]

PROTOCOL_RULES: Rules = {
    "mime": (
        "«image|audio|video»/«png|jpeg|webp|gif|mp4|ogg|*»",
        "application/«json|pdf|zip|xml|octet-stream|javascript|x-www-form-urlencoded»",
        "text/«html|plain|css|csv|calendar|x-component|event-stream|markdown»; charset="
            "«utf-8|UTF-8|iso-8859-1»",
        "multipart/form-data; boundary=----WebKitFormBoundary«alnum»",
        "application/vnd.«word».«word»+json", "application/vnd.«word».v«1..9»+json;q=0.«1..9»",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.«5..9»",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "*/*",
        "image/svg+xml", "font/woff«|2»", "application/json, text/plain, */*",
    ),
    "locale": (
        "«en|de|fr|es|it|pt|nl|ru|ja|zh|ko|ar|he|pl|cs|tr|uk|sv»",
        "«en|fr|es|de|pt|zh»«_|-»«US|GB|CA|FR|ES|MX|DE|AT|CH|BR|CN|TW»",
        "zh-«Hans|Hant»-«CN|TW|HK»", "«en-US|de-DE|fr-FR|it-IT|pl-PL»,«en|de|fr|it|pl»;q=0.«5..9»",
        "«de|fr|cs|sv»,en-US;q=0.«7..9»,en;q=0.«3..6»",
        "en-US,en;q=0.9,«de|fr|es|ru|ja»;q=0.8,«de|fr|es|ru|ja»;q=0.7",
        "«Europe|America|Asia|Africa|Australia»/"
            "«Berlin|New_York|Los_Angeles|Tokyo|Kolkata|Lagos|Sydney|Sao_Paulo|Prague»",
        "UTC«+|-»«1..12»", "UTC", "GMT+0«1..9»00", "«en|fr|de»_«US|FR|DE».UTF-8",
        "America/Argentina/Buenos_Aires", "«en|de|fr»,«es|it|pt»", "i-default", "sr-Latn-RS", "*",
        "US/Pacific", "(GMT-0«1..9»:00) Mountain Time",
    ),
    "agent": (
        "Mozilla/5.0 («platform») AppleWebKit/537.36 (KHTML, like Gecko) Chrome/«80..140».0."
            "«0..6000».«0..200» Safari/537.36",
        "Mozilla/5.0 («platform») AppleWebKit/537.36 (KHTML, like Gecko) Chrome/«80..140»"
            ".0.0.0 «Mobile Safari|Safari»/537.36 «Edg|OPR»/«80..140».0.0.0",
        "Mozilla/5.0 («platform»; rv:«80..140».0) Gecko/20100101 Firefox/«80..140».0",
        "Mozilla/5.0 («platform») AppleWebKit/605.1.15 (KHTML, like Gecko) Version/«12..19»."
            "«0..6» «Mobile/15E148 |»Safari/60«4|5».1«|.15»",
        "«word»-«client|bot|sdk|cli»/«version»",
        "«word»Bot/«1..4».«0..9» (+https://«domain»/bot.html)", "okhttp/«3|4».«0..12».«0..9»",
        "python-requests/2.«20..32».«0..5»", "axios/1.«0..9».«0..9»", "Go-http-client/«1.1|2.0»",
        "kube-probe/1.«20..32»", "curl/«7|8».«0..90».«0..2»", "PostmanRuntime/7.«20..43».«0..5»",
        "WordPress/6.«0..8».«1..3»; https://«domain»",
        "Dalvik/2.1.0 (Linux; U; Android «8..15»; SM-G9«##»F Build/«code8»)",
        "Dart/3.«0..7» (dart:io)", "«word»/«version» CFNetwork/14«##» Darwin/2«#».«0..6».0",
        "GuzzleHttp/7", "Java/17.0.«1..12»",
        "Mozilla/5.0 (compatible; «word»/2.1; +http://www.«domain»/about)",
        '"Chromium";v="«80..140»", "Google Chrome";v="«80..140»", "Not?A_Brand";v="«8..99»"',
        '"«Windows|macOS|Linux|Android»"',
    ),
    "platform": (
        "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_«0..7»",
        "X11; Linux x86_64", "X11; Ubuntu; Linux x86_64", "Linux; Android «8..15»; Pixel «3..9»",
        "Linux; Android 1«0..5»; SM-A«###»F", "iPhone; CPU iPhone OS 1«3..8»_«0..6» like Mac OS X",
        "iPad; CPU OS 1«3..8»_«0..6» like Mac OS X", "Linux; Android 10; K",
        "X11; CrOS x86_64 14541.0.0", "Windows NT 6.1; WOW64",
    ),
    "cookie": (
        "GA1.«1|2».«#########».«##########»",
        "GS1.1.«##########».«1..99».«0|1».«##########».«0..60».0.0",
        "fb.1.«#############».«#########»", "s:«alnum».«base64»",
        "«eword»|«##########»|«alnum»|«hash»",
        "«eword»=«1..9»&«eword»=«eword»&libraryContent=browse",
        "«##########».«#########».«##########».«##########».«1..9»"
            ".1.utmcsr=(direct)|utmccn=(direct)|utmcmd=(none)",
        "{\"«eword»\":true,\"«eword»\":false,\"ts\":«#############»}",
        "{stamp:\"«alnum»\",necessary:true,preferences:false,ver:«1..3»,utc:«#############»}",
        "groups=C0001:1,C0002:«0|1»,C0003:«0|1»&datestamp=«moment»&version=6.«10..40».0",
        "«alnum»--«hash»", "a:«1..3»:{i:0;s:5:\"«eword»\";i:1;i:«1..9»;}", "«eword».«hex8».«1..99»",
        "\"«base64»|«##########»|«hash»\"", "«hash»:«hash»", "v2_«alnum»_«hex8»",
        "«alnum»~«alnum»~«alnum»", "«##########»_«alnum»", "«0|1»",
        "«eword»:«eword»,«eword»:«eword»", "«hash»|«eword»", "dark", "accepted", "en-US|USD|US",
        "«uuid»|«##########»", "%7B«eword»%7D", "[«1..99»,«1..99»,«1..99»]",
        "«number».«number».«alnum»", "1!«alnum»=", "«eword»#«hash»#«##########»", "«base64».«hash»",
        "«jwt»",
    ),
    "header": (
        "W/\"«hash»\"", "\"«hex8»-«hex8»\"", "\"«hash»\", W/\"«hex16»\"",
        "gzip, deflate, br«|, zstd»", "gzip;q=1.0, identity; q=0.5, *;q=0", "bytes=«0..9999»-",
        "bytes=0-«1..99999», -«1..999»", "max-age=«0..9999», private", "no-cache",
        "keep-alive, Upgrade", "1.1 «eword» (squid/«1..5».«0..9»)",
        "for=«ip»;proto=https;host=«domain»", "«ip», «ip», «ip»",
        "00-«hex16»«hex16»-«hex16»-0«0|1»", "«eword»=«alnum»,«eword»@«eword»=«hex8»",
        "Basic «base64»", "Bearer «token»", "Token token=\"«hash»\"",
        "Digest username=\"«user»\", realm=\"«words»\", nonce=\"«hash»\", uri=\"«path»\","
            " qop=auth, nc=00000001, response=\"«hash»\"",
        "keyId=\"https://«domain»/users/«eword»#main-key\",algorithm=\"rsa-sha256\",headers=\""
            "(request-target) host date\",signature=\"«base64»\"",
        "form-data; name=\"«eword»\"; filename=\"«file»\"",
        "attachment; filename*=UTF-8''«slug».pdf",
        "<https://«domain»«path»>; rel=\"«next|prev|last»\"", "t=«##########»,v1=«hash»",
        "sha256=«hash»", "XMLHttpRequest", "cors", "same-origin", "document", "u=1, i", "?0", "?1",
        "websocket", "permessage-deflate; client_max_window_bits", "timeout=«1..9», max=«1..999»",
        "«eword»/«version»; «eword»; «locale»", "trailers", "return=representation; count=exact",
        "«hex16»/«####################»;o=1", "Root=1-«hex8»-«hex16»«hex8»;Sampled=1",
        "urn:«eword»:«uuid»", "«1..9»d;q=«1..9»", "default-src 'self'; img-src *",
        "com.«eword».«eword»", "resolution «eword»", "<#«slug»>; rel=preload; as=«style|image»",
        "multipart/related; type=\"text/xml\"; start=\"<«hex8»@«domain»>\"", "100-continue",
        "«money» per «word»", "«1..9», «1..99»;w=60",
    ),
}  # fmt: skip
