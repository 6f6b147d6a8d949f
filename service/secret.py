"""The installation's secret, which no database holds, and keys derived from it: another one for each purpose."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from forecasting.errors import InputError
from service.settings import Settings

FILE = "caller.key"  # in the data folder; named after its first purpose
BYTES = 32


def of(settings: Settings) -> bytes:
    """The secret of an installation: what `WEISU_HASH_KEY` says, else made once, in the data folder.

    Raises:
        InputError: the file cannot be written or read.
    """
    return kept(settings.data_dir, settings.hash_key.get_secret_value())


def derived(settings: Settings, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose; from it nobody learns the secret, nor the key for another purpose.

    Raises:
        InputError: as `of`.
    """
    return hmac.digest(of(settings), purpose.encode(), hashlib.sha256)


def of_keys(settings: Settings) -> bytes:
    """The key of the hashes under which API keys are stored. Raises InputError as `of`."""
    return derived(settings, "api keys")


def kept(folder: Path, given: str = "") -> bytes:
    """The secret: as given or, once made, from a file of the data folder that its owner alone can read.

    Raises:
        InputError: the file cannot be written or read.
    """
    if given:
        return given.encode()
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{FILE}.{secrets.token_hex(4)}"
        if not path.exists():
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(BYTES))
            try:
                os.link(fresh, path)  # whole or not at all; the first of two processes wins
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_text().strip().encode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read or made ({type(error).__name__})", str(path), "set WEISU_HASH_KEY or another data folder") from None
