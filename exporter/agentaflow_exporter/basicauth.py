"""HTTP basic authentication against bcrypt hashes, at the price of one bcrypt per password.

A bcrypt of cost 10 takes about 50 ms, more than the scrape it protects. As exporter-toolkit does,
an accepted password is remembered (as a keyed digest, for this process only); a wrong one, or an
unknown user, always costs the full bcrypt, so that time tells nothing about who exists.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Mapping

_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_BCRYPT_BYTES = 72  # bcrypt has never looked at more; bcrypt 5 raises instead of ignoring the rest


class BcryptMissing(Exception):
    """Basic auth is configured and the package that checks the hashes is not installed."""


class BasicAuth:
    """Users and their bcrypt hashes. False when there are none: everybody may come in."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """Raises ValueError for what is not a bcrypt hash, BcryptMissing without the package."""
        for name, hashed in users.items():
            if not _HASH.fullmatch(hashed):
                raise ValueError(
                    f"basic_auth_users: the password of {name!r} is not a bcrypt hash; "
                    f"make one with `htpasswd -nBC 10 {name}`"
                )
        if users:
            _require_bcrypt()
        self._users = {name: hashed.encode() for name, hashed in users.items()}
        some = next(iter(self._users.values()), b"")
        self._decoy = some[:29] + some[:28:-1]  # a user's cost and salt, a digest of no password
        self._key = os.urandom(32)
        self._accepted: set[bytes] = set()
        self._one_at_a_time = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._users)

    def accepts(self, authorization: str) -> bool:
        """Whether the value of an Authorization header names a user and the right password."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            decoded = binascii.a2b_base64(credentials.strip().encode(), strict_mode=True)
            name, colon, password = decoded.partition(b":")
            hashed = self._users.get(name.decode())
        except ValueError:
            return False
        if not colon:
            return False
        right = self._check(password[:_BCRYPT_BYTES], hashed or self._decoy)
        return right and hashed is not None

    def _check(self, password: bytes, hashed: bytes) -> bool:
        digest = hmac.digest(self._key, hashed + password, hashlib.sha256)
        if digest in self._accepted:
            return True
        import bcrypt  # an extra, and memory that an exporter without basic auth does not need

        with self._one_at_a_time:  # guesses keep one core busy at most
            right = bcrypt.checkpw(password, hashed)
        if right:
            self._accepted.add(digest)
        return right


def _require_bcrypt() -> None:
    try:
        import bcrypt  # noqa: F401
    except ImportError as error:
        raise BcryptMissing(
            "basic_auth_users needs the package bcrypt; install it with "
            "`pip install 'agentaflow[bcrypt]'`"
        ) from error
