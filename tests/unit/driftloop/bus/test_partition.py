from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from driftloop.bus.partition import murmur2, partition_of, partitions_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        # From Kafka's own UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_equals_that_of_kafkas_java_client(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=20), max_size=30), st.integers(1, 50))
def test_partitions_of_many_keys_equal_those_of_single_keys(keys: list[bytes], count: int) -> None:
    partitions = partitions_of(keys, count)
    assert partitions == [partition_of(key, count) for key in keys]
    assert all(0 <= partition < count for partition in partitions)


@given(st.binary(max_size=64))
def test_aiokafka_chooses_the_same_partition(key: bytes) -> None:
    assert DefaultPartitioner()(key, list(range(7)), list(range(7))) == partition_of(key, 7)
