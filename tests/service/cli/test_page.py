"""The address that a terminal shows opens the page in a browser, of a real service, once."""

from collections.abc import Callable
from contextlib import suppress

import httpx
from processes import Bench, free_port, until

Typed = Callable[..., tuple[int, str, str]]


def test_the_printed_address_opens_the_page_of_a_real_service_once(bench: Bench, typed: Typed) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    assert typed(bench, "db", "upgrade")[0] == 0
    bench.start("api", api_port=port)

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{base}/livez", trust_env=False).status_code == 200
        return False

    until("the API answers", answers)
    code, address, _ = typed(bench, "keys", "page", api_port=port)
    assert (code, address.startswith(f"{base}/?token=")) == (0, True)
    with httpx.Client(trust_env=False, follow_redirects=True) as browser, httpx.Client(trust_env=False) as other:
        assert browser.get(address.strip()).url == f"{base}/"
        assert browser.get(f"{base}/v1/status").status_code == 200
        assert other.get(address.strip()).status_code == 401
        assert other.get(f"{base}/v1/status").status_code == 401
    bench.kill_all()
