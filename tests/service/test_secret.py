"""The installation's secret and what is derived from it."""

from pathlib import Path

from pydantic import SecretStr

from service import secret
from service.settings import Settings


def test_every_purpose_has_a_key_of_its_own_that_is_always_the_same(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = {purpose: secret.derived(settings, purpose) for purpose in ("api keys", "page sessions")}
    assert len(set(made.values())) == 2
    assert all(len(key) == 32 for key in made.values())
    assert secret.of(settings) not in made.values()
    assert {purpose: secret.derived(settings, purpose) for purpose in made} == made


def test_another_secret_gives_other_keys(tmp_path: Path) -> None:
    one, other = (Settings(data_dir=tmp_path, hash_key=SecretStr(text)) for text in ("one", "other"))
    assert secret.of_keys(one) != secret.of_keys(other)
    assert not list(tmp_path.iterdir()), "a secret that is given is kept nowhere"
