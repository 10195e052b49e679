"""From a file on disk to its characters and lines, a block at a time, so that memory does not grow with the file.

Everything that can be wrong with the bytes is found here: a missing file, damaged compression, binary data, another encoding.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from unspool.errors import DataError, did_you_mean

__all__ = ["BLOCK", "PACKERS", "blocks", "characters", "lines", "raw_lines", "there", "whole"]

BLOCK = 1 << 16  # bytes read at a time, hence the most characters handed out at a time
PACKERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
# UTF-32 stands first: its little-endian mark begins with that of UTF-16.
WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def there(path: Path) -> None:
    """DataError, with the name that was perhaps meant, where there is no such file or folder."""
    if not path.exists():
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no file or folder {path}{did_you_mean(path.name, near)}")


def _open(path: Path) -> IO[bytes]:
    if path.is_dir():
        raise DataError(f"{path} is a folder, where a file was expected")
    try:
        return PACKERS.get(path.suffix.lower(), open)(path, "rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}") from None


def blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked if its name ends in one of `PACKERS`; at most `BLOCK` at a time.

    Raises `DataError` if the file cannot be opened or read, or if its compressed data is damaged or cut short.
    """
    with _open(path) as stream:
        done = 0
        while True:
            try:
                block = stream.read(BLOCK)
            except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
                if path.suffix.lower() not in PACKERS:
                    raise DataError(f"{path} cannot be read after byte {done}: {error}") from None
                remedy = "fetch or pack the file again"
                raise DataError(f"{path}: its compressed data is damaged after {done} good bytes ({error}); {remedy}") from None
            if not block:
                return
            done += len(block)
            yield block


def characters(path: Path) -> Iterator[str]:
    """The file's text unchanged, without a byte-order mark; at most `BLOCK` characters at a time.

    UTF-8 is expected; UTF-16 and UTF-32 are read too where a byte-order mark announces them. Raises `DataError` for binary data
    and other encodings, with the place in bytes and lines (of the unpacked text, if the file is compressed).
    """
    decoder, offset, line = codecs.getincrementaldecoder("utf-8")(), 0, 1
    wide = False
    for block in blocks(path):
        if offset == 0:
            encoding = next((name for mark, name in WIDE if block.startswith(mark)), "utf-8")
            decoder, wide = codecs.getincrementaldecoder(encoding)(), encoding != "utf-8"
            if block.startswith(codecs.BOM_UTF8):
                block, offset = block[3:], 3
        if not wide and (zero := block.find(0)) >= 0:
            raise DataError(f"{path} is not a text file: there is a NUL byte at byte {offset + zero}")
        text = _decode(path, decoder, block, offset, line)
        offset += len(block)
        line += text.count("\n")
        if text:
            yield text
    _decode(path, decoder, b"", offset, line)


def _decode(path: Path, decoder: codecs.IncrementalDecoder, block: bytes, offset: int, line: int) -> str:
    """Decode one block that starts at byte `offset` in line `line`; an empty one ends the file."""
    waiting = len(decoder.getstate()[0])  # the first bytes of a character that the last block cut in two
    try:
        return decoder.decode(block, not block)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        line += error.object[: error.start].count(b"\n")
        name = "UTF-8" if error.encoding == "utf-8" else error.encoding.upper() + ", which its first bytes announce"
        where = f"byte 0x{byte:02X} at byte {offset - waiting + error.start} in line {line} ({error.reason})"
        raise DataError(
            f"{path} is not {name}: {where}; save it as UTF-8, for example: iconv -f latin1 -t utf-8 '{path}' > NEWFILE"
        ) from None


def lines(path: Path, longest: int, remedy: str) -> Iterator[str]:
    r"""The file's lines without their ends, which may be "\n", "\r\n" or "\r". Errors as `raw_lines`."""
    newline = io.IncrementalNewlineDecoder(None, True)

    def translated() -> Iterator[str]:
        for text in characters(path):
            yield newline.decode(text)
        yield newline.decode("", True)

    for line in _split(path, translated(), longest, remedy):
        yield line.removesuffix("\n")


def raw_lines(path: Path, longest: int, remedy: str) -> Iterator[str]:
    r"""The file's lines as they stand, each with its "\n".

    Raises `DataError` for a line of more than `longest` characters, with `remedy` as the sentence's end, and as `characters`.
    """
    return _split(path, characters(path), longest, remedy)


def _split(path: Path, texts: Iterator[str], longest: int, remedy: str) -> Iterator[str]:
    number, rest, size = 1, list[str](), 0  # `rest`: the pieces of a line that the blocks cut
    for text in texts:
        for piece in text.split("\n")[:-1] if "\n" in text else ():
            line = "".join([*rest, piece, "\n"])
            if len(line) > longest + 1:
                raise _too_long(path, number, longest, remedy)
            yield line
            number, rest, size = number + 1, [], 0
        tail = text[text.rfind("\n") + 1 :]
        rest.append(tail)
        size += len(tail)
        if size > longest:
            raise _too_long(path, number, longest, remedy)
    if size:
        yield "".join(rest)


def _too_long(path: Path, number: int, longest: int, remedy: str) -> DataError:
    return DataError(f"{path}, line {number} is longer than {longest:,} characters; {remedy}")


def whole(text: str) -> str:
    r"""The text, with U+FFFD for half a character, which nothing can write to a file. JSON can spell one ("\ud83d"), and a wrong
    byte on a command line is one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
