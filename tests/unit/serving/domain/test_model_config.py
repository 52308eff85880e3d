from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.serving.domain.loop_config import KeySource, OnlineSource, read_loop_config
from services.serving.domain.model_config import RouterPaths, config_pbtxt, input_types, loop_config, model_files
from tests.unit.serving.harness import CLASSES, DEFINITION, OF_CLASSES

PATHS = RouterPaths(Path("/o.db"), Path("/releases"), Path("/routes"), Path("/spool"), Path("/probe"))


def test_triton_parses_the_rendered_configuration() -> None:
    config = text_format.Parse(config_pbtxt(DEFINITION, 150), model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("parcels", "python", 256)
    assert list(config.version_policy.specific.versions) == [1]
    assert config.dynamic_batching.max_queue_delay_microseconds == 150
    types = {tensor.name: model_config_pb2.DataType.Name(tensor.data_type) for tensor in config.input}
    assert types == {
        "parcel_id": "TYPE_STRING",
        "decision_time_ms": "TYPE_INT64",
        "depot": "TYPE_STRING",
        "zone": "TYPE_INT64",
        "weight": "TYPE_FP64",
    }
    assert all(list(tensor.dims) == [1] for tensor in (*config.input, *config.output))
    assert [tensor.name for tensor in config.output] == ["score", "prediction_id", "release_id", "feature_age_s"]


def test_a_clock_loop_has_no_decision_time_input() -> None:
    prediction = DEFINITION.prediction.model_copy(update={"clock": "now"})
    definition = DEFINITION.model_copy(update={"prediction": prediction})
    assert "decision_time_ms" not in input_types(definition)
    assert "decision_time_ms" not in config_pbtxt(definition, 0)


def test_the_router_reads_what_was_rendered(tmp_path: Path) -> None:
    for name, content in model_files(DEFINITION, PATHS, 0).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    config = read_loop_config(tmp_path / "1" / "loop.json")
    assert config == loop_config(DEFINITION, PATHS)
    assert config.join_keys["world"] == KeySource(const="all")
    assert config.max_feature_age_ms == 2 * 3_600_000
    assert config.spool == "/spool/parcels"
    rendered = (tmp_path / "1" / "loop.json").read_text()
    (tmp_path / "1" / "loop.json").write_text(rendered.replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="has format 2; this version reads 1"):
        read_loop_config(tmp_path / "1" / "loop.json")


def test_the_router_gets_the_address_of_redis_and_the_file_of_its_password(tmp_path: Path) -> None:
    paths = replace(PATHS, online_url="redis://me@cache:6379", online_password_file="/run/p", online_ca_file="/run/ca")
    (tmp_path / "loop.json").write_bytes(loop_config(DEFINITION, paths).to_json())
    source = OnlineSource("/o.db", "redis://me@cache:6379", "/run/p", "/run/ca")
    assert read_loop_config(tmp_path / "loop.json").online == paths.online == source


def test_a_multiclass_loop_outputs_one_score_per_class(tmp_path: Path) -> None:
    config = text_format.Parse(config_pbtxt(OF_CLASSES, 0), model_config_pb2.ModelConfig())
    assert {tensor.name: list(tensor.dims) for tensor in config.output} == {
        "score": [3], "prediction_id": [1], "release_id": [1], "feature_age_s": [1],
    }  # fmt: skip
    (tmp_path / "loop.json").write_bytes(loop_config(OF_CLASSES, PATHS).to_json())
    assert read_loop_config(tmp_path / "loop.json").classes == CLASSES
