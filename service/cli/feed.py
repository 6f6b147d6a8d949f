"""The live feed of the demo: the simulated city's tickets, delivered to its own API as they would come in during the day."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import httpx
import pandas as pd

from forecasting import city
from service.clock import Clock
from service.settings import Settings

EVERY = 60.0  # seconds between deliveries
ROWS = 1000  # of a request: is counted at once
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a request is tried again; doubled each time, since a restart takes seconds
STOP_WITHIN = 5.0  # seconds in which the feed ends

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feed:
    """What is delivered, and where.

    Attributes:
        http: a client with the API's address and a key.
        clock: says how far the day has come; a frozen one ends the feed.
        seed, scale: as of the city whose history is loaded.
        history: last day of that history.
        stopped: whether to end.
    """

    http: httpx.Client
    clock: Clock
    seed: int
    scale: float
    history: date
    stopped: Callable[[], bool]

    def run(self) -> None:
        """Delivers what has come in since the history, then what comes in from minute to minute."""
        day = self.history + timedelta(days=1)
        until = datetime.combine(day, datetime.min.time())
        coming: pd.DataFrame | None = None
        while not self.stopped():
            now = self.clock.local_now().replace(tzinfo=None)
            if coming is None:
                coming = city.deliveries(self.seed, self.scale, day, self.history)
            due = coming[(coming["deliver_at"] >= until) & (coming["deliver_at"] < now)]
            self._deliver(due.drop(columns="deliver_at"))
            until = now
            if now.date() > day:
                day, coming = day + timedelta(days=1), None
                until = datetime.combine(day, datetime.min.time())
            elif self.clock.frozen:
                return
            else:
                self._wait(EVERY)

    def _deliver(self, rows: pd.DataFrame) -> None:
        for start in range(0, len(rows), ROWS):
            body = rows.iloc[start : start + ROWS].to_json(orient="records", lines=True, date_format="iso", force_ascii=False).encode()
            answer = self._post(body)
            if answer is None:
                return
            if answer.is_success:
                told = answer.json()
                log.info("feed.delivered", extra={name: told[name] for name in ("rows", "added", "changed", "unchanged", "rejected", "later")})
            else:
                log.error("feed.refused", extra={"status": answer.status_code, "detail": answer.text[:300]})

    def _post(self, body: bytes) -> httpx.Response | None:
        """Sends a body until it is answered; None if it is time to stop. Under one key, so that a lost answer does no harm."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": hashlib.sha256(body).hexdigest()}
        pause = FIRST_PAUSE
        while not self.stopped():
            try:
                answer = self.http.post("/v1/tickets", content=body, headers=headers)
                if not answer.is_server_error:
                    return answer
                reason = f"{answer.status_code}"
            except httpx.TransportError as error:
                reason = type(error).__name__
            log.warning("feed.again", extra={"reason": reason, "in": pause})
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return None

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopped() and time.monotonic() < end:
            time.sleep(0.1)


@contextmanager
def running(settings: Settings, key: str, seed: int, scale: float, history: date) -> Iterator[None]:
    """A feed in a thread of its own, which ends with the block."""
    done = threading.Event()
    address = f"http://{settings.host}:{settings.api_port}"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=STOP_WITHIN * 2, trust_env=False) as http:
        feed = Feed(http, settings.clock, seed, scale, history, done.is_set)
        thread = threading.Thread(target=feed.run, name="feed", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(STOP_WITHIN)
