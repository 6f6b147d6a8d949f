"""In which encoding a text file is written; and the file as UTF-8, with a mark in place of what is no text in it.

One line in another encoding than the rest (two exports in one file, a text that was cut in the middle of a sign) does not change how the rest
is read. GB18030 reads nearly everything, so that a line of UTF-8 is told by its being valid: Chinese text in GB18030 never is, but for a few
words of signs that UTF-8 writes in two bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from forecasting.errors import InputError

NO_TEXT = "\ufffd"  # stands for what cannot be read
LONGEST_LINE = 8 << 20  # bytes; a longer one is no line of a table
_BLOCK = 1 << 22  # bytes read at once
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Encoding:
    """How a file is written.

    Attributes:
        name: utf-8, utf-8-sig or gb18030.
        clean: every byte of it is text in this encoding.
    """

    name: str
    clean: bool


def detect(stream: BinaryIO, where: str) -> Encoding:
    """Reads a file to its end and tells its encoding.

    Raises:
        InputError: the file is empty, most of it is neither UTF-8 nor GB18030, or a line has no end.
    """
    chinese = accents = gb18030 = neither = 0  # lines that are not ASCII; the first two are valid UTF-8
    nul = False
    start = b""
    for block in _blocks(stream, where):
        start = start or block[:4]
        nul = nul or b"\0" in block
        if block.isascii():
            continue
        valid = _reads(block, "utf-8")
        for line in block.splitlines():
            if line.isascii():
                continue
            if valid or _reads(line, "utf-8"):
                surely = _surely_utf8(line)
                chinese, accents = chinese + surely, accents + (not surely)
            elif _reads(line, "gb18030"):
                gb18030 += 1
            else:
                neither += 1
    if not start:
        raise InputError("is empty", where)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is written in UTF-16", where, "save it as CSV in UTF-8")
    if neither > chinese + accents + gb18030:
        raise InputError("is neither UTF-8 nor GB18030", where, "save it in UTF-8")
    if gb18030 == 0 or 2 * chinese + accents > 2 * gb18030:  # signs of two bytes prove less
        return Encoding("utf-8-sig" if start.startswith(_BOM) else "utf-8", clean=not (nul or gb18030 or neither))
    return Encoding("gb18030", clean=not (nul or chinese or neither))


def utf8_blocks(stream: BinaryIO, encoding: Encoding, where: str) -> Iterator[bytes]:
    """A file as UTF-8, in blocks of whole lines."""
    first = True
    for block in _blocks(stream, where):
        if first and block.startswith(_BOM):
            block = block[len(_BOM) :]
        first = False
        if encoding.clean:
            yield block if encoding.name != "gb18030" else block.decode("gb18030").encode()
        else:
            yield b"".join(_mended(line, encoding) for line in block.splitlines(keepends=True))


def _mended(line: bytes, encoding: Encoding) -> bytes:
    if encoding.name != "gb18030":
        text = line.decode("utf-8", "replace")
    elif _reads(line, "utf-8") and _surely_utf8(line):
        text = "".join(sign if sign.isascii() else NO_TEXT for sign in line.decode())
    else:
        text = line.decode("gb18030", "replace")
    return text.replace("\0", NO_TEXT).encode()


def _blocks(stream: BinaryIO, where: str) -> Iterator[bytes]:
    rest, lines = b"", 0
    while block := stream.read(_BLOCK):
        block = rest + block
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1  # a last '\r' may have its '\n' in the next block
        if end == 0 and len(block) > LONGEST_LINE:
            raise InputError(f"line {lines + 1} is longer than {LONGEST_LINE >> 20} MB", where, "export it again, one row a line")
        rest = block[end:]
        if end:
            lines += block.count(b"\n", 0, end)
            yield block[:end]
    if rest:
        yield rest


def _surely_utf8(line: bytes) -> bool:
    """Whether a line of valid UTF-8 holds a sign of three bytes or more."""
    return any(byte >= 0xE0 for byte in line)


def _reads(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
