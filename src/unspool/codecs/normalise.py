"""Texts brought to a common form before they are read, so that a model spends nothing on what it cannot learn.

`tweets` follows the preprocessing published with the GloVe Twitter vectors (Pennington, Socher & Manning 2014,
`preprocess-twitter.rb`). It departs from it where the script harms the text: words in capitals are marked one by one,
punctuation that ends a number, an address or a tag stays outside, and a smiley must stand apart from a neighbouring word.
"""

from __future__ import annotations

import re

__all__ = ["MARKERS", "split", "tweets"]

MARKERS: tuple[str, ...] = (
    "<url>",
    "<user>",
    "<hashtag>",
    "<number>",
    "<allcaps>",
    "<elong>",
    "<repeat>",
    "<smile>",
    "<lolface>",
    "<sadface>",
    "<neutralface>",
    "<heart>",
)
ANY = "|".join(MARKERS)
APART = "|".join(marker for marker in MARKERS if marker != "<number>")  # a number may touch a word: 1st, G20

# What stands next to a word must be judged alike in a second pass, where a marker may have taken the word's place.
STARTS = r"(?<!\w)" + "".join(f"(?<!{marker})" for marker in MARKERS)
ENDS = rf"(?!\w|{ANY})"
LETTER, ADDRESS = r"[^\W\d_]", r"(?i:https?:/)"  # an address may follow a word or a tag without a space
URL = rf"(?:{ADDRESS}|(?i:www\.)(?=\w))(?:[^\s<>]*[\w/])?|(?<!{LETTER})htt\w{{,2}}…"
FIRST = re.compile(  # what decides how its neighbours are read
    rf"""
    (?P<marker> (?ai:{ANY}) )
  | (?P<url>    {URL} )
  | (?P<tag>    {STARTS}\#(?=\w*[^\W_])(?P<body>(?:(?!{ADDRESS})\w)+) )
    """,
    re.VERBOSE,
)
SCAN = re.compile(
    rf"""
    (?P<marker>      {ANY} )
  | (?P<url>         {URL} )  # in what was a tag
  | (?P<user>        {STARTS} @(?:(?!{ADDRESS})\w)+ )
  | (?P<smile>       [:=;]['`-]?\)+ | {STARTS}8-\)+ | {STARTS}[:=;]['`-]?[dD]+(?!{LETTER}) | (?<!\S)\(+['`-]?[:=;](?!\S) )
  | (?P<lolface>     {STARTS}[:=;]['`-]?[pP]+(?!{LETTER}) )
  | (?P<sadface>     [:=;]['`-]?\(++{ENDS} | (?<!\S)\)+['`-]?[:=;](?!\S) )
  | (?P<neutralface> [:=;]['`-]?[/|*](?![/|*]){ENDS} )
  | (?P<heart>       <3+(?![\d.,:]*[\d%]) )
  | (?P<number>      (?:{STARTS}[-+]?\.?)?\d+(?:[.,:]\d+)* )
  | (?P<repeat>      [!?.]{{2,}} )
  | (?P<word>        (?:(?!{ADDRESS}){LETTER})+(?:['\u2019](?:(?!{ADDRESS}){LETTER})+)* )
  | (?P<other>       . )
    """,
    re.VERBOSE | re.DOTALL,
)
ELONGATED = re.compile(rf"({LETTER})\1{{2,}}$")
POSSESSIVE = re.compile(r"['\u2019][sS]$")
BEFORE = re.compile(rf"(?<=\w)(?={APART})")
AFTER = re.compile(rf"(?:{APART})(?=\w|{ANY})|<number>(?={ANY})")
SYMBOL = re.compile(rf"{ANY}|.", re.DOTALL)


def tweets(text: str) -> str:
    """`text` in lower case and on one line, with what matters only by its kind replaced by one of `MARKERS`.

    Addresses, user names, numbers, hearts and smileys become their marker; `#MakeItSo` becomes `<hashtag> make it so`; WORDS in
    capitals, wordsss that end on one letter thrice and repeated punctuation!!! are shortened and followed by theirs. The entities
    `&amp; &lt; &gt; &quot; &#39;` are undone. What is normalised already stays as it is.
    """
    text = _unescape(text).replace("İ", "I")  # lower() would make two characters of it
    text = _space(FIRST.sub(_first, " ".join(text.split())))
    return " ".join(_space(SCAN.sub(_symbol, text)).split())


def split(text: str) -> list[str]:
    """The symbols of a normalised text: each marker is one, each other character is one. Joined, they are `text` again."""
    return SYMBOL.findall(text)


def _space(text: str) -> str:
    """`text` with a space between a marker and the word or marker it touches."""
    return AFTER.sub(r"\g<0> ", BEFORE.sub(" ", text))


def _symbol(match: re.Match[str]) -> str:
    found, kind = match.group(), match.lastgroup
    if kind in ("marker", "other"):
        return found.lower()
    if kind == "repeat":
        return f"{found[-1]} <repeat>"
    return _word(found) if kind == "word" else f"<{kind}>"


def _word(word: str) -> str:
    lower, stem = word.lower(), POSSESSIVE.sub("", word)
    long = ELONGATED.search(lower)
    if long and long.start() == 0 and len(lower) == 3:
        long = None  # III, www, AAA: a numeral or a name
    short = lower[: long.start() + 1] if long else lower
    return short + " <allcaps>" * _is_capital(stem) + " <elong>" * bool(long)


def _first(match: re.Match[str]) -> str:
    """Addresses and markers, and a tag's words, parted where a capital, a number or an underscore parts them."""
    body, parted = match["body"], ""
    if body is None:
        return "<url>" if match["url"] else match.group().lower()
    for before, this, after in zip(" " + body, body, body[1:] + " ", strict=False):
        capital = this.isupper() and (not before.isupper() or after.islower())
        parted += " " * (capital or this.isdecimal() != before.isdecimal()) + this
    return f"<hashtag> {parted.replace('_', ' ').lower()}" + " <allcaps>" * _is_capital(body)


def _is_capital(text: str) -> bool:
    # Mathematical letters count as capitals but have no lower case: a second pass would mark them again.
    return sum(map(str.isalpha, text)) > 1 and text.isupper() and text.lower() != text


def _unescape(text: str) -> str:
    text = re.sub("(?i)&(?:amp;)+", "&", text)  # some collections are escaped twice
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'")):
        text = re.sub(f"(?i){entity}", character, text)
    return text
