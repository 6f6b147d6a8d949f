"""One scheme of names in MLflow, whoever records."""

import pytest

from experiments import compare, metric_names


@pytest.mark.parametrize("section", [metric_names.WEEKS, metric_names.WINDOWS, metric_names.WORTH, metric_names.VERSUS, metric_names.P])
def test_plain_scores_stand_first_in_mlflows_lists_which_go_by_the_alphabet(section: str) -> None:
    plain = [metric_names.score(level, "WRMSSE", model) for level in compare.LEVELS for model in ("", "usual_weeks")]
    others = [metric_names.score(level, "WAPE", section=section) for level in compare.LEVELS] + [metric_names.usage("peak_mb")]
    assert max(plain) < min(others)


def test_a_members_score_stands_beside_that_of_the_champion() -> None:
    assert metric_names.score("city", "WAPE") == "city.WAPE"
    assert metric_names.score("city", "WAPE", "prophet") == "city.WAPE.prophet"
    assert metric_names.score("city", "WAPE", "prophet", metric_names.WINDOWS) == "windows/city.WAPE.prophet"
    assert metric_names.usage("seconds.fit") == "usage/seconds.fit"
