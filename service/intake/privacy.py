"""What is personal, and what becomes of it: callers become keyed hashes, numbers in texts become stars, texts stay out unless wanted."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from service import secret
from service.intake.texts import coded, texts
from service.settings import Settings

STARS = "***"
TEXTS = ("title", "text", "closure_text")  # columns of free text
CALLER_NAME = "caller_name"  # never stored: read where texts are kept, to mask it there
HASH_DIGITS = 16  # hexadecimal: 64 bits; that any two of twenty million callers share a hash has a chance of 1 in 100,000

# Headers of columns that are about people, whoever exports them. None of them is read, but for the hash of the caller.
PERSONAL_HEADER = re.compile(
    r"来电人|诉求人|反映人|投诉人|举报人|联系人|联系方式|姓名|电话|手机|号码|身份证|证件|邮箱|微信|性别|年龄|生日"
    r"|(?:^|_)(?:e?-?mail|phone|mobile|telephone|tel|fax|gender|sex|birth\w*|ssn|caller|contact|citizen|customer|requestor|requester|complainant)"
    r"|(?:^|_)(?:first|last|full|given|family|middle)_?name|^account_id$|^device_id$"
)

# Shapes of what tells who somebody is. Digits may have one space, dash or dot between them; a longer run of digits is a code.
_GAP = r"[ \t\u3000.\-‐-―·]?"
_DIGITS = rf"(?:{_GAP}\d)"
_SHAPES = (
    rf"(?<![0-9A-Za-z])[1-9]{_DIGITS}{{16}}{_GAP}[\dXx](?![0-9A-Za-z])",  # identity card
    rf"(?<!\d)(?:(?:\+|00)?86{_GAP})?1{_GAP}[3-9]{_DIGITS}{{9}}(?!\d)",  # mobile, China
    rf"(?<!\d)(?:(?:\+|00)86{_GAP})?(?:\(0\d{{2,3}}\)|0\d{{2,3}}[ .\-‐-―]){_GAP}[2-9]{_DIGITS}{{6,7}}(?!\d)",  # landline, China
    r"(?<!\d)(?:\+?1[ .\-]?)?(?:\(\d{3}\) ?|\d{3}[ .\-])\d{3}[ .\-]\d{4}(?!\d)",  # North America
    r"(?<!\d)\+\d{1,3}(?:[ .\-]?\d{2,4}){2,5}(?!\d)",  # any country, written with its plus
    r"[\w.+%\-]+@[\w\-]+(?:\.[\w\-]+)+",  # e-mail
)
# Only in free text, where no code of an area or a category is meant.
_IN_TEXT = (
    r"(?<!\d)\d{3,4}[ \-]?\d{4,}(?!\d)",  # seven digits and more
    r"(?:姓名|联系人|来电人|反映人|诉求人|投诉人)[:： ]?[一-鿿·]{2,4}",
    r"[一-鿿]{1,3}(?=先生|女士|小姐|太太|师傅)",
    r"\b(?:Mr|Mrs|Ms|Miss|Dr)\.? [A-Z][\w'\-]+",
)
_SHAPED = re.compile("|".join(_SHAPES))
_SHAPED_IN_TEXT = re.compile("|".join((*_SHAPES, *_IN_TEXT)))
_NUMBER = re.compile(r"\+?[\d\s().\-‐-―]+")
_WITH_COUNTRY = re.compile(r"(?:00)?86(1\d{10})")
_WIDE = str.maketrans("０１２３４５６７８９＋－（）．＠", "0123456789+-().@")


@dataclass(frozen=True)
class Privacy:
    """What an installation keeps of people; by default nothing.

    Attributes:
        key: the key of the callers' hashes; without it no caller is read.
        keep_text: free texts are kept, with stars for what is personal in them.
    """

    key: bytes | None = field(default=None, repr=False)
    keep_text: bool = False

    @property
    def unread(self) -> frozenset[str]:
        """Our names of the columns that are not even read."""
        return frozenset(() if self.keep_text else (*TEXTS, CALLER_NAME)) | frozenset(() if self.key else ("caller",))

    def callers(self, column: Any) -> pd.Series:
        """An Arrow column of callers (numbers, accounts) as hashes: the same for the same number however it is written."""
        if self.key is None:
            raise ValueError("no key")
        named, key = coded(column), hashlib.sha256(self.key).digest()
        hashes = np.array([*(_hash(key, _same(label)) for label in named.cat.categories), None], dtype=object)
        return pd.Series(hashes[named.cat.codes.to_numpy()], dtype="str")


def of(settings: Settings) -> Privacy:
    """What an installation keeps of people; makes the installation's secret if there is none yet."""
    return Privacy(secret.of(settings), settings.keep_text)


def mask(text: str) -> str:
    """A short text (a code, a label, a file's name) with stars for telephone and identity numbers and addresses of e-mail."""
    plain = text.translate(_WIDE)
    return _SHAPED.sub(STARS, plain) if _SHAPED.search(plain) else text


def mask_text(text: str) -> str:
    """A free text with stars for those and for any longer number and people called by their name."""
    return _SHAPED_IN_TEXT.sub(STARS, text.translate(_WIDE))


def masked(named: pd.Series) -> pd.Series:
    """A categorical column with masked labels."""
    labels = [mask(label) for label in named.cat.categories]
    if labels == list(named.cat.categories):
        return named
    unique = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    places = np.array([*(unique[label] for label in labels), -1])
    return pd.Series(pd.Categorical.from_codes(places[named.cat.codes.to_numpy()], pd.Index(list(unique), dtype="str")))


def masked_texts(column: Any, names: Any = None) -> pd.Series:
    """An Arrow column of free texts, masked; `names` are those of the rows' callers, which no rule would find."""
    callers = texts(names).to_pylist() if names is not None else [None] * len(column)
    pairs = zip(texts(column).to_pylist(), callers, strict=True)
    return pd.Series([None if text is None else mask_text(_without(text, name)) for text, name in pairs], dtype="str")


def _without(text: str, name: str | None) -> str:
    return text if name is None or len(name) < 2 else text.replace(name, STARS)  # a single letter is no name


def _same(caller: str) -> str:
    """What is the same for a number however it is written; an account as it is but for capitals."""
    plain = (caller if caller.isascii() else caller.translate(_WIDE)).strip().lower()
    if (plain.isalnum() and not plain.isdigit()) or not _NUMBER.fullmatch(plain):
        return plain
    digits = re.sub(r"\D", "", plain)
    abroad = _WITH_COUNTRY.fullmatch(digits)
    return abroad[1] if abroad else digits


def _hash(key: bytes, caller: str) -> str:
    # BLAKE2 with a key is a message authentication code (RFC 7693), three times as fast as HMAC with SHA-256.
    return hashlib.blake2b(caller.encode(), key=key, digest_size=HASH_DIGITS // 2).hexdigest()
