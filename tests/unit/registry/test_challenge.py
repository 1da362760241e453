import pytest

from builder.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [Challenge("basic")]),
        ('Basic realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://auth/token",service="reg",scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    {"realm": "https://auth/token", "service": "reg", "scope": "repository:a/b:pull,push"},
                )
            ],
        ),
        (
            'BEARER Realm = "x" , error=invalid_token, Basic realm="y"',
            [Challenge("bearer", {"realm": "x", "error": "invalid_token"}), Challenge("basic", {"realm": "y"})],
        ),
        (
            'Negotiate, Basic realm="say \\"hi\\", you"',
            [Challenge("negotiate"), Challenge("basic", {"realm": 'say "hi", you'})],
        ),
        ('Bearer realm=""', [Challenge("bearer", {"realm": ""})]),
    ],
)
def test_parse(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


@pytest.mark.parametrize("header", ['"', '=,=,"', 'Bearer realm="unclosed', "a=b=c=d", ",,,,", "\x00"])
def test_rubbish_ends(header: str) -> None:
    parse_challenges(header)
