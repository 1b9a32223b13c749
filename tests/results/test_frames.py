"""Records as pandas frames: every record and every sample is there once, failures too."""

import json

from results import frames, store
from tests import samples


def test_frames_hold_every_record(tmp_path):
    for record in (
        samples.training("eanet", 0, top1=0.7),
        samples.training("vit", 0, top1=0.9),
        samples.failure("vit", 1),
        samples.step_time("eanet", 121, 0.003),
    ):
        store.write(tmp_path, record)
    run = store.load(tmp_path)
    trainings = frames.trainings(run)
    assert trainings.set_index(["variant", "seed"]).status.to_dict() == {
        ("eanet", 0): "done",
        ("vit", 0): "done",
        ("vit", 1): "failed",
    }
    assert trainings.top1.dropna().tolist() == [0.7, 0.9]
    assert frames.epochs(run).groupby("variant").epoch.apply(list).to_dict() == {"eanet": [1, 2], "vit": [1, 2]}
    steps = frames.step_times(run)
    assert steps.patches.tolist() == [121] * 3
    assert steps.step_seconds.median() == 0.003
    for frame in (trainings[trainings.status == "done"], steps):
        assert set(frame.backend) == {"tensorflow"}
        assert set(frame.precision) == {"float32"}


def test_an_empty_run_has_empty_frames_with_their_columns(tmp_path):
    run = store.load(tmp_path)
    assert len(frames.trainings(run)) == len(frames.step_times(run)) == 0
    assert {"variant", "seed", "top1"} <= set(frames.trainings(run))


def test_what_earlier_records_could_not_measure_is_empty(tmp_path):
    """Their memory held the images, and a step of one epoch of one step is a compilation."""
    store.write(tmp_path, samples.training("vit", 1))
    earlier = samples.earlier(samples.training("eanet", 0, training={"batch_size": 1151}))
    (tmp_path / "records" / "earlier.json").write_text(json.dumps(earlier))
    found = frames.trainings(store.load(tmp_path)).set_index("variant")
    assert found.peak_memory_bytes["vit"] == 600 * 2**20
    assert found.peak_memory_bytes.isna()["eanet"]
    assert found.train_step_seconds["vit"] == 0.02
    assert found.train_step_seconds.isna()["eanet"]
