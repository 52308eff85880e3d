from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.serving.domain.route import ReleaseOnRoute
from services.serving.router.sessions import ReleaseError, load_release
from tests.unit.serving.harness import CATEGORICAL, CLASSES, NUMERIC, on_route, probabilities, score, write_release


def staged(root: Path, bias: float = 1.0, error: float = 0.0, classes: tuple[str, ...] = ()) -> ReleaseOnRoute:
    reference = write_release(root, "r-1", bias, error, classes=classes)
    Path(reference.bundle.uri).rename(root / "r-1")
    return on_route(reference)


def test_a_release_scores_like_its_graph(tmp_path: Path) -> None:
    release = load_release(tmp_path, staged(tmp_path))
    numeric = np.arange(2.0 * len(NUMERIC)).reshape(2, -1)
    numeric[0, 1] = np.nan
    categorical = np.array([["calm", "north"], ["", "nowhere"]], dtype=np.object_)
    np.testing.assert_allclose(release.score(numeric, categorical), score(numeric, categorical, 1.0))
    assert (release.numeric, release.categorical) == (NUMERIC, CATEGORICAL)


def test_a_release_that_misses_its_golden_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="golden sample gives other scores"):
        load_release(tmp_path, staged(tmp_path, error=1e-4))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    ref = staged(tmp_path)
    (tmp_path / "r-1" / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ReleaseError, match="sha256") as caught:
        load_release(tmp_path, ref)
    assert caught.value.release_id == "r-1"


def test_a_missing_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="No such file"):
        load_release(tmp_path, ReleaseOnRoute("r-2", "00"))


def test_a_failing_graph_is_a_release_error(tmp_path: Path) -> None:
    release = load_release(tmp_path, staged(tmp_path))
    with pytest.raises(ReleaseError, match="the graph failed"):
        release.score(np.zeros((2, 1)), np.full((2, len(CATEGORICAL)), "", dtype=np.object_))


def test_a_multiclass_release_scores_each_class(tmp_path: Path) -> None:
    release = load_release(tmp_path, staged(tmp_path, classes=CLASSES), CLASSES)
    numeric, categorical = np.ones((2, len(NUMERIC))), np.full((2, len(CATEGORICAL)), "north", dtype=np.object_)
    scores = release.score(numeric, categorical)
    np.testing.assert_allclose(scores, probabilities(score(numeric, categorical, 1.0), 3))
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("of_release", "of_loop"),
    [(CLASSES, ()), ((), CLASSES), (CLASSES, CLASSES[::-1]), (CLASSES, CLASSES[:2])],
)
def test_a_release_with_other_classes_than_the_loop_is_refused(
    tmp_path: Path, of_release: tuple[str, ...], of_loop: tuple[str, ...]
) -> None:
    ref = staged(tmp_path, classes=of_release)
    with pytest.raises(ReleaseError, match=f"classes are {', '.join(of_release) or 'none'}; the loop's"):
        load_release(tmp_path, ref, of_loop)


def test_a_graph_with_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    release = load_release(tmp_path, staged(tmp_path, classes=CLASSES), CLASSES)
    odd = replace(release, classes=CLASSES[:2])
    with pytest.raises(ReleaseError, match=r"the graph failed: scores have shape \[2, 3\]"):
        odd.score(np.zeros((2, len(NUMERIC))), np.full((2, len(CATEGORICAL)), "", dtype=np.object_))
