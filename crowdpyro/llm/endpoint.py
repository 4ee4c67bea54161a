"""An endpoint: JSON asked of a server, again and more slowly where it is busy or away, with a key that nobody sees.

The k-th wait is b 2^k (1 + u / 2) seconds, u uniform on [0, 1], or what the server's `Retry-After` says.
"""

from __future__ import annotations

import json
import os
import random
import time
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ..models.errors import DataError, ModelError

# Worth another try: time-outs, too many requests, and what a server says that is starting, overloaded or broken.
TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_SHOWN = 300
# A thousand tokens with log-probabilities take a hundred kilobytes.
_LONGEST_ANSWER = 1 << 26


class Endpoint:
    """A server that takes and gives JSON.

    Parameters
    ----------
    url
        Where its paths begin, such as `http://localhost:8000/v1`.
    api_key_variable
        Environment variable that holds the key, where the server wants one. It is read for every request and kept
        nowhere.
    timeout
        Seconds until a request counts as lost.
    retries
        How often a request is repeated.
    backoff
        b of the waits, in seconds.

    Raises
    ------
    ModelError
        A URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key_variable: str = "CROWDPYRO_API_KEY",
        timeout: float = 60.0,
        retries: int = 5,
        backoff: float = 0.5,
    ) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password or "@" in parts.netloc or parts.query:
            raise ModelError(f"url of {parts.hostname!r} holds a password; put the key into {api_key_variable}.")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ModelError(f"url={url!r}: give http:// or https:// and a host, such as http://localhost:8000/v1.")
        for name, number, least in (("timeout", timeout, 1e-3), ("retries", retries, 0), ("backoff", backoff, 0)):
            if not number >= least:
                raise ModelError(f"{name}={number}: give at least {least:g}.")
        self.url, self.api_key_variable = url.rstrip("/"), api_key_variable
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self._opener = urllib.request.build_opener(_StayHere())

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Answer to a POST of `body`, or to a GET where there is none.

        Raises
        ------
        DataError
            The server refuses what it is asked (400, 413, 422), such as a prompt that is too long.
        ModelError
            It does not answer, wants another key, does not know the path, or gives no JSON.
        """
        reason, wait = "", 0.0
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(wait or self._wait(attempt - 1))
            try:
                return self._once(path, body)
            except ModelError:
                # It is a ValueError as well.
                raise
            except urllib.error.HTTPError as error:
                with error:
                    said = self._hidden(error.read(_LONGEST_ANSWER).decode("utf-8", "replace"))
                if error.code not in TRANSIENT:
                    self._refused(path, error.code, said)
                why = self._hidden(str(error.reason))
                reason, wait = f"it says {error.code} {why}: {said[:_SHOWN]}", _retry_after(error.headers)
            except (OSError, HTTPException) as error:
                reason, wait = self._hidden(str(getattr(error, "reason", error)) or type(error).__name__), 0.0
            except ValueError:
                reason, wait = "its answer is no JSON object", 0.0
        raise ModelError(
            f"server {self.url} gave no answer in {self.retries + 1} tries of {self.timeout:g} s ({reason}). Check "
            "that it runs, or give timeout= or retries= more."
        )

    def _once(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := os.environ.get(self.api_key_variable):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers)  # noqa: S310 - the scheme was checked
        with self._opener.open(request, timeout=self.timeout) as answer:
            content = answer.read(_LONGEST_ANSWER + 1)
        if len(content) > _LONGEST_ANSWER:
            raise ModelError(f"server {self.url} answers with more than {_LONGEST_ANSWER:,} bytes; ask another.")
        try:
            given = json.loads(content)
        except RecursionError as error:
            raise ValueError("nests too deep") from error
        if not isinstance(given, dict):
            raise ValueError("no JSON object")
        return given

    def _refused(self, path: str, code: int, said: str) -> NoReturn:
        """Raise the error of a refusal that another try would not change."""
        where = f"server {self.url}"
        if code in (400, 413, 422):
            raise DataError(f"{where} refuses the request ({code}): {_message(said)[:_SHOWN]}")
        if code in (401, 403):
            raise ModelError(f"{where} wants another key ({code}): put it into the variable {self.api_key_variable}.")
        if code == 404:
            raise ModelError(f"{where} has no {path} (404): {_message(said)[:_SHOWN]}. Give the url with its /v1.")
        raise ModelError(f"{where} refuses {path} ({code}): {_message(said)[:_SHOWN]}")

    def _hidden(self, text: str) -> str:
        """The text without the key, should the server repeat it."""
        key = os.environ.get(self.api_key_variable)
        return text.replace(key, "***") if key else text

    def _wait(self, attempt: int) -> float:
        jitter = 1 + random.random() / 2  # noqa: S311 - so that waiting clients do not come back together
        return min(self.backoff * 2.0**attempt * jitter, _LONGEST_WAIT)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Refuses to follow a server elsewhere: the key would go along."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        raise ModelError(f"server sends to {newurl} ({code}), which is not followed; give that url where it is right.")


def _retry_after(headers: Message | None) -> float:
    """Seconds that a server asks to wait; 0 where it names none."""
    said = None if headers is None else headers.get("Retry-After")
    return min(float(said), _LONGEST_WAIT) if said is not None and said.strip().isdecimal() else 0.0


def _message(said: str) -> str:
    """The message in an error's JSON, or the text itself."""
    try:
        given = json.loads(said)
    except ValueError:
        return said
    inner = given.get("error", given) if isinstance(given, dict) else given
    return str(inner.get("message", inner) if isinstance(inner, dict) else inner)
