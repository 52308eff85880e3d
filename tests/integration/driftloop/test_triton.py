from __future__ import annotations

from contextlib import closing

import pytest
from tritonclient.utils import InferenceServerException

from tests.helpers.triton import TOKEN, Triton

pytestmark = [pytest.mark.integration, pytest.mark.triton]
CONTROL = "triton-grpc-protocol-driftloop-control"


def test_a_triton_is_up_with_no_model(triton: Triton) -> None:
    with closing(triton.client()) as client:
        assert client.is_server_ready()
        assert client.get_model_repository_index(headers={CONTROL: TOKEN}).models == []


@pytest.mark.parametrize("headers", [None, {CONTROL: "a guess"}])
def test_models_are_loaded_only_with_the_secret(triton: Triton, headers: dict[str, str] | None) -> None:
    with closing(triton.client()) as client:
        with pytest.raises(InferenceServerException, match="restricted"):
            client.load_model("anything", headers=headers)
        with pytest.raises(InferenceServerException, match="failed to load 'anything'"):
            client.load_model("anything", headers={CONTROL: TOKEN})
