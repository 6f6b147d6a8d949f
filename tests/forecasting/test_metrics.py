"""Scores agree with a second implementation: plain loops over rows, slow and obviously right."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import small_cities

from forecasting import metrics, panel
from forecasting.distribution import LEVELS, QUANTILE_NAMES
from forecasting.forecast_set import with_quantiles
from forecasting.hierarchy import ALL

DAYS = 60
CUTOFFS = [small_cities.START + pd.Timedelta(days=t) for t in (35, 49)]
HORIZON = 10  # the second cutoff's last day is the last of the panel


def truth_of(frame: pd.DataFrame) -> dict[tuple[str, str], dict[pd.Timestamp, float]]:
    """District, category -> day -> count, sums included; every pair counts 0 on days without a row."""
    days = list(pd.date_range(frame["date"].min(), frame["date"].max()))
    out: dict[tuple[str, str], dict[pd.Timestamp, float]] = {}
    for row in frame.itertuples():
        for node in itertools.product((row.district, ALL), (row.category, ALL)):
            cell = out.setdefault(node, dict.fromkeys(days, 0.0))
            cell[row.date] += row.count
    return out


def forecasts_of(truth: dict[tuple[str, str], dict[pd.Timestamp, float]], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for model, cutoff, (district, category) in itertools.product(("good", "bad"), CUTOFFS, truth):
        for h in range(1, HORIZON + 1):
            day = cutoff + pd.Timedelta(days=h)
            mean = max(truth[district, category].get(day, 5.0) + rng.normal(0, 2 if model == "good" else 6), 0.0)
            width = np.array([-3, -2, -1, 0, 1, 2, 3]) * rng.uniform(0.5, 2)
            quantiles = dict(zip(QUANTILE_NAMES, np.round(np.maximum(mean + width, 0)), strict=True))
            rows.append(
                {"district": district, "category": category, "cutoff": cutoff, "date": day, "horizon": h, "model": model, "mean": mean} | quantiles
            )
    return pd.DataFrame(rows)


def level(district: str, category: str) -> str:
    if district == ALL and category == ALL:
        return "city"
    return "category" if district == ALL else "district" if category == ALL else "series"


def slow(forecasts: pd.DataFrame, truth: dict[tuple[str, str], dict[pd.Timestamp, float]]) -> dict[tuple[str, str], dict[str, float]]:
    """Scores of each (model, level), by loops."""
    first = forecasts["cutoff"].min()
    base = {}
    for node, counts in truth.items():
        past = {day: y for day, y in counts.items() if day <= first}
        steps = [y - past[day - pd.Timedelta(days=7)] for day, y in past.items() if day - pd.Timedelta(days=7) in past]
        recent = [y for day, y in past.items() if day > first - pd.Timedelta(days=180)]
        base[node] = (sum(s * s for s in steps) / len(steps), sum(abs(s) for s in steps) / len(steps), sum(recent))
    out = {}
    for key in {(r.model, level(r.district, r.category)) for r in forecasts.itertuples()}:
        rows = [r for r in forecasts.itertuples() if (r.model, level(r.district, r.category)) == key and r.date in truth[r.district, r.category]]
        total = inside80 = inside90 = absolute = loss = means = 0.0
        windows: dict[tuple[str, str, pd.Timestamp], list[float]] = {}
        for r in rows:
            y = truth[r.district, r.category][r.date]
            total, means, absolute = total + y, means + r.mean, absolute + abs(y - r.mean)
            windows.setdefault((r.district, r.category, r.cutoff), []).append(y - r.mean)
            inside80 += r.q10 <= y <= r.q90
            inside90 += r.q05 <= y <= r.q95
            for name, q in zip(QUANTILE_NAMES, LEVELS, strict=True):
                x = getattr(r, name)
                loss += 2 * (q * (y - x) if y >= x else (1 - q) * (x - y)) / len(LEVELS)
        wrmsse = mase = weight = 0.0
        for (district, category, _), errors in windows.items():
            scale, step, w = base[district, category]
            if scale > 0 and w > 0:
                wrmsse += w * math.sqrt(sum(e * e for e in errors) / len(errors) / scale)
                mase += w * sum(map(abs, errors)) / len(errors) / step
                weight += w
        n = len(rows)
        out[key] = {
            "rows": n, "WRMSSE": wrmsse / weight, "WAPE": absolute / total, "WQL": loss / total, "MASE": mase / weight,
            "cover80": inside80 / n, "cover90": inside90 / n, "bias": means / total - 1,
        }  # fmt: skip
    return out


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    return small_cities.counts(DAYS, ("d1", "d2", "d3"), ("HEAT", "NOISE"), level=6)


def test_scores_agree_with_plain_loops(counts: pd.DataFrame) -> None:
    truth = truth_of(counts)
    forecasts = forecasts_of(truth)
    got = metrics.score(forecasts, metrics.actuals(panel.from_counts(counts))).set_index(["model", "level"])
    want = pd.DataFrame(slow(forecasts, truth)).T.rename_axis(["model", "level"])
    pd.testing.assert_frame_equal(got.sort_index(), want[got.columns].sort_index(), check_dtype=False, rtol=1e-9)


def test_days_without_an_actual_are_left_out(counts: pd.DataFrame) -> None:
    short = counts[counts["date"] <= CUTOFFS[1] + pd.Timedelta(days=4)]
    forecasts = forecasts_of(truth_of(counts))
    got = metrics.score(forecasts, metrics.actuals(panel.from_counts(short))).set_index(["model", "level"])
    want = pd.DataFrame(slow(forecasts, truth_of(short))).T
    assert got.loc[("good", "city"), "rows"] == HORIZON + 4
    np.testing.assert_allclose(got["WQL"].sort_index(), want["WQL"].sort_index())


def test_without_any_actual_there_is_no_score(counts: pd.DataFrame) -> None:
    early = metrics.actuals(panel.from_counts(counts[counts["date"] <= CUTOFFS[0]]))
    got = metrics.score(forecasts_of(truth_of(counts)), early)
    assert got.empty
    assert {"model", "level", "WRMSSE", "WQL"} <= set(got.columns)


def test_scales_and_weights_do_not_see_past_the_first_cutoff(counts: pd.DataFrame) -> None:
    later = counts["date"] > CUTOFFS[0]
    changed = counts.assign(count=np.where(later, counts["count"] * 50 + 3, counts["count"]))
    one, other = (metrics.scales(metrics.actuals(panel.from_counts(f)), CUTOFFS[0]) for f in (counts, changed))
    pd.testing.assert_frame_equal(one, other)


def test_the_weight_is_the_volume_of_the_last_half_year() -> None:
    dates = pd.date_range(small_cities.START, periods=300)
    counts = pd.DataFrame({"district": "a", "category": "x", "date": dates, "count": np.arange(300) % 11})
    got = metrics.scales(metrics.actuals(panel.from_counts(counts)), dates[-1])
    assert (got["weight"] == counts["count"].iloc[-180:].sum()).all()


def test_a_node_that_never_changed_has_no_scale_and_does_not_count() -> None:
    dates = pd.date_range(small_cities.START, periods=DAYS)
    flat = pd.DataFrame({"district": "flat", "category": "x", "date": dates, "count": 4.0})
    lively = small_cities.counts(DAYS, ("lively",), ("x",))
    counts = pd.concat([flat, lively])
    forecasts = forecasts_of(truth_of(counts))
    got = metrics.score(forecasts, metrics.actuals(panel.from_counts(counts))).set_index(["model", "level"])
    alone = metrics.score(forecasts[forecasts["district"] == "lively"], metrics.actuals(panel.from_counts(counts))).set_index(["model", "level"])
    assert got.loc[("good", "series"), "WRMSSE"] == pytest.approx(alone.loc[("good", "series"), "WRMSSE"])


def silent(counts: pd.DataFrame, day: pd.Timestamp, district: str | None) -> pd.DataFrame:
    return counts[(counts["date"] != day) | (counts["district"] != district if district else False)]


def test_a_sum_is_left_out_on_a_day_on_which_a_part_of_it_is_missing() -> None:
    counts = small_cities.counts(DAYS, ("d1", "d2"), ("x",), level=80)
    hole = small_cities.START + pd.Timedelta(days=40)
    got = metrics.actuals(panel.from_counts(silent(counts, hole, "d1")))
    on_that_day = got[got["date"] == hole]
    assert set(on_that_day["district"]) == {"d2"}
    assert len(got) == 2 * (2 * DAYS - 1) + 2 * (DAYS - 1)


def test_differences_are_of_seven_days_although_a_day_is_missing() -> None:
    counts = small_cities.counts(DAYS, ("d1", "d2"), ("x",), level=80)
    hole = small_cities.START + pd.Timedelta(days=25)
    missing = panel.from_counts(silent(counts, hole, None))
    assert np.isnan(missing.counts[:, 25]).all()
    got = metrics.scales(metrics.actuals(missing), CUTOFFS[0])
    for node, days in truth_of(counts).items():
        past = {d: y for d, y in days.items() if d <= CUTOFFS[0] and d != hole}
        steps = [y - past[d - pd.Timedelta(days=7)] for d, y in past.items() if d - pd.Timedelta(days=7) in past]
        assert got.loc[node, "scale"] == pytest.approx(np.mean(np.square(steps)))


def test_scores_by_series_are_those_of_each_series_alone(counts: pd.DataFrame) -> None:
    forecasts = forecasts_of(truth_of(counts))
    truth = metrics.actuals(panel.from_counts(counts))
    got = metrics.score(forecasts, truth, by=("model", "district", "category")).set_index(["model", "district", "category"])
    for (district, category), rows in forecasts.groupby(["district", "category"]):
        alone = metrics.score(rows, truth).set_index("model")
        for model in ("good", "bad"):
            assert got.loc[(model, district, category), "WRMSSE"] == pytest.approx(alone.loc[model, "WRMSSE"])
            assert got.loc[(model, district, category), "WQL"] == pytest.approx(alone.loc[model, "WQL"])


def test_a_perfect_forecast_scores_zero_and_a_better_one_less_than_a_worse_one(counts: pd.DataFrame) -> None:
    forecasts, truth = forecasts_of(truth_of(counts)), metrics.actuals(panel.from_counts(counts))
    got = metrics.score(forecasts, truth).set_index(["level", "model"])
    for where in ("city", "district", "category", "series"):
        for name in ("WRMSSE", "WAPE", "WQL", "MASE"):
            assert got.loc[(where, "good"), name] < got.loc[(where, "bad"), name]
    exact = forecasts.merge(truth, on=["district", "category", "date"])
    exact = exact.assign(mean=exact["count"], **dict.fromkeys(QUANTILE_NAMES, exact["count"])).drop(columns="count")
    perfect = metrics.score(exact, truth)
    assert (perfect[["WRMSSE", "WAPE", "WQL", "MASE", "bias"]] == 0).all().all()
    assert (perfect[["cover80", "cover90"]] == 1).all().all()


def test_the_mean_of_levels_is_the_plain_mean_of_the_four(counts: pd.DataFrame) -> None:
    got = metrics.score(forecasts_of(truth_of(counts)), metrics.actuals(panel.from_counts(counts)))
    mean = metrics.mean_of_levels(got).set_index("model")
    for model in ("good", "bad"):
        assert mean.loc[model, "WRMSSE"] == pytest.approx(got.loc[got["model"] == model, "WRMSSE"].sum() / 4)


def test_where_nothing_came_relative_scores_are_missing_and_not_infinite() -> None:
    dates = pd.date_range(small_cities.START, periods=DAYS)
    counts = pd.DataFrame({"district": "a", "category": "x", "date": dates, "count": 0})
    got = metrics.score(forecasts_of(truth_of(counts)), metrics.actuals(panel.from_counts(counts)))
    assert got[["WRMSSE", "WAPE", "WQL", "MASE", "bias"]].isna().all().all()
    assert got["cover90"].notna().all()


def test_sums_from_arrays_are_those_of_the_long_table() -> None:
    """Windows with holes, a node first named late, one without a count: as the long table has it."""
    rng = np.random.default_rng(4)
    days, horizon = 120, 7
    frame = small_cities.counts(days, ("d1", "d2"), ("HEAT", "NOISE"), level=6)
    known = small_cities.known(frame)
    counts = known.counts.copy()
    counts[2, 100:103] = np.nan
    origins = (98, 105, 112)
    came = np.stack([counts[:, o + 1 : o + 1 + horizon] for o in origins], axis=1)
    means = rng.gamma(5, 1, came.shape)
    means[1, 0] = np.nan
    dispersion = rng.gamma(1, 0.1, (len(means), horizon))
    nodes = known.hierarchy.nodes
    long = pd.concat(
        [
            pd.DataFrame(
                {
                    "district": np.repeat(nodes["area"].to_numpy(), horizon),
                    "category": np.repeat(nodes["category"].to_numpy(), horizon),
                    "date": np.tile(known.panel.days[o + 1 : o + 1 + horizon].to_numpy(), len(nodes)),
                    "cutoff": known.panel.days[o],
                    "model": "m",
                    "mean": means[:, w].ravel(),
                    "dispersion": dispersion.ravel(),
                }
            ).dropna(subset="mean")
            for w, o in enumerate(origins)
        ]
    )
    truth = pd.DataFrame(
        {
            "district": np.repeat(nodes["area"].to_numpy(), days),
            "category": np.repeat(nodes["category"].to_numpy(), days),
            "date": np.tile(known.panel.days.to_numpy(), len(nodes)),
            "count": counts.ravel(),
        }
    ).dropna(subset="count")
    want = metrics.sums(with_quantiles(long), truth, by=("district", "category"))
    got = metrics.node_sums(means, dispersion, came, metrics.yardstick(counts[:, : origins[0] + 1]))
    got.index = pd.MultiIndex.from_frame(nodes[["area", "category"]])
    pd.testing.assert_frame_equal(got.sort_index(), want.sort_index(), check_dtype=False, check_names=False)


def test_weeks_of_the_horizon_are_scored_as_if_each_were_the_whole() -> None:
    rng = np.random.default_rng(5)
    means, counts = rng.gamma(3, 2, (7, 3, 10)), rng.poisson(6, (7, 3, 10)).astype(float)
    counts[2, 1, 4:] = np.nan
    means[3] = np.nan
    dispersion = rng.uniform(0, 0.5, (7, 10))
    by = metrics.yardstick(rng.poisson(6, (7, 60)).astype(float))
    spans = [slice(None), slice(0, 7), slice(7, 10)]
    got = metrics.span_sums(means, dispersion, counts, by, spans)
    for span, of_span in zip(spans, got, strict=True):
        pd.testing.assert_frame_equal(of_span, metrics.node_sums(means[..., span], dispersion[:, span], counts[..., span], by))
    added = ["rows", "count", "mean", "absolute", "loss", "in80", "in90"]
    pd.testing.assert_frame_equal(got[0][added], got[1][added] + got[2][added])
