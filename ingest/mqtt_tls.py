"""TLS to the broker: whom we trust, and in words what is wrong with a certificate and where.

Refuses to know MQTT. The authority's file is read at each connection, so that another one takes
effect without a restart.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Final

_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NOT_SIGNED: Final = (18, 19, 20, 21)
_OTHER_NAME: Final = (62, 64)


class NotTrustedError(OSError):
    """The broker's certificate does not hold; somebody must act, and the text says on what."""


def tls_context(authority: Path) -> ssl.SSLContext:
    """What trusts the authorities in a file; raises OSError that names the file."""
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"broker.tls_ca = {str(authority)!r}: {reason}") from error


def not_trusted(
    error: ssl.SSLCertVerificationError, tls: ssl.SSLContext, authority: Path, host: str, port: int
) -> NotTrustedError:
    """The same in words: what OpenSSL says, and which file or setting it is about."""
    said = f"certificate verify failed: {error.verify_message}"
    return NotTrustedError(f"TLS to {host}:{port}: {said} ({_hint(error, tls, authority, host)})")


def _hint(
    error: ssl.SSLCertVerificationError, tls: ssl.SSLContext, authority: Path, host: str
) -> str:
    file = f"broker.tls_ca = {str(authority)!r}"
    if error.verify_code == _EXPIRED and (ended := _expired_authority(tls)):
        return f"the authority in {file} expired on {ended}"
    if error.verify_code == _EXPIRED:
        return "renew the broker's certfile, then kill -HUP of mosquitto"
    if error.verify_code == _NOT_YET_VALID:
        return "look at the clock of this machine"
    if error.verify_code in _NOT_SIGNED:
        return f"it is not signed by the authority in {file}"
    if error.verify_code in _OTHER_NAME:
        return f"broker.host = {host!r} does not stand in the broker's certfile"
    return file


def _expired_authority(tls: ssl.SSLContext) -> str:
    """When an authority that we trust has expired, "" if none has."""
    for known in tls.get_ca_certs():
        ends = str(known.get("notAfter", ""))
        if ends and ssl.cert_time_to_seconds(ends) < time.time():
            return ends
    return ""
