"""Finds failures of this machine among those of the servers it talks to: resolver, network, trust."""

import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: The resolver itself does not answer, or has no room to: says nothing about the name.
_RESOLVER: Final = {
    number
    for name in ("EAI_AGAIN", "EAI_FAIL", "EAI_MEMORY", "EAI_SYSTEM")
    if (number := getattr(socket, name, None)) is not None
}
#: No route, no port, no descriptor, no memory, or a firewall of ours: nothing was sent to the server.
_LOCAL: Final = {
    errno.EACCES,
    errno.EADDRNOTAVAIL,
    errno.EAGAIN,
    errno.EMFILE,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EPERM,
}
#: OpenSSL's numbers: an issuer that is not known here, and a certificate from the future.
_UNKNOWN_ISSUER: Final = {2, 19, 20, 21}
_NOT_YET_VALID: Final = {9, 11}


def own_failure(error: BaseException, tls: ssl.SSLContext) -> str:
    """Return what is wrong with this machine if `error`, or what caused it, says so; "" if it does not.

    Of a resolver's failure use `is_of_resolver`: a broken zone looks the same.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _of_trust(cause, tls)
        # The numbers of OpenSSL and of resolvers mean something else.
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            continue
        if isinstance(cause, OSError) and cause.errno in _LOCAL:
            return f"this machine cannot connect: {(cause.strerror or str(cause)).lower()}"
    return ""


def is_of_resolver(error: BaseException) -> bool:
    """Whether a resolver failed without saying that there is no such name."""
    return any(isinstance(cause, socket.gaierror) and cause.errno in _RESOLVER for cause in _causes(error))


def _of_trust(error: ssl.SSLCertVerificationError, tls: ssl.SSLContext) -> str:
    if error.verify_code in _NOT_YET_VALID:
        return "this machine's clock is behind: a certificate is not yet valid"
    if error.verify_code in _UNKNOWN_ISSUER and not _trusts_any(tls):
        return "this machine trusts no certificate authority: install ca-certificates, or see SSL_CERT_FILE"
    return ""


def _trusts_any(tls: ssl.SSLContext) -> bool:
    """Whether there is any authority: one that was loaded, or a file in the folder that is read on demand."""
    if tls.cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath or ""
    return Path(folder).is_dir() and any(Path(folder).iterdir())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
