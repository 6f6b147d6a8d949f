"""What the operation's page shows: what `/v1/status` and `/v1/alerts` tell the same caller, and what of it somebody must look at."""

from dataclasses import replace
from datetime import timedelta

from forecasting.detection.levels import LEVELS
from service.api.alerts.schemas import Alert
from service.api.alerts.state import AlertState
from service.api.alerts.view import AlertView, label_of
from service.api.deps import Service
from service.api.operation.freshness import Status
from service.api.operation.status_paths import status_of
from service.store import alerts as store
from service.store import forecast_sets
from service.store.engine import reading
from service.store.jobs import SCHEDULER
from service.store.keys import Caller
from service.web import pages
from service.web.words import LANGUAGES, WORDS, Language

MOST = 20  # alerts that the page shows; what is more, nobody reads at three in the morning
WAITS_LONG = timedelta(minutes=10)  # for a request to be counted, which takes seconds, or minutes behind large ones
DEMAND = [kind for kind in store.KINDS if kind != "DATA"]  # notes on the data stand beside the data


def home(service: Service, caller: Caller, language: Language) -> str:
    """The page, as a caller may see it."""
    status = status_of(service, caller)
    with reading(service.engine) as conn:
        detection = AlertState.read(service, conn)
        view = AlertView.read(service, conn, caller, detection)
        current = None if status.forecast_set is None else forecast_sets.about(conn, status.forecast_set.id)
        filters = store.AlertFilters(statuses=("open", "acknowledged"), kinds=DEMAND, visible=view.own, own=caller.districts or ())
        running = sum(store.tally(conn, filters).values())
        shown: list[Alert] = []
        for level in reversed(LEVELS):  # the highest first, of each the newest
            found = store.list_alerts(conn, filters=replace(filters, levels=(level,)), limit=MOST - len(shown))
            shown += [view.alert(one) for one in found]
    state, reasons = judged(status, not detection.late, language)
    return pages.page(
        "home.html",
        language,
        status=status,
        state=state,
        reasons=reasons,
        alerts=shown if caller.may("alerts:read") else None,
        running=running,
        calm_city=state != "dead" and not detection.late and status.city_state is None,
        version=None if current is None else current.model_version,
        limits=[getattr(label_of(view.areas, code), language) for code in sorted(caller.districts or ())],
    )


def judged(status: Status, watched: bool, language: Language) -> tuple[str, list[str]]:
    """Whether the service is calm, late or dead, and why, one line a reason.

    Args:
        watched: detection has succeeded in time. Where it has not, an empty list of alerts says nothing.

    Returns:
        dead: the scheduler does not tell of itself, so that nothing is done. late: something has not happened in time, tickets could not be
        counted, or there is nothing to serve. calm: none of it; what failed and may be made good in time is told all the same.
    """
    say = {name: pair[LANGUAGES.index(language)] for name, pair in WORDS.items()}

    def since(at: float) -> str:
        return pages.span(at, language)

    jobs = {job.name: job for job in status.jobs}
    reasons = [] if SCHEDULER in jobs else [say["scheduler_never"]]
    reasons += [say["job_is_late"] % (job.name, since((status.now - job.late_at).total_seconds())) for job in status.jobs if job.late]
    reasons += [
        say["thing_is_late"] % (say[thing.name], since((status.now - thing.expected_by).total_seconds()))
        for thing in status.freshness
        if thing.late and thing.expected_by and thing.name in ("ticket", "ingest")  # the others are jobs
    ]
    queue = status.intake
    if queue.oldest_waiting is not None and status.now - queue.oldest_waiting > WAITS_LONG:
        reasons.append(say["requests_wait"] % (queue.waiting, since((status.now - queue.oldest_waiting).total_seconds())))
    if queue.oldest_set_aside is not None:
        named = ", ".join(map(str, queue.set_aside_ids)) + (" …" if queue.set_aside > len(queue.set_aside_ids) else "")
        reasons.append(say["requests_aside"] % (queue.set_aside, since((status.now - queue.oldest_set_aside).total_seconds()), named))
    if not watched:
        reasons.append(say["unwatched"])
    if status.forecast_set is None:
        reasons.append(say["no_forecasts"])
    failed = [say["job_failed"] % (job.name, job.error) for job in status.jobs if job.error is not None]  # it may be tried again in time
    if SCHEDULER not in jobs or jobs[SCHEDULER].late:
        return "dead", reasons + failed
    return ("late" if reasons else "calm"), reasons + failed
