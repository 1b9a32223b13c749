"""The store: records come back as they went in, are written once, and nothing broken is dropped or fatal."""

import base64
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from results import store
from results.records import RECORD, PlannedSuite, PlannedVariant, RunPlan, TrainRecord
from tests import samples


def test_records_come_back_as_they_went_in(tmp_path):
    for record in (training := samples.training(), step := samples.step_time(), failed := samples.failure()):
        store.write(tmp_path, record)
    run = store.load(tmp_path)
    assert (run.trainings, run.step_times, run.failures) == ((training,), (step,), (failed,))
    assert run.done == {training.trial_id, step.trial_id}
    assert run.broken == {}
    assert {path.suffix for path in (tmp_path / "records").iterdir()} == {".json"}, "no temporary file stays"


def test_a_result_is_written_once(tmp_path):
    path = store.write(tmp_path, samples.training(top1=0.9))
    with pytest.raises(FileExistsError, match="written once"):
        store.write(tmp_path, samples.training(top1=0.1))
    assert RECORD.validate_json(path.read_bytes()).metrics["top1"] == 0.9


def test_a_failure_gives_way_to_the_next_outcome(tmp_path):
    store.write(tmp_path, samples.failure(reason="first"))
    store.write(tmp_path, samples.failure(reason="second"))
    assert [failure.reason for failure in store.load(tmp_path).failures] == ["second"]
    store.write(tmp_path, samples.training("vit", 1))
    run = store.load(tmp_path)
    assert (len(run.failures), len(run.trainings)) == (0, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "Invalid JSON"),
        (b'{"kind": "train", "schema', "Invalid JSON"),
        (b'{"kind": "sonnet"}', "'train', 'steptime', 'failure'"),
        (b"[1, 2]", "should be a valid dictionary or object"),
    ],
)
def test_a_broken_record_is_named_and_costs_no_other(tmp_path, content, complaint):
    store.write(tmp_path, samples.training())
    (tmp_path / "records" / "broken.json").write_bytes(content)
    run = store.load(tmp_path)
    assert len(run.trainings) == 1
    assert complaint in run.broken["broken.json"]
    store.set_aside(tmp_path, list(run.broken))
    assert store.load(tmp_path).broken == {}
    assert (tmp_path / "records" / "broken.json.broken").read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 5},
        {"metrics": {"top1": 1.5}},
        {"metrics": {"test_loss": float("nan")}},
        {"metrics": {"auc": 0.5}},
        {"epochs": []},
        {"surprise": 1},
    ],
    ids=str,
)
def test_records_are_validated(change):
    content = json.loads(samples.training().model_dump_json())
    with pytest.raises(ValidationError):
        TrainRecord.model_validate(content | change)


def test_every_flipped_bit_of_a_record_is_seen_or_changes_nothing_that_it_says(tmp_path):
    """A space that becomes another white space says the same; any other bit makes the record broken."""
    record = samples.failure()
    path = store.write(tmp_path, record)
    content = path.read_bytes()
    seen = 0
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        run = store.load(tmp_path)
        assert run.failures in ((), (record,)), place
        seen += bool(run.broken)
    assert seen > 0.9 * 8 * len(content)


def test_a_number_that_was_changed_by_hand_is_named(tmp_path):
    path = store.write(tmp_path, samples.training(top1=0.9))
    path.write_text(path.read_text().replace('"top1": 0.9', '"top1": 0.8'))
    run = store.load(tmp_path)
    assert run.trainings == ()
    assert run.broken == {path.name: "its checksum is of another content: the file was damaged or changed"}


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    path = store.write(tmp_path, samples.training())
    with path.open("r+b") as file:
        file.truncate(10**11)  # a hole: it takes no room
    assert store.load(tmp_path).broken == {path.name: "has 100,000,000,000 bytes; at most 67,108,864 are read"}


FOLDER = Path(__file__).parent / "samples"
SAMPLES = sorted(path for path in FOLDER.glob("*.json") if path.stem != "peak")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_record_of_each_kind_and_version_stays_readable(path):
    """As a run has written it: a new version of the schema adds its samples, and no old one is changed."""
    kind, _ = path.stem.split("-")
    record, found = store.read(path), json.loads(path.read_bytes())
    assert (record.kind, record.schema_version) == (kind, 4)
    said = {name: value for name, value in (found.get("settings") or found["trial"]).items() if name != "data_dir"}
    assert record.trial.model_dump(mode="json", exclude={"data_dir"}).items() >= said.items()


def test_there_is_a_sample_of_each_kind_and_version():
    kinds = {"train", "steptime", "failure"}
    assert {path.stem for path in SAMPLES} == {f"{kind}-{version}" for kind in kinds for version in (1, 2, 3, 4)}


def test_what_runs_once_measured_of_the_machine_is_left_out(tmp_path):
    """A record as a run of before has written it, a trial that failed, and one that was not run any more."""
    content = (FOLDER / "peak.json").read_bytes()
    done = store.write(tmp_path, samples.training())
    ids = tuple(f"peak-process{process}-dbb7bbf79f4b" for process in range(3))
    done.with_name(f"{ids[0]}.json").write_bytes(content)
    store.write(tmp_path, samples.failure().model_copy(update={"trial_id": ids[1]}))
    asked(tmp_path, scaling=(done.stem, *ids))
    run = store.load(tmp_path)
    assert (run.done, run.failures, run.broken, run.missing) == ({done.stem}, (), {}, {})
    assert run.plan.suites["scaling"].trial_ids == (done.stem,)


def asked(folder, **suites):
    """Asks for more in the folder: suites as their trials' ids, or as settings of a planned suite."""
    planned = {
        name: PlannedSuite(question="Why?", **(suite if isinstance(suite, dict) else {"trial_ids": suite}))
        for name, suite in suites.items()
    }
    store.write_plan(folder, RunPlan(profile="quick", command="now", suites=planned), store.load(folder))


def test_a_plan_remembers_what_was_asked_before(tmp_path):
    asked(tmp_path, accuracy=("a", "b"))
    asked(tmp_path, accuracy=("b", "c"), scaling=("d",))
    run = store.load(tmp_path)
    assert run.missing == {"accuracy": ["a", "b", "c"], "scaling": ["d"]}
    assert {name: [*suite.trial_ids] for name, suite in run.plan.suites.items()} == run.missing


def test_a_plan_remembers_that_seeds_were_added_once_the_page_was_there(tmp_path):
    done = [store.write(tmp_path, samples.training(seed=seed)).stem for seed in range(3)]

    def looks(seeds):
        asked(tmp_path, accuracy={"seeds": seeds, "trial_ids": (*done[:seeds], *map(str, range(3, seeds)))})
        suite = store.load(tmp_path).plan.suites["accuracy"]
        return suite.seeds, suite.looked_at

    assert looks(2) == (2, ())
    assert looks(2) == (2, ()), "the same again is no look"
    assert looks(3) == (3, (2,))
    assert looks(7) == (7, (2, 3))
    assert looks(11) == (11, (2, 3, 7)), "also where the page showed a part of them"


def test_seeds_that_another_suite_adds_are_a_look_too(tmp_path):
    done = [store.write(tmp_path, samples.training(seed=seed)).stem for seed in range(2)]
    asked(tmp_path, accuracy={"seeds": 2, "trial_ids": done}, scaling={"seeds": 5, "trial_ids": ("other",)})
    asked(tmp_path, rivals={"seeds": 3, "trial_ids": (*done, "new")}, recipes={"seeds": 7, "trial_ids": ("another",)})
    suites = store.load(tmp_path).plan.suites
    assert {name: suite.looked_at for name, suite in suites.items()} == {
        "accuracy": (),
        "scaling": (),
        "rivals": (2,),
        "recipes": (),
    }


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"right": base64.b64encode(b"\xff").decode()}, "not a bit for each test image"),
        ({"right": base64.b64encode(b"\xff\x00").decode()}, "differ in how many images are right"),
        ({"right_by_class": (5, 6)}, "not of 3 classes"),
        ({"right_by_class": (5, 4, 3)}, "differ in how many images are right"),
        ({"confused": ((0, 3, 1),)}, "not of 3 classes"),
        ({"images_by_class": (5, 4)}, "not of 3 classes"),
        ({"images_by_class": (5, 5, 4)}, "are not the test images"),
        ({"images_by_class": (7, 2, 4)}, "are not the test images"),
    ],
)
def test_predictions_that_contradict_their_record_are_refused(told, complaint):
    """Of 13 test images in 3 classes 11 are right."""
    right = {"right": base64.b64encode(b"\xff\xe0").decode(), "right_by_class": (5, 3, 3), "confused": ((0, 1, 2),)}
    good = samples.altered(samples.training(), model={"classes": 3}).model_dump(mode="json")
    good |= {"test_images": 13, "metrics": {"top1": 11 / 13}, "predictions": right | {"images_by_class": (5, 4, 4)}}
    assert TrainRecord.model_validate(good).predictions
    with pytest.raises(ValidationError, match=complaint):
        TrainRecord.model_validate(good | {"predictions": good["predictions"] | told})


def test_a_plan_remembers_every_setting_that_a_suite_varied(tmp_path):
    small, large = (PlannedVariant(title=title, preset="vit", settings={}) for title in ("small", "large"))
    base = {"augmentation": "tutorial"}
    for grid, held, own in (
        (("augmentation",), base, {"a": small}),
        ((), {}, {"b": large}),
        (("weight_decay", "augmentation"), base | {"weight_decay": 0.1}, {}),
        (("weight_decay",), {"weight_decay": 0.1}, {}),
    ):
        asked(tmp_path, drift={"grid": grid, "base": held, "own": own, "trial_ids": ()})
    kept = store.load(tmp_path).plan.suites["drift"]
    assert kept.grid == ("augmentation", "weight_decay")
    assert kept.base == {"augmentation": "tutorial", "weight_decay": 0.1}
    assert kept.own == {"a": small, "b": large}


def test_a_shared_trial_belongs_to_every_suite_that_asked_for_it(tmp_path):
    store.write(tmp_path, samples.training(suite="accuracy"))
    (record,) = store.load(tmp_path).trainings
    assert store.load(tmp_path).asked_by(record) == ["accuracy"], "without a plan its own"
    asked(tmp_path, accuracy=(record.trial_id,), drift=(record.trial_id,))
    assert store.load(tmp_path).asked_by(record) == ["accuracy", "drift"]


def test_a_result_ends_its_trials_checkpoint_and_a_failure_does_not(tmp_path):
    done, failed = samples.training("eanet"), samples.failure("vit")
    for trial_id in (done.trial_id, failed.trial_id):
        path = store.checkpoint(tmp_path, trial_id)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
    assert store.checkpoints(tmp_path) == {done.trial_id, failed.trial_id}
    store.write(tmp_path, done)
    store.write(tmp_path, failed)
    assert store.checkpoints(tmp_path) == {failed.trial_id}


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    half = tmp_path / "checkpoints" / ".writing-abc.tmp"
    half.write_bytes(b"half")
    with store.locked(tmp_path):
        assert not half.exists()


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path):
    """The second one is another process, as in life."""
    code = (
        f"from pathlib import Path; from results import store\nwith store.locked(Path({str(tmp_path)!r})): print('in')"
    )
    with store.locked(tmp_path):
        refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is in use by another run: wait for it, or choose another folder with --out" in refused.stderr
    admitted = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert admitted.stdout == "in\n"


def test_what_is_no_plain_file_is_named_and_set_aside_and_not_waited_for(tmp_path):
    """A pipe would be waited for until somebody writes, and a device never ends."""
    store.write(tmp_path, samples.training())
    os.mkfifo(tmp_path / "records" / "a-pipe.json")
    (tmp_path / "records" / "b-device.json").symlink_to("/dev/zero")
    (tmp_path / "records" / "c-folder.json").mkdir()
    (tmp_path / "records" / "d-nowhere.json").symlink_to("nowhere")
    os.mkfifo(tmp_path / "plan.json")
    run = store.load(tmp_path)
    assert run.broken == {
        "a-pipe.json": "is no plain file",
        "b-device.json": "is no plain file",
        "c-folder.json": "Is a directory",
        "d-nowhere.json": "No such file or directory",
        "plan.json": "is no plain file",
    }
    assert store.set_aside(tmp_path, run.broken) == sorted(run.broken)
    assert store.load(tmp_path).broken == {}
    assert len(list((tmp_path / "records").glob("*.broken"))) == 4
    assert len(store.load(tmp_path).trainings) == 1


def test_a_checkpoint_that_is_no_plain_file_is_none(tmp_path):
    store.keep(tmp_path, "a-file", b"weights")
    os.mkfifo(store.checkpoint(tmp_path, "a-pipe"))
    store.checkpoint(tmp_path, "a-device").symlink_to("/dev/zero")
    found = [store.kept(tmp_path, name) for name in ("a-file", "a-pipe", "a-device", "none")]
    assert found == [b"weights", None, None, None]


def test_a_broken_record_of_any_name_is_set_aside_beside_the_ones_before(tmp_path):
    for _ in range(2):
        (tmp_path / "records").mkdir(exist_ok=True)
        Path(os.fsdecode(bytes(tmp_path / "records") + b"/\x1b[2J\xff.json")).write_bytes(b"{}")
        broken = store.load(tmp_path).broken
        assert list(broken) == [r"\x1b[2J\xff.json"]
        assert store.set_aside(tmp_path, broken) == list(broken)
    assert len(list((tmp_path / "records").iterdir())) == 2


@pytest.mark.parametrize("name", ["records", "checkpoints", "tables"])
def test_a_folder_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to("../elsewhere")
    with (
        pytest.raises(store.StoreError, match=f"{name} is a link, and a run writes nothing outside its folder"),
        store.locked(tmp_path / "run"),
    ):
        pass


WITHOUT_LOCKS = """
import ctypes, platform, struct
flock = {"x86_64": 73, "aarch64": 32}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, flock), (0x06, 0, 0, 0x50000 | ERRNO), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("steps", ctypes.c_ushort), ("code", ctypes.c_void_p)]
kernel, program = ctypes.CDLL(None, use_errno=True), Program(len(steps), ctypes.addressof(code))
if kernel.prctl(38, 1, 0, 0, 0) or kernel.prctl(22, 2, ctypes.byref(program), 0, 0):
    raise SystemExit(77)
"""
"""Has the kernel answer every flock(2) of this process with ERRNO (seccomp), as it does on file systems without it."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp is Linux's")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_refused_by_name(tmp_path, number):
    code = WITHOUT_LOCKS.replace("ERRNO", str(number)) + "from pathlib import Path; from results import store\n"
    code += f"try:\n  with store.locked(Path({str(tmp_path)!r})): print('in')\nexcept store.StoreError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("this machine admits no seccomp filter")
    said = f"{tmp_path} is on a file system without locks, where two runs could mix: choose another with --out\n"
    assert done.stdout == said, done.stderr
