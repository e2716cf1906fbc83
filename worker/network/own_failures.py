"""Distinguishes local failures (resolver, network, trust store) from failures of the remote server."""

import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: The resolver does not answer or is out of memory: this says nothing about the name.
_RESOLVER: Final = {
    number
    for name in ("EAI_AGAIN", "EAI_FAIL", "EAI_MEMORY", "EAI_SYSTEM")
    if (number := getattr(socket, name, None)) is not None
}
#: No route, port, descriptor or memory, or a local firewall: nothing was sent to the server.
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
#: OpenSSL's error codes: an issuer that is unknown here, a certificate that is not yet valid.
_UNKNOWN_ISSUER: Final = {2, 19, 20, 21}
_NOT_YET_VALID: Final = {9, 11}


def own_failure(error: BaseException, tls: ssl.SSLContext) -> str:
    """Return what is wrong with this machine if `error` or one of its causes shows it, else "".

    For a resolver's failure see `is_resolver_failure`: a broken zone raises the same error.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _trust_failure(cause, tls)
        # Error numbers of OpenSSL and of resolvers are not errno values.
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            continue
        if isinstance(cause, OSError) and cause.errno in _LOCAL:
            return f"this machine cannot connect: {(cause.strerror or str(cause)).lower()}"
    return ""


def is_resolver_failure(error: BaseException) -> bool:
    """Whether the resolver failed, as opposed to answering that the name does not exist."""
    return any(isinstance(cause, socket.gaierror) and cause.errno in _RESOLVER for cause in _causes(error))


def _trust_failure(error: ssl.SSLCertVerificationError, tls: ssl.SSLContext) -> str:
    if error.verify_code in _NOT_YET_VALID:
        return "this machine's clock is behind: a certificate is not yet valid"
    if error.verify_code in _UNKNOWN_ISSUER and not _trusts_any(tls):
        return "this machine trusts no certificate authority: install ca-certificates, or see SSL_CERT_FILE"
    return ""


def _trusts_any(tls: ssl.SSLContext) -> bool:
    """Whether any authority is trusted: a loaded one, or a file in the folder that is read on demand."""
    if tls.cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath or ""
    return Path(folder).is_dir() and any(Path(folder).iterdir())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
