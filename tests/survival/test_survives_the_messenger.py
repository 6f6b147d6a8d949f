"""`kill -9` of the sender of webhooks, in the middle of messages and between them: none is lost, and what comes twice bears the same id."""

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from databases import Databases
from processes import Bench, until
from town import Survived
from webhook_city import NOW, Hook, Town
from webhook_receiver import OK, Answer, Came, Receiver, receiving

from service.alerting import signing
from service.alerting.signing import Seal
from service.secret import kept
from service.store import schema
from service.store.engine import open_engine, writing
from service.store.webhooks import Wanted, add

KILLS = 12
HOOKS = 3
EVERY = 0.2  # seconds between two alerts
MOST = 90  # messages that wait: on a slow machine the sender starts late, and what came meanwhile would be more than it can send
SEED = 1


def make_hooks(town: Town, receiver: Receiver, seal: Seal) -> list[Hook]:
    found = []
    for _ in range(HOOKS):
        secret = signing.new_secret()
        with writing(town.engine) as conn:
            found.append(Hook(add(conn, receiver.url, "", Wanted(), None, seal.close(secret), "somebody", town.time()).id, secret))
    return found


def test_a_sender_that_is_killed_again_and_again_loses_no_message(databases: Databases, bench: Bench, tmp_path: Path, survived: Survived) -> None:
    rng = random.Random(SEED)
    url, folder = databases.fresh(), tmp_path / "data"
    town = Town.made(open_engine(url), folder)
    arrived, stop = threading.Event(), threading.Event()
    raised = 0

    def answer(_: Came) -> Answer:
        arrived.set()
        time.sleep(rng.uniform(0, 0.1))
        return OK

    def keep_raising() -> None:
        nonlocal raised
        while not stop.is_set():
            if raised * HOOKS - len(receiver.came) < MOST:
                town.raised(f"a{raised}")
                raised += 1
            time.sleep(EVERY)

    with receiving() as receiver:
        receiver.answers = answer
        hooks = make_hooks(town, receiver, Seal(kept(folder)))
        writer = threading.Thread(target=keep_raising)
        writer.start()
        try:
            for kill in range(KILLS):
                process = bench.start("scheduler", data_dir=folder, database_url=url, as_of=NOW.isoformat(), webhook_private=True)
                arrived.clear()
                assert arrived.wait(60), bench.said
                if kill % 3:
                    time.sleep(rng.uniform(0, 2))
                if kill % 2:  # in the middle of an attempt: the receiver has the message and has not answered
                    arrived.clear()
                    arrived.wait(5)
                assert process.poll() is None, bench.said
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        finally:
            stop.set()
            writer.join()
        left = sum(one.status == "waiting" for hook in hooks for one in town.outbox(hook))
        with writing(town.engine) as conn:  # the pauses after attempts that were cut off are over
            conn.execute(schema.webhook_deliveries.update().values(next_at=NOW))
        bench.start("scheduler", data_dir=folder, database_url=url, as_of=NOW.isoformat(), webhook_private=True)

        def all_delivered() -> bool:
            found = [[(one.seq, one.status) for one in town.outbox(hook)] for hook in hooks]
            return found == [[(seq, "delivered") for seq in range(1, raised + 1)]] * HOOKS

        until("every message is delivered", all_delivered, 120)
        bench.kill_all()
        came = list(receiver.came)
    secrets = {hook.id: hook.secret for hook in hooks}
    told = Counter((one.message_id.split("_")[1], one.verified(secrets[one.message_id.split("_")[1]])["data"]["seq"]) for one in came)
    assert set(told) == {(hook.id, seq) for hook in hooks for seq in range(1, raised + 1)}
    assert len({(one.message_id, one.body) for one in came}) == len(told), "the same id, the same words"
    twice = sum(number - 1 for number in told.values())
    town.engine.dispose()
    databases.put_away()
    survived(f"{KILLS} kills of the sender: {len(told)} messages, none lost, {twice} came twice; {left} were on their way at the last kill")
