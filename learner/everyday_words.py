"""Words and phrases in the language of the value at hand.

Faker has lists of words for some languages only, and English among them for no grammar: other
languages come from the short lists here, English phrases from documents.
"""

# ruff: noqa: RUF001 - other scripts and typographic marks are the point here

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from cnaf.learner.everyday_documents import vocabulary, word_runs
from cnaf.learner.everyday_grammar import Draw

__all__ = ["SPACELESS", "english_word", "phrase", "word"]

#: Languages that put no space between words, and end a sentence with a mark of their own.
SPACELESS = ("ja_JP", "zh_CN", "zh_TW", "th_TH")
#: Whose words a locale speaks, where that is not its own.
_SPEAKS: Mapping[str, str] = {
    "de_AT": "de_DE", "de_CH": "de_DE", "fr_CA": "fr_FR", "es_MX": "es_ES", "es_AR": "es_ES",
    "nl_BE": "nl_NL", "ar_DZ": "ar_AA", "pt_PT": "pt_BR",
}  # fmt: skip
_WORDS: Mapping[str, str] = {
    "pt_BR": """a o que não de em um para com uma os no se na por mais as dos como mas foi ao ele
        das tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela
        entre era depois sem mesmo aos ter seus quem nas me esse eles você essa num nem casa ano
        preço entrega promoção grátis coração São João ação informação endereço telefone
        avaliação produto camisa sapato viagem praia cozinha saúde notícias receita água fácil""",
    "sv_SE": """och det att i en jag hon som han på den med var sig för så till är men ett om hade
        de av icke mig du henne då sin nu har inte hans honom skulle hennes där min man ej vid kunde
        något från ut när efter upp vi dem vara vad över än dig kan här ha mot alla under någon
        eller allt mycket sedan hus bil sjö räksmörgås gård skola pris köp frågor öppettider""",
    "no_NO": """og i jeg det at en et den til er som på de med han av ikke der så var meg seg men
        ett har om vi min mitt ha hadde hun nå over da ved fra du ut sin dem oss opp man kan hans
        hvor eller hva skal selv sjøl her alle vil bli ble blei blitt kunne inn når være kom noen
        noe ville dere deres kun hytte fjord kjøp pris båt skole nyheter øl ærlig år""",
    "fi_FI": """ja on ei se että hän oli en mutta niin minä kun ovat olen tämä mitä sinä kuin sen
        mies jos joka nyt vain myös sitten jotka ole mukaan vuonna suomen ennen jälkeen hyvä päivää
        kiitos talo kesä järvi sauna työ yö äiti isä ystävä hinta tilaus osoite puhelin käyttäjä
        tuote koulu uutiset kauppa vapaa ilmoitus matka ruoka kahvi terveys""",
    "hu_HU": """a az és hogy nem is egy van ez azt csak de ha volt meg már még mint vagy ki lesz
        nagyon jó itt ott amikor minden szép ház kocsi munka idő gyerek víz kenyér köszönöm kérem
        ár rendelés cím telefon termék iskola hírek bolt szabad utazás étel kávé egészség könyv
        város ország őszi fűszer tűz zöld kék piros""",
    "ro_RO": """și în a la de cu un o pe care nu este din mai sau că pentru fi prin ce după sunt
        au fost lui ei acest această când foarte bine casă mașină muncă timp copil apă pâine
        mulțumesc vă rog preț comandă adresă telefon produs școală știri magazin liber călătorie
        mâncare cafea sănătate carte oraș țară roșu verde""",
    "hr_HR": """i u je se na da za su od s a koji ne kao o iz što to ili bi do po samo kako još bio
        ali koje sve ima kada prije danas kuća auto posao vrijeme dijete voda kruh hvala molim
        cijena narudžba adresa telefon proizvod škola vijesti trgovina slobodno putovanje hrana
        kava zdravlje knjiga grad zemlja čaj šuma žuto ćevapi""",
    "sk_SK": """a v sa na je že to s z o do ako ale za by po si aj od pre som už ktorý pri tak len
        bol ich k čo alebo keď jeho veľmi dobrý deň dom auto práca čas dieťa voda chlieb ďakujem
        prosím cena objednávka adresa telefón výrobok škola správy obchod voľný cesta jedlo káva
        zdravie kniha mesto krajina ľúbiť žltý""",
    "tr_TR": """ve bir bu da de için ile çok ne daha gibi o ben var en kadar sonra ama olan olarak
        değil mi her şey iyi güzel ev araba iş zaman çocuk su ekmek teşekkür ederim lütfen fiyat
        sipariş adres telefon ürün okul haber mağaza ücretsiz seyahat yemek kahve sağlık kitap
        şehir ülke kırmızı yeşil İstanbul'da Ankara'nın""",
    "id_ID": """yang dan di ini itu dengan untuk tidak dari dalam akan pada juga saya ke karena
        ada mereka sudah kita bisa atau hanya orang anak rumah mobil kerja waktu air makan terima
        kasih tolong harga pesanan alamat telepon produk sekolah berita toko gratis perjalanan
        makanan kopi kesehatan buku kota negara merah hijau hari-hari anak-anak""",
    "hi_IN": """और के है में की को से का यह पर एक नहीं ने हैं भी कि तो ही जो कर इस था लिए या कुछ अपने
        साथ बहुत घर गाड़ी काम समय बच्चा पानी रोटी धन्यवाद कृपया मूल्य पता फ़ोन विद्यालय समाचार दुकान
        यात्रा भोजन चाय स्वास्थ्य पुस्तक शहर देश लाल हरा""",
    "ko_KR": """이 그 저 것 수 등 들 및 에서 그리고 하지만 오늘 내일 어제 집 차 일 시간 아이 물
        감사합니다 부탁합니다 가격 주문 주소 전화 제품 학교 뉴스 가게 무료 여행 음식 커피 건강 책
        도시 나라 빨강 초록 안녕하세요 사랑해요 좋아요 검색 회원가입 로그인 비밀번호 게시판 댓글""",
}  # fmt: skip


def english_word(draw: Draw) -> str:
    """Return an English word: one of the thousand that everyone uses, or one of a manual."""
    if draw.often(0.5):
        return draw.one(vocabulary())
    return draw.voice_of("en_US").word()


def phrase(draw: Draw, low: int, high: int) -> list[str]:
    """Return so many words of the value's language; English ones make sense together, mostly."""
    count = draw.count(low, high)
    if not draw.locale.startswith("en_"):
        return [word(draw) for _ in range(count)]
    words: list[str] = []
    while len(words) < count:
        if draw.often(0.3):
            words.append(english_word(draw))
            continue
        run = draw.one(word_runs())
        start = draw.random.randrange(len(run))
        words += run[start : start + count - len(words)]
    return words


def word(draw: Draw) -> str:
    """Return a word of the value's language."""
    if draw.locale.startswith("en_"):
        return english_word(draw)
    speaks = _SPEAKS.get(draw.locale, draw.locale)
    if speaks in _WORDS:
        return draw.one(_own_words(speaks))
    return draw.voice_of(speaks).word()


@cache
def _own_words(locale: str) -> tuple[str, ...]:
    return tuple(_WORDS[locale].split())
