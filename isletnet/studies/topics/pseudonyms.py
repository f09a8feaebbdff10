"""Names that say nothing: a keyed hash, whose key is never written."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from isletnet.errors import ParameterError

_CODE_SIGNS = 10
_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Codes from names by HMAC-SHA256: the same key gives the same codes, and without it no code leads back."""

    key: bytes = field(repr=False)

    def code(self, kind: str, name: str) -> str:
        """Give the code of a name; ``kind`` keeps an image and a donor of one name apart."""
        found = hmac.digest(self.key, f"{kind}\0{name}".encode(), hashlib.sha256)
        return f"{kind}-{base64.b32encode(found).decode().lower()[:_CODE_SIGNS]}"


def read_pseudonyms(key_file: str) -> Pseudonyms:
    """Take the key from a file; without a file a key is drawn and forgotten.

    Raises
    ------
    ParameterError
        The file cannot be read, or holds fewer than 16 bytes.
    """
    if not key_file:
        return Pseudonyms(secrets.token_bytes(32))
    try:
        key = Path(key_file).read_bytes().strip()
    except OSError as error:
        raise ParameterError(f"a file with a key was expected ({error.strerror})", subject=key_file) from error
    if len(key) < _SHORTEST_KEY:
        raise ParameterError(f"a key of at least {_SHORTEST_KEY} bytes was expected, {len(key)} came", subject=key_file)
    return Pseudonyms(key)
