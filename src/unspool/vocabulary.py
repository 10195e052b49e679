"""Symbols and their codes: a symbol's code is its position in the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unspool.errors import DataError

__all__ = ["BEGIN", "BYTES", "END", "PADDING", "UNKNOWN", "Vocabulary"]

PADDING, UNKNOWN, BEGIN, END = "<pad>", "<unk>", "<begin>", "<end>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_SPECIAL = (PADDING, UNKNOWN, BEGIN, END)


class Vocabulary:
    """An ordered set of symbols, headed by padding, unknown, begin and end.

    With `fallback`, an unknown symbol is spelled by its UTF-8 bytes, 256 symbols of their own, so every text has a code and gets
    it back exactly; without it, an unknown symbol becomes `<unk>`.
    """

    def __init__(self, symbols: Iterable[str] = (), *, fallback: bool = False):
        self.fallback = fallback
        head = _SPECIAL + (BYTES if fallback else ())
        known = set(head)
        self.symbols: list[str] = [*head, *dict.fromkeys(s for s in symbols if s not in known)]
        self._code = {symbol: code for code, symbol in enumerate(self.symbols)}

    padding, unknown, begin, end = range(4)

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._code

    def __getitem__(self, symbol: str) -> int:
        """The code of a symbol that is known; KeyError otherwise."""
        return self._code[symbol]

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """The codes of the symbols."""
        codes: list[int] = []
        for symbol in symbols:
            code = self._code.get(symbol)
            if code is not None:
                codes.append(code)
            elif self.fallback:
                codes.extend(len(_SPECIAL) + byte for byte in symbol.encode("utf-8", "surrogatepass"))
            else:
                codes.append(self.unknown)
        return codes

    def decode(self, codes: Sequence[int], separator: str = "") -> str:
        """The text of the codes: begin, end and padding are silent, bytes are joined (what is no UTF-8 shows as U+FFFD)."""
        parts: list[bytes] = []
        first_symbol = len(_SPECIAL) + len(BYTES)
        for code in codes:
            if self.fallback and len(_SPECIAL) <= code < first_symbol:
                parts.append(bytes([code - len(_SPECIAL)]))
            elif code not in (self.padding, self.begin, self.end):
                parts.append(self.symbols[code].encode("utf-8", "surrogatepass"))
        return separator.encode().join(parts).decode("utf-8", "replace")

    def grown(self, symbols: Iterable[str]) -> Vocabulary:
        """This vocabulary with further symbols after its own, whose codes stay as they are."""
        own = self.symbols[len(_SPECIAL) + (len(BYTES) if self.fallback else 0) :]
        return Vocabulary([*own, *symbols], fallback=self.fallback)

    def to_json(self) -> dict[str, object]:
        return {"symbols": self.symbols, "fallback": self.fallback}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Vocabulary:
        symbols = data.get("symbols")
        if not isinstance(symbols, list) or tuple(symbols[:4]) != _SPECIAL:
            raise DataError(f"a stored vocabulary starts with {', '.join(_SPECIAL)}; this one does not")
        vocabulary = cls(symbols, fallback=bool(data.get("fallback")))
        if vocabulary.symbols != symbols:
            raise DataError("a stored vocabulary holds a symbol twice, or lacks the bytes of its fallback")
        return vocabulary
