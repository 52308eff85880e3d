from driftloop.featurestore.redis_marks import Mark, complete_up_to, mark_key
from driftloop.featurestore.redis_nodes import Master

LEFT = Master(0, "a", 1, b"0-8191", b"17")


def test_a_mark_is_equal_after_its_hash() -> None:
    mark = Mark(b"writer:1", b"0-8191", {"a:b": 5, "c": 6}, {"c": ("depot", "zone")})
    fields = mark.fields()
    assert Mark.of(dict(zip(fields[::2], fields[1::2], strict=True))) == mark
    assert Mark.of({}) == Mark()


def test_a_mark_speaks_only_of_the_slots_that_its_node_had() -> None:
    assert Mark(b"writer:1", b"0-8191").is_about(LEFT)
    assert not Mark(b"writer:1", b"0-9000").is_about(LEFT)
    assert not Mark(b"", b"0-8191").is_about(LEFT)
    assert not Mark().is_about(Master(0, "a", 1, b"", b"0"))


def test_a_loop_is_complete_up_to_the_least_mark_of_all_nodes() -> None:
    assert complete_up_to([{"v": 5}]) == {"v": 5}
    assert complete_up_to([{"v": 5, "w": 1}, {"v": 3, "w": 2}, {"v": 9, "w": 2}]) == {"v": 3, "w": 1}
    assert complete_up_to([{"v": 5, "w": 1}, {"v": 3}]) == {"v": 3}
    assert complete_up_to([{"v": 5}, {}]) == {}


def test_the_key_of_a_mark_has_its_nodes_hash_tag() -> None:
    assert mark_key("parcels", LEFT) == b"driftloop:marks:{17}:parcels"
