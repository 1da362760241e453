"""Ports, durations, signals."""

import pytest

from builder.dockerfile.durations import InvalidDuration, healthcheck_duration, parse_duration
from builder.dockerfile.ports import InvalidPort, exposed_ports
from builder.dockerfile.signals import is_signal

MILLISECOND = 1_000_000


@pytest.mark.parametrize(
    ("specs", "ports"),
    [
        (["80"], ("80/tcp",)),
        (["80/"], ("80/tcp",)),
        (["53/UDP", "80/Tcp", "5/sctp"], ("53/udp", "80/tcp", "5/sctp")),
        (["8000-8002/udp"], ("8000/udp", "8001/udp", "8002/udp")),
        (["80-80"], ("80/tcp",)),
        (["0", "65535"], ("0/tcp", "65535/tcp")),
        (["080"], ("80/tcp",)),
        (["8080:80"], ("80/tcp",)),
        (["127.0.0.1:8080:80/udp"], ("80/udp",)),
        (["[::1]:8080:80", "::1:8080:80"], ("80/tcp", "80/tcp")),
        (["127.0.0.1::80"], ("80/tcp",)),
        (["8000-8010:80"], ("80/tcp",)),
        (["8000-8001:80-81"], ("80/tcp", "81/tcp")),
        ([], ()),
    ],
)
def test_ports(specs, ports):
    assert exposed_ports(specs) == ports
    assert exposed_ports(ports) == ports


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "no port specified"),
        ("/tcp", "no port specified"),
        ("80:", "no port specified"),
        ("http", "'http' is not a number"),
        ("80/http", "unknown protocol 'http'"),
        ("80/tcp/udp", "unknown protocol 'tcp/udp'"),
        ("65536", "65536 is out of range"),
        ("-80", "a number is missing"),
        ("80-", "a number is missing"),
        ("90-80", "the range ends before it begins"),
        ("80-90-95", "'90-95' is not a number"),
        ("8000-8003:80-81", "not of the same length"),
        ("x:80", "'x' is not a number"),
        ("300.0.0.1:80:80", "'300.0.0.1' is not an IP address"),
        ("٣", "is not a number"),
    ],
)
def test_ports_that_cannot_be(spec, reason):
    with pytest.raises(InvalidPort) as caught:
        exposed_ports([spec])
    assert repr(spec) in caught.value.message
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("1ns", 1),
        ("1us", 1000),
        ("1µs", 1000),
        ("1ms", MILLISECOND),
        ("100ms", 100 * MILLISECOND),
        ("1s", 1000 * MILLISECOND),
        ("1m30s", 90_000 * MILLISECOND),
        ("1.5h", 5_400_000 * MILLISECOND),
        (".5s", 500 * MILLISECOND),
        ("5.s", 5000 * MILLISECOND),
        ("1h2m3s4ms", 3_723_004 * MILLISECOND),
        ("-1s", -1000 * MILLISECOND),
        ("0.0000000001s", 0),
        ("2562047h47m16.854775807s", (1 << 63) - 1),
    ],
)
def test_durations(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "1x", "1 s", "1s ", "-", "+", "1m-1s", "1.2.3s", "2562048h", "9" * 5000 + "s", "١s"]
)
def test_durations_that_cannot_be(text):
    with pytest.raises(InvalidDuration):
        parse_duration(text)


@pytest.mark.parametrize(("text", "nanoseconds"), [("0s", 0), ("1ms", MILLISECOND), ("1000us", MILLISECOND)])
def test_durations_of_a_healthcheck(text, nanoseconds):
    assert healthcheck_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["999us", "1ns", "-1s"])
def test_a_healthcheck_takes_no_less_than_a_millisecond(text):
    with pytest.raises(InvalidDuration, match="less than 1ms"):
        healthcheck_duration(text)


@pytest.mark.parametrize("text", ["TERM", "SIGTERM", "sigusr1", "9", "64", "RTMIN+3", "SIGRTMAX-14", "rtmin"])
def test_signals(text):
    assert is_signal(text)


@pytest.mark.parametrize("text", ["", "0", "SIG", "NOPE", "SIGSIGTERM", "RTMIN+16", "TERM ", "1.5"])
def test_what_is_no_signal(text):
    assert not is_signal(text)
