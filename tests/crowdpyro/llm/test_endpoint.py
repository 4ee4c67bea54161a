"""What a server may say instead of an answer, by a small one that says it; numbers are tested on a real one."""

from __future__ import annotations

import json
import pickle
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crowdpyro.errors import DataError, ModelError
from crowdpyro.llm import ServerLLM
from crowdpyro.llm.backbone import Query
from crowdpyro.llm.endpoint import Endpoint

KEY = "sk-not-to-be-seen-4711"


class Says:
    """A server that gives prepared answers, `(status, headers, body)` each, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.path, dict(self.headers), body))
                status, headers, answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def say(self, *answers: tuple[int, dict[str, str], object]) -> None:
        self.answers = [(s, h, b if isinstance(b, bytes) else json.dumps(b).encode()) for s, h, b in answers]


@pytest.fixture
def says() -> Iterator[Says]:
    server = Says()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits as they are asked for; nobody waits."""
    asked: list[float] = []
    monkeypatch.setattr("time.sleep", asked.append)
    return asked


def test_a_busy_server_is_asked_again_ever_more_slowly(says: Says, waits: list[float]) -> None:
    says.say(
        (429, {}, b"busy"), (500, {}, b""), (503, {}, b"{"), (200, {}, b"no json"), (200, {}, [1]), (200, {}, {"a": 1})
    )
    assert Endpoint(says.url).ask("/models") == {"a": 1}
    assert len(waits) == 5
    for attempt, wait in enumerate(waits):
        assert 0.5 * 2**attempt <= wait <= 0.75 * 2**attempt


def test_the_server_s_own_wait_is_kept(says: Says, waits: list[float]) -> None:
    says.say((429, {"Retry-After": "7"}, b""), (429, {"Retry-After": "soon"}, b""), (200, {}, {}))
    Endpoint(says.url).ask("/models")
    assert waits[0] == 7
    assert waits[1] < 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, b"out of memory"), "3 tries of 60 s .*500.*out of memory"),
        ((200, {}, b"<html>"), "no JSON object"),
        ((200, {"Content-Length": "1000"}, b"{"), "3 tries"),
    ],
)
def test_a_server_that_stays_broken_is_named(says: Says, waits: list[float], answer: Any, message: str) -> None:
    says.say(answer)
    with pytest.raises(ModelError, match=message):
        Endpoint(says.url, retries=2).ask("/models")
    assert len(says.requests) == 3


def test_a_server_that_does_not_answer_runs_out_of_time(waits: list[float]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ModelError, match=r"2 tries of 0\.05 s \(.*timed out"):
            Endpoint(url, timeout=0.05, retries=1).ask("/models")
    with pytest.raises(ModelError, match="Check that it runs"):
        Endpoint(url, retries=1).ask("/models")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((400, {}, {"error": {"message": "too long"}}), DataError, r"\(400\): too long"),
        ((422, {}, {"detail": "x"}), DataError, r"\(422\)"),
        ((401, {}, {"error": "no"}), ModelError, "CROWDPYRO_API_KEY"),
        ((404, {}, b"Not Found"), ModelError, "has no /models.*/v1"),
        ((418, {}, b"teapot"), ModelError, "refuses /models.*teapot"),
        ((307, {"Location": "http://elsewhere/"}, b""), ModelError, "sends to http://elsewhere/"),
    ],
)
def test_refusals_are_not_repeated(
    says: Says, waits: list[float], answer: Any, error: type[Exception], message: str
) -> None:
    says.say(answer)
    with pytest.raises(error, match=message):
        Endpoint(says.url).ask("/models")
    assert len(says.requests) == 1
    assert not waits


def test_the_key_goes_to_the_server_and_nowhere_else(
    says: Says, waits: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = Endpoint(says.url, retries=0)
    monkeypatch.setenv("CROWDPYRO_API_KEY", KEY)
    for status, body in ((500, f"bad key {KEY}"), (400, f"your {KEY} is long"), (418, KEY)):
        says.say((status, {}, body.encode()))
        with pytest.raises((ModelError, DataError)) as caught:
            endpoint.ask("/models", {})
        assert KEY not in str(caught.value)
        assert "***" in str(caught.value)
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in says.requests)
    assert KEY not in caplog.text + repr(vars(endpoint))
    monkeypatch.delenv("CROWDPYRO_API_KEY")
    says.say((200, {}, {}))
    endpoint.ask("/models")
    assert "Authorization" not in says.requests[-1][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:8000"}, "give http://"),
        ({"url": "file:///etc/passwd"}, "give http://"),
        ({"url": "http://me:secret@host/v1"}, "holds a password"),
        ({"url": "http://host", "timeout": 0}, "timeout=0"),
        ({"url": "http://host", "retries": -1}, "retries=-1"),
        ({"url": "http://host", "backoff": float("nan")}, "backoff=nan"),
    ],
)
def test_endpoints_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Endpoint(**options)
    assert "secret" not in str(caught.value)


def listing(**tokens: float) -> dict[str, Any]:
    return {"choices": [{"text": "x", "logprobs": {"top_logprobs": [tokens]}}]}


@pytest.mark.parametrize(
    ("models", "completion", "message"),
    [
        ({"data": []}, {}, "serves none"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, {}, "serves 'a', 'b'; name one"),
        ({}, {}, "serves none"),
        ({"data": [{"id": "a"}]}, {"choices": []}, "no choices with a text"),
        ({"data": [{"id": "a"}]}, {"choices": [{"text": "x", "logprobs": None}]}, "--logits_all true"),
    ],
)
def test_servers_that_are_no_llm(says: Says, models: Any, completion: Any, message: str) -> None:
    says.say((200, {}, models), (200, {}, completion))
    with pytest.raises(ModelError, match=message):
        ServerLLM(says.url)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"workers": 0}, "workers=0"), ({"listed": 0}, "listed=0"), ({"chat_template": "<user>"}, r"no \{prompt\}")],
)
def test_settings_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ServerLLM("http://127.0.0.1:9/v1", **options)


def test_fewer_tokens_are_listed_where_the_server_wants_it(says: Says) -> None:
    refused = (400, {}, {"error": {"message": "Cannot request more than 20 logprobs."}})
    says.say((200, {}, {"data": [{"id": "a"}]}), refused, refused, (200, {}, listing(x=-0.5)), (400, {}, b"no echo"))
    llm = ServerLLM(says.url)
    assert "20 tokens listed" in llm.settings
    assert not llm.echoes


@pytest.fixture
def walks(says: Says, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, dict[str, float]]], ServerLLM]:
    """A ServerLLM that is told, after each end of a text, which tokens come next."""
    says.say((200, {}, {"data": [{"id": "a"}]}), (200, {}, listing(x=-0.5)), (400, {}, b"no echo"))
    llm = ServerLLM(says.url, listed=5, workers=2)

    def make(after: dict[str, dict[str, float]]) -> ServerLLM:
        def ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
            end = max((end for end in after if body["prompt"].endswith(end)), key=len)
            return listing(**after[end])

        monkeypatch.setattr(llm._endpoint, "ask", ask)
        return llm

    return make


def test_options_are_walked_by_their_longest_tokens(walks: Any) -> None:
    llm = walks(
        {
            ":": {" ": -1.0, " ye": -2.0, " yes": -3.0, " no": -4.0},
            ": ": {"x": -1.0},
            ": no": {"t sure": -0.5, "t": -0.1},
        }
    )
    ((_, (scores,)),) = llm.score([Query("Answer:", ("yes", "not sure", "never"), "q")])
    assert list(scores) == [-3.0, -4.5, -float("inf")]


def test_an_option_that_begins_another_is_not_counted_twice(walks: Any) -> None:
    llm = walks({":": {" ": -0.2}, ": ": {"1": -1.0, "2": -2.0}, "1": {"0": -0.3}})
    ((_, (scores,)),) = llm.score([Query("Answer: ", ("1", "10", "2"), "q")])
    import numpy as np

    assert np.exp(scores) == pytest.approx(np.exp([-1.0, -1.3, -2.0]) - [np.exp(-1.3), 0, 0])


def test_a_refused_prompt_is_named(says: Says) -> None:
    says.say(
        (200, {}, {"data": [{"id": "a"}]}),
        (200, {}, listing(x=-0.5)),
        (400, {}, b"no echo"),
        (400, {}, {"message": "Requested tokens (2000) exceed context window of 512"}),
    )
    llm = ServerLLM(says.url)
    with pytest.raises(DataError, match=r"text at problem 'a'.*exceed context window"):
        list(llm.score([Query("long", ("1", "2"), "problem 'a'")]))


@pytest.mark.parametrize("mark", ["<|im_end|>", "[/INST]"])
def test_marks_of_the_chat_in_a_text_are_named(says: Says, mark: str) -> None:
    says.say((200, {}, {"data": [{"id": "a"}]}), (200, {}, listing(x=-0.5)), (400, {}, b"no echo"))
    llm = ServerLLM(says.url, chat_template=f"<|im_start|>user\n{{prompt}}{mark}\n")
    queries = [Query(f"I agree.{mark} So do I.", ("1", "2"), "problem 'a'")]
    n_asked = len(says.requests)
    for ask in (llm.score(queries), llm.write(queries, n=1, temperature=1, max_tokens=1, seed=0)):
        with pytest.raises(DataError, match=rf"text at problem 'a': {re.escape(repr(mark))} is a mark"):
            list(ask)
    assert len(says.requests) == n_asked


def test_an_endpoint_travels_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDPYRO_API_KEY", KEY)
    assert KEY.encode() not in pickle.dumps(vars(Endpoint("http://host")) | {"_opener": None})
