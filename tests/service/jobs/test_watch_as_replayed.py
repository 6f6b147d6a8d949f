"""What is measured is what runs: nights and watches of the service tell what a replay of the same days tells, if it is trained every night."""

import pandas as pd
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day, planted

from experiments import replay
from forecasting.detection.finding import SEASONAL
from service.jobs import nightly
from service.store import alerts
from service.store.engine import reading

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

NIGHTS = 14
BEGINS = DAYS + 9  # by then a week was judged by what was published: the first night looks back no further
BURSTS = {
    ("South", "Noise", day(BEGINS)): 40,
    **{("North", "Heat", day(BEGINS + k)): 30 for k in range(2, 5)},
    **{(district, "Water", day(BEGINS + 4)): 25 for district in ("North", "South", "West")},
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A city whose level falls by a fifth where the first nights are, and its bursts."""
    whole = counts(DAYS + NIGHTS)
    late = whole["date"] > pd.Timestamp(day(DAYS - 20))
    fallen = whole.assign(count=(whole["count"] * late.map({True: 0.8, False: 1.0})).round().astype(int))
    return planted(fallen, BURSTS)


@pytest.mark.usefixtures("without_mlflow")
def test_nights_and_watches_tell_what_a_replay_tells(bare: City, table: pd.DataFrame) -> None:
    bare.bring(table[table["date"] <= pd.Timestamp(day(DAYS))], "history")
    for n in range(DAYS, DAYS + NIGHTS + 1):
        if n > DAYS:
            bare.bring(table[table["date"] == pd.Timestamp(day(n))], f"day-{n}")
        nightly.run(bare.engine, bare.settings(day(n)))
    path = bare.folder / "all.csv"
    table.to_csv(path, index=False)
    asked = replay.Request(start=f"{day(DAYS + 1)}", end=f"{day(DAYS + NIGHTS)}", counts=path, country="none", zone="UTC", refit_days=1, workers=1)
    told = [one for lived in replay.live(asked) for _, one in lived.told if one.finding.kind != SEASONAL and one.finding.day >= day(BEGINS)]
    with reading(bare.engine) as conn:
        raised = [one for one in alerts.list_alerts(conn, limit=None) if one.kind != SEASONAL and one.last_day >= day(BEGINS)]
    assert len(told) >= len(BURSTS) - 4, "the bursts are told, those over several days or districts once"
    assert {one.id: (one.area, one.category, one.onset) for one in raised} == {
        one.alert_id: (one.finding.area, one.finding.category, one.finding.onset) for one in told
    }
    assert {one.id: one.level for one in raised} == {one.alert_id: one.finding.level for one in told}, "the newest row of each is its highest level"
