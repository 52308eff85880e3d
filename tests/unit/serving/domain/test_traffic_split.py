from hypothesis import given
from hypothesis import strategies as st

from services.serving.domain.traffic_split import is_challenger, position


def test_the_position_of_a_key_is_fixed() -> None:
    assert position("parcel-1", "r-1") == 0.2889139611368344


def test_the_share_is_in_its_binomial_interval() -> None:
    from scipy.stats import binom  # takes 1.5 s to import

    for share in (0.01, 0.1, 0.5, 0.9):
        keys = sum(is_challenger(f"parcel-{n}", "r-abc", share) for n in range(20_000))
        low, high = binom.interval(0.99, 20_000, share)
        assert low <= keys <= high


@given(st.text(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_growing_share_only_adds_keys(key: str, salt: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert is_challenger(key, salt, more) or not is_challenger(key, salt, less)


@given(st.text())
def test_a_share_of_0_has_no_keys_and_a_share_of_1_all(key: str) -> None:
    assert not is_challenger(key, "r", 0.0)
    assert is_challenger(key, "r", 1.0)


def test_two_releases_get_different_keys() -> None:
    both = sum(is_challenger(f"k{n}", "r-1", 0.5) and is_challenger(f"k{n}", "r-2", 0.5) for n in range(10_000))
    assert 2_300 < both < 2_700
