from pathlib import Path

import pytest

from driftloop.featurestore.online_address import OnlineAddress
from driftloop.process.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", OnlineAddress((("cache", 6379),))),
        ("redis://127.0.0.1:7000/2", OnlineAddress((("127.0.0.1", 7000),), db=2)),
        ("rediss://me@cache:7000", OnlineAddress((("cache", 7000),), uses_tls=True, user="me")),
        ("redis+cluster://a:1,b:2", OnlineAddress((("a", 1), ("b", 2)), is_cluster=True)),
        ("rediss+cluster://m%40e@[::1]:1,b", OnlineAddress((("::1", 1), ("b", 6379)), True, True, "m@e")),
    ],
)
def test_an_address_says_where_redis_is(url: str, expected: OnlineAddress) -> None:
    assert OnlineAddress.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://cache", "starts with none of redis://"),
        ("cache:6379", "starts with none of redis://"),
        ("redis://:hush@cache", "DRIFTLOOP_ONLINE_PASSWORD_FILE"),
        ("redis://me:hush@cache", "DRIFTLOOP_ONLINE_PASSWORD_FILE"),
        ("redis://a,b", "redis[+]cluster://"),
        ("redis://", "needs host:port"),
        ("redis://cache:port", "needs host:port"),
        ("redis://cache:0", "needs host:port"),
        ("redis://cache/x", "number of a database"),
        ("redis+cluster://a/1", "number of a database"),
        ("redis://cache?ssl=true", "has a query"),
    ],
)
def test_another_address_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        OnlineAddress.parse(url)
    assert "hush" not in str(raised.value)
    assert str(raised.value).startswith("DRIFTLOOP_ONLINE_URL ")


def test_the_password_is_read_from_its_file_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one\n")
    address = OnlineAddress.parse("redis://cache", str(file))
    assert address.password() == "one"
    file.write_text("two")
    assert address.password() == "two"
    file.unlink()
    with pytest.raises(ConfigError, match=r"DRIFTLOOP_ONLINE_PASSWORD_FILE is .*cannot be read"):
        address.password()
    assert OnlineAddress.parse("redis://cache").password() == ""
