"""The simulated city with its streets, brought in: counted by street, known to the API, and rolled up to districts for the models."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy import Engine, func, select

from forecasting import city
from forecasting.city.streets import STREETS
from service.clock import Clock, parse_as_of
from service.intake.ingest import ingest
from service.jobs import knowledge
from service.settings import Settings
from service.store import areas, counts
from service.store.engine import reading
from service.store.schema import tickets

ZONE = ZoneInfo("Asia/Shanghai")
START, END = date(2025, 1, 1), date(2025, 3, 1)
CLOCK = Clock(ZONE, parse_as_of("2025-03-05", ZONE))


def test_tickets_of_streets_are_counted_there_and_the_panel_has_the_districts(engine: Engine, folder: Path) -> None:
    made = city.simulate(3, 0.02, START, END, streets=True)
    city.write(made, folder / "city")
    for name in ("areas.csv", "categories.csv", "tickets.parquet"):
        report = ingest(engine, folder / "city" / name, CLOCK)
    assert report.rejected == 0
    assert report.new_areas == ("UNKNOWN",)

    with reading(engine) as conn:
        assert (areas.frame(conn)["level"] == "street").sum() == STREETS
        by_street = counts.daily(conn)
        known = knowledge.known(conn, Settings(data_dir=folder), END)
        of_streets = conn.execute(select(func.count()).where(func.length(tickets.c.area) == 9)).scalar_one()
    told = made.counts.assign(area=made.counts.street.where(made.counts.street != "", made.counts.district))
    told = told.groupby(["date", "area", "category"])["count"].sum().sort_index()
    stored = by_street.set_index(["date", "area", "category"])["count"].sort_index()
    pd.testing.assert_series_equal(stored, told, check_index_type=False)
    assert of_streets == (made.counts["count"][made.counts.street != ""]).sum()

    plain = city.simulate(3, 0.02, START, END).counts.groupby("district")["count"].sum()
    panel = known.panel.series.assign(count=np.nansum(known.panel.counts, axis=1)).groupby("area")["count"].sum()
    assert panel.to_dict() == plain.to_dict()
