from __future__ import annotations

from email.utils import formatdate

import pytest
from stand_in import RESET, Answer, Asked, error, fake_registry, registries

from builder.progress import Silent
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Request, Response
from builder.registry.policy import Backoff
from builder.registry.retry import Pauses, Retrying
from builder.registry.retry_after import retry_after


@pytest.mark.parametrize(
    "fault", [RESET, Answer(status=408), error(429, "TOOMANYREQUESTS"), Answer(status=500), Answer(status=503)]
)
def test_passing_faults_are_tried_again(fault: Answer) -> None:
    faults = [fault, fault]

    def before(asked: Asked) -> Answer | None:
        return faults.pop() if faults else None

    with fake_registry(before) as registry:
        registry.add_manifest("a", "1", "", {})
        registries().manifest(registry.reference("a:1"))
    assert len(registry.asked) == 3


@pytest.mark.parametrize(
    ("fault", "tries"), [(RESET, 3), (Answer(status=503), 3), (Answer(status=404), 1), (Answer(status=403), 1)]
)
def test_tries_are_bounded(fault: Answer, tries: int) -> None:
    with fake_registry(lambda asked: fault) as registry, pytest.raises(RegistryError):
        registries().manifest(registry.reference("a:1"))
    assert len(registry.asked) == tries


class Nothing:
    def read(self, size: int, /) -> bytes:
        return b""

    def close(self) -> None:
        return


class Script:
    """A Transport that plays answers: statuses with a Retry-After, or errors."""

    def __init__(self, *steps: tuple[int, str] | ConnectionFailed) -> None:
        self.steps, self.sent = list(steps), 0

    def send(self, request: Request, /) -> Response:
        step = self.steps[self.sent]
        self.sent += 1
        if isinstance(step, ConnectionFailed):
            raise step
        return Response(request, step[0], {"retry-after": step[1]}, Nothing())


def play(script: Script, *, attempts: int = 4, retry: bool = True) -> tuple[int, list[float]]:
    slept: list[float] = []
    pauses = Pauses(Backoff(attempts=attempts, base=1.0, longest=10.0), slept.append)
    request = Request(method="GET", url="https://h.example/", retry=retry)
    return Retrying(script, attempts, pauses, Silent()).send(request).status, slept


def test_pauses_grow_and_are_spread() -> None:
    status, slept = play(Script((503, ""), (503, ""), (503, ""), (200, "")))
    assert status == 200
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(slept, (1, 2, 4), strict=True))


def test_the_server_says_how_long() -> None:
    assert play(Script((429, "7"), (200, ""))) == (200, [7.0])


def test_nobody_waits_for_an_hour() -> None:
    assert play(Script((429, "3600"), (200, ""))) == (429, [])


def test_the_last_answer_is_given_as_it_is() -> None:
    status, slept = play(Script((503, ""), (502, "")), attempts=2)
    assert (status, len(slept)) == (502, 1)


def test_what_may_not_be_repeated_is_not() -> None:
    assert play(Script((503, "")), retry=False) == (503, [])


@pytest.mark.parametrize(("kind", "sent"), [("refused", 1), ("dns", 1), ("tls", 1), ("timeout", 3), ("broken", 3)])
def test_which_failures_may_pass(kind: str, sent: int) -> None:
    failure = ConnectionFailed("x", kind=kind)  # type: ignore[arg-type]
    script = Script(*[failure] * 3)
    with pytest.raises(ConnectionFailed):
        play(script, attempts=3)
    assert script.sent == sent


def test_a_date_to_wait_for() -> None:
    response = Response(Request(method="GET", url=""), 503, {"retry-after": formatdate(0)}, Nothing())
    assert retry_after(response) == 0.0


def test_a_date_is_compared_with_the_servers_own() -> None:
    """Its clock is a day behind ours."""
    headers = {"retry-after": formatdate(100_000 + 7), "date": formatdate(100_000)}
    assert retry_after(Response(Request(method="GET", url=""), 429, headers, Nothing())) == 7.0


@pytest.mark.parametrize("value", ["", "soon", "-1", "1e9"])
def test_rubbish_is_no_wish(value: str) -> None:
    assert retry_after(Response(Request(method="GET", url=""), 503, {"retry-after": value}, Nothing())) is None
