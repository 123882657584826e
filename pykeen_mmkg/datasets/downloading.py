"""Asking an address for its bytes: bounded in size and time, by http and https alone, with a few attempts."""

import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from .._version import VERSION

__all__ = ["SCHEMES", "AnswerError", "RefusedError", "TransientError", "download", "receive"]

#: the schemes of addresses that somebody else wrote
SCHEMES = ("http", "https")

#: how often an address is asked, when the connection fails or the server is busy
ATTEMPTS = 3
#: seconds before the second attempt; each further pause is twice as long
PAUSE = 1.0
CHUNK = 1 << 16


class TransientError(Exception):
    """What another attempt can mend."""


class AnswerError(Exception):
    """The server answers that it does not give this."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server answers {code} {reason}")


class RefusedError(Exception):
    """The address, or what it gives, is not taken: another scheme, too many bytes, too slow."""


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects as long as they stay with the scheme, or go from http to https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = urllib.parse.urlsplit(newurl).scheme.lower()
        if new != req.type and (req.type, new) != SCHEMES:
            raise RefusedError(f"it redirects from {req.type} to {new or 'no scheme'}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def receive(
    url: str,
    file: BinaryIO,
    timeout: float,
    max_bytes: int | None = None,
    deadline: float | None = None,
    *handlers: urllib.request.BaseHandler,
) -> int:
    """Write what an address gives to a file, once.

    :param url: the address
    :param file: a file that is open for writing
    :param timeout: seconds without a byte after which a connection counts as broken
    :param max_bytes: more are not taken
    :param deadline: the time of the monotonic clock until which everything must be there
    :param handlers: further handlers of :mod:`urllib.request`
    :returns: the number of bytes
    :raises TransientError: if the connection fails, ends early, or the server is busy
    :raises AnswerError: if the server refuses
    :raises RefusedError: if there are too many bytes, or they come too slowly
    """
    # who calls vouches for the scheme
    request = urllib.request.Request(url, headers={"User-Agent": f"pykeen-mmkg/{VERSION}"})  # noqa: S310
    received = 0
    try:
        # an opener of its own: the shared one keeps the proxies of its first use
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            announced = response.headers.get("Content-Length")
            # one read of the socket at a time, so that a server that drips is noticed
            read: Callable[[int], bytes] = getattr(response, "read1", response.read)
            while chunk := read(CHUNK):
                received += len(chunk)
                if max_bytes is not None and received > max_bytes:
                    raise RefusedError(f"it gives more than {max_bytes:,} bytes")
                if deadline is not None and time.monotonic() > deadline:
                    raise RefusedError("it takes too long")
                file.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code in (408, 429):
            raise TransientError(f"the server answers {error.code} {error.reason}") from error
        raise AnswerError(error.code, error.reason) from error
    except urllib.error.URLError as error:
        raise TransientError(str(error.reason)) from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error
    if announced is not None and announced.isdecimal() and received < int(announced):
        raise TransientError(f"the connection ended after {received} of {announced} bytes")
    return received


def download(url: str, max_bytes: int, seconds: float) -> bytes:
    """Return what an address that somebody else wrote gives.

    :param url: the address
    :param max_bytes: more are not taken
    :param seconds: how long it may take, all attempts and redirects together
    :returns: the bytes
    :raises TransientError: if several attempts failed
    :raises AnswerError: if the server refuses
    :raises RefusedError: if the scheme is neither http nor https, here or after a redirect, if there are too many
        bytes, or they come too slowly
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise RefusedError(f"its scheme is {parts.scheme!r}, neither http nor https")
    # what a browser would quote as well: spaces, and letters beyond ASCII
    url = urllib.parse.quote(url, safe=":/?#[]@!$&'()*+,;=%~")
    deadline = time.monotonic() + seconds
    for attempt in range(ATTEMPTS):
        file = io.BytesIO()
        try:
            left = max(deadline - time.monotonic(), 0.001)
            receive(url, file, left, max_bytes, deadline, _SameScheme())
            return file.getvalue()
        except TransientError:
            pause = PAUSE * 2**attempt
            if attempt + 1 == ATTEMPTS or time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
    raise AssertionError("not reached")
