import pytest

from builder.registry.redaction import Redaction, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host:5000/v2/a?_state=secret", "https://host:5000/v2/a"),
        ("https://user:secret@host/path#secret", "https://host/path"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ("https://[broken", "[hidden]"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_longer_secrets_go_first_and_short_ones_stay() -> None:
    redaction = Redaction()
    redaction.hide("open", "open sesame", "abc", "")
    assert redaction.clean("'open sesame' and open, abc") == "'[hidden]' and [hidden], abc"
