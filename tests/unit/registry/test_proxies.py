from __future__ import annotations

import pytest

from builder.registry.proxies import Proxies

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "https://registry.example.com/v2/", True),
        ("*", "https://registry.example.com/", False),
        ("example.com", "https://example.com/", False),
        ("example.com", "https://registry.example.com/", False),
        ("example.com", "https://notexample.com/", True),
        (".example.com", "https://registry.example.com/", False),
        (".example.com", "https://example.com/", True),
        ("*.example.com", "https://registry.example.com/", False),
        ("EXAMPLE.com", "https://Example.COM/", False),
        ("example.com:5000", "https://example.com:5000/", False),
        ("example.com:5000", "https://example.com/", True),
        ("example.com:443", "https://example.com/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", False),
        ("10.0.0.0/8", "https://11.1.2.3/", True),
        ("10.1.2.3", "https://10.1.2.3:5000/", False),
        ("fd00::/8", "https://[fd00::1]/", False),
        ("[fd00::1]:5000", "https://[fd00::1]:5000/", False),
        ("a.example, b.example", "https://b.example/", False),
        ("a.example b.example", "https://b.example/", False),
        ("0.0.3", "https://10.0.0.3/", True),
        ("", "https://localhost:5000/", False),
        ("", "https://127.0.0.2/", False),
        ("", "https://[::1]:5000/", False),
        ("", "https://registry.local/", True),
    ],
)
def test_no_proxy(no_proxy: str, url: str, proxied: bool) -> None:
    proxies = Proxies({"https_proxy": PROXY, "no_proxy": no_proxy})
    assert proxies.for_url(url) == (PROXY if proxied else None)


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://a.example/", None),
        ({"HTTPS_PROXY": PROXY}, "https://a.example/", PROXY),
        ({"HTTPS_PROXY": "http://other:1", "https_proxy": PROXY}, "https://a.example/", PROXY),
        ({"https_proxy": PROXY}, "http://a.example/", None),
        ({"http_proxy": PROXY}, "http://a.example/", PROXY),
        ({"https_proxy": "proxy:3128"}, "https://a.example/", PROXY),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://a.example/", None),
        ({"https_proxy": PROXY, "NO_PROXY": "a.example"}, "https://a.example/", None),
    ],
)
def test_variables(environment: dict[str, str], url: str, expected: str | None) -> None:
    assert Proxies(environment).for_url(url) == expected


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://user:pa%20ss@proxy:3128", ["pa%20ss", "pa ss"]),
        ("user:pass@proxy", ["pass", "pass"]),
        ("http://proxy:3128", []),
        ("http://[broken", []),
        ("", []),
    ],
)
def test_passwords_are_known(url: str, secrets: list[str]) -> None:
    proxies = Proxies({"https_proxy": url})
    assert (proxies.secrets, proxies.any) == (secrets, bool(url))
