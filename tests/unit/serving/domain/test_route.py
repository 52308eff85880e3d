from __future__ import annotations

import pytest

from services.serving.domain.route import parse_route, parse_status

_REFERENCE = b'{"release_id": "r", "digest": "d"}'
DAMAGED = [b"", b"{", b"\xff", b"3", b"null", b"[]", b'"text"', b'{"epoch": "1"}', b'{"epoch": 1, "more": 2}']


@pytest.mark.parametrize("content", [*DAMAGED, b"{}", b'{"champion": 3}'])
def test_a_damaged_route_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_route(content)


@pytest.mark.parametrize(("epoch", "fine"), [(b"3", True), (b'"3"', False), (b"null", False), (b"3.5", False)])
def test_a_routes_epoch_is_a_number(epoch: bytes, fine: bool) -> None:
    content = b'{"loop": "l", "epoch": %s, "champion": %s, "challenger": null}' % (epoch, _REFERENCE)
    if fine:
        assert parse_route(content).epoch == 3
        return
    with pytest.raises(ValueError, match="not a route"):
        parse_route(content)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_status_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_status(content)
