"""A real Ray cluster of several nodes: what it records is what this machine records, and a lost node loses nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster as RayNodes  # noqa: E402

from benchmarks.cluster import Cluster, Share, _first_line, connected, largest_node_cpus  # noqa: E402
from benchmarks.inputs import InputError  # noqa: E402
from benchmarks.processor import available_threads  # noqa: E402
from results import store  # noqa: E402
from results.records import StepTimeRecord, TrainRecord  # noqa: E402
from results.trials import CoreStepTrial  # noqa: E402
from tests.benchmarks.test_own_attentions import DOCUMENTED  # noqa: E402
from tests.trials import ORIGIN, SMALL, history, step_times, trainings  # noqa: E402

pytestmark = [
    # Ray leaves the pipes and files of the processes that it starts to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parent.parent.parent
NODE_CPUS = 2


@pytest.fixture(scope="module")
def nodes():
    """A head without CPUs and two nodes, on which the same seed gives the same bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_DETERMINISTIC_OPS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = RayNodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(num_cpus=NODE_CPUS)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()


SETTINGS = [argument for pair in SMALL.items() for argument in ("--set", "=".join(pair))]


def command(*arguments, **environment):
    """The command as a user types it."""
    typed = [sys.executable, "-m", "benchmarks.run", *map(str, arguments), *SETTINGS]
    return subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, timeout=250)


def test_an_attention_of_a_users_file_goes_with_its_trials(nodes, tmp_path):
    (tmp_path / "token_mlp.py").write_text(DOCUMENTED)
    asked = ("--suite", "rivals", "--variant", "vit", "--attention", tmp_path / "token_mlp.py", "--seeds", 1)
    on_cluster = command(
        *asked, "--epochs", 1, "--out", tmp_path / "ray", "--executor", "ray", "--ray-address", nodes.address,
        "--trial-cpus", available_threads(),
    )  # fmt: skip
    assert (on_cluster.returncode, on_cluster.stderr) == (0, "")
    (tmp_path / "token_mlp.py").unlink()
    local = command(*asked[:4], "--seeds", 1, "--epochs", 1, "--out", tmp_path / "ray")
    assert "0 trials to run" in local.stdout, "nothing is left to do"
    assert {r.variant for r in store.load(tmp_path / "ray").trainings} == {"vit", "token-mlp"}


def test_results_equal_those_of_a_local_run_and_name_their_node(nodes, tmp_path):
    asked = ("--suite", "accuracy", "--seeds", 2, "--epochs", 2)
    on_cluster = command(
        *asked, "--out", tmp_path / "ray", "--executor", "ray", "--ray-address", nodes.address,
        "--trial-cpus", available_threads(),
    )  # fmt: skip
    assert on_cluster.returncode == 0, on_cluster.stderr
    assert "[4/4] accuracy: 4 trials in " in on_cluster.stdout
    here = ("--threads", available_threads())
    local = command(*asked, *here, "--out", tmp_path / "local", TF_DETERMINISTIC_OPS="1")
    assert local.returncode == 0, local.stderr
    theirs, ours = ({r.trial_id: r for r in store.load(tmp_path / where).trainings} for where in ("ray", "local"))
    assert len(theirs) == 4
    found, expected = ({i: (history(r), r.trial) for i, r in records.items()} for records in (theirs, ours))
    assert found == expected
    assert {r.environment.threads for r in (*theirs.values(), *ours.values())} == {available_threads()}
    assert {r.environment.node for r in ours.values()} == {None}
    assert len({r.environment.process for r in theirs.values()}) == 4, "a task has a process of its own"
    assert len({(r.variant, r.environment.process) for r in ours.values()}) == 2, "seeds of a variant share theirs"
    assert all(re.fullmatch(r"\S+ [0-9a-f]{8}", r.environment.node) for r in theirs.values())
    assert not (tmp_path / "ray" / "checkpoints").exists() or store.checkpoints(tmp_path / "ray") == set()


def test_every_trial_is_recorded_once_though_a_node_is_killed_and_images_are_put_on_a_node_once(nodes, tmp_path):
    trials = trainings(3, epochs=20)
    started, running, kept, files = [], set(), set(), {}
    doomed = nodes.add_node(num_cpus=NODE_CPUS)
    nodes.wait_for_nodes()

    def on_start(trial):
        started.append(trial.trial_id)
        running.add(trial.trial_id)

    def on_progress(trial, progress):
        for path in Path(tempfile.gettempdir()).glob(f"eanet-ablation-{cluster.folder_name}-*/*/train_images.npy"):
            files.setdefault(path, set()).add(path.stat().st_mtime_ns)
        kept.add(trial.trial_id)
        if len(running) == 3 and running <= kept and doomed in nodes.worker_nodes:  # each node has one
            nodes.remove_node(doomed, allow_graceful=False)

    with connected(nodes.address, "tensorflow", Share(NODE_CPUS, 0), ORIGIN, trials) as cluster:
        outcomes = []
        for trial, record in cluster.run(trials, tmp_path, on_start, on_progress, lambda _: 120.0):
            running.discard(trial.trial_id)
            store.write(tmp_path, record)  # which raises where a trial is recorded twice
            outcomes.append((trial.trial_id, type(record)))
    assert sorted(outcomes) == sorted((trial.trial_id, TrainRecord) for trial in trials)
    assert doomed not in nodes.worker_nodes
    assert len(started) > len(trials), "what ran on the node that died has been started again"
    assert {len(times) for times in files.values()} == {1}
    assert 2 <= len(files) <= 3
    assert not any(path.exists() for path in files if path.parent.parent.name[-12:] != doomed.node_id[:12])
    again = [record for record in store.load(tmp_path).trainings if record.interrupted_after]
    assert len(again) == 1, "from its last checkpoint"
    assert all(len(record.epochs) == 20 for record in again)


def test_what_a_node_had_still_to_tell_when_it_was_lost_is_run_again(nodes, tmp_path):
    """Checkpoints of megabytes stay where they were made until a command takes them, which here is too busy to."""
    trials = trainings(3, embedding_dim="256", mlp_dim="512")
    doomed, running = nodes.add_node(num_cpus=NODE_CPUS), set()
    nodes.wait_for_nodes()

    def on_progress(trial, progress):
        checkpoint = store.checkpoint(tmp_path, trial.trial_id)
        if not checkpoint.exists():  # a sign within a first epoch, on a slow machine
            return
        assert checkpoint.stat().st_size > 2**20
        if len(running) >= 3 and doomed in nodes.worker_nodes:
            time.sleep(10)  # in which every running task ends
            nodes.remove_node(doomed, allow_graceful=False)

    with connected(nodes.address, "tensorflow", Share(NODE_CPUS, 0), ORIGIN, trials) as cluster:
        outcomes = []
        for trial, record in cluster.run(
            trials, tmp_path, lambda trial: running.add(trial.trial_id), on_progress, lambda _: 120.0
        ):
            store.write(tmp_path, record)
            outcomes.append((trial.trial_id, type(record)))
    assert doomed not in nodes.worker_nodes
    assert sorted(outcomes) == sorted((trial.trial_id, TrainRecord) for trial in trials)


def test_a_trial_that_fails_is_not_tried_again_and_says_why(nodes, tmp_path):
    wrong = next(trial for trial in step_times(8) if trial.variant == "eanet")
    wrong = wrong.model_copy(update={"dim": 7})  # 4 heads do not divide it, which no plan would let through
    started = []
    with connected(nodes.address, "tensorflow", Share(1, 0), ORIGIN, [wrong]) as cluster:
        ((_, outcome),) = cluster.run([wrong], tmp_path, started.append, lambda *_: None, lambda _: 120.0)
    assert (outcome.status, len(started)) == ("failed", 1)
    assert outcome.reason == "ValueError: heads 4 does not divide embedding_dim 7; allowed: 1, 7"
    assert outcome.log_tail.endswith(outcome.reason)


def test_a_step_time_has_a_node_of_its_own(nodes, tmp_path):
    """Trainings that take one CPU would leave it one, of a node of two; four of them fill both nodes."""
    trials = [*trainings(2, epochs=1), *step_times(2)]
    busy, beside = {}, []

    def on_start(trial):
        if isinstance(trial, CoreStepTrial):
            beside.append(len(busy))
        busy[trial.trial_id] = trial

    with connected(nodes.address, "tensorflow", Share(1, 0), ORIGIN, trials) as cluster:
        found = []
        for trial, outcome in cluster.run(trials, tmp_path, on_start, lambda *_: None, lambda _: 120.0):
            busy.pop(trial.trial_id)
            found.append(outcome)
    assert [type(record) for record in found].count(StepTimeRecord) == 2
    assert all(count <= 2 for count in beside), "at most the other node's"
    assert {record.environment.threads for record in found} == {1, NODE_CPUS}
    assert all(record.environment.node for record in found)


def test_ctrl_c_cancels_and_keeps_what_is_done(nodes, tmp_path):
    typed = [
        sys.executable, "-m", "benchmarks.run", "--suite", "accuracy", "--seeds", "40", "--epochs", "2",
        *SETTINGS,
        "--executor", "ray", "--ray-address", nodes.address, "--out", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(
        typed,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    timer = threading.Timer(200, process.kill)
    timer.start()
    while process.poll() is None and not list((tmp_path / "records").glob("*.json")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    timer.cancel()
    assert re.search(r"interrupted; \d+ finished trials( and the finished epochs of the others)? are kept. Go on", said)
    assert len(store.load(tmp_path).done) >= 1
    for node in nodes.worker_nodes:
        left = Path(tempfile.gettempdir()).glob(f"eanet-ablation-*-{node.node_id[:12]}")
        assert list(left) == [], "nothing stays on a node"


def refused(tmp_path, *arguments):
    done = command("--suite", "accuracy", "--seeds", 1, "--out", tmp_path / "run", "--executor", "ray", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert not (tmp_path / "run").exists(), "before any trial starts"
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_what_the_cluster_cannot_do_is_one_line_before_any_trial_starts(nodes, tmp_path):
    at = ("--ray-address", nodes.address)
    said = refused(tmp_path, *at, "--trial-cpus", 64)
    assert "no node of the cluster has 64 CPUs, the largest has 2: give --trial-cpus 2" in said
    said = refused(tmp_path, *at, "--trial-gpus", 1)
    assert "no node of the cluster has 1 GPUs: give fewer with --trial-gpus" in said
    node = nodes.add_node(num_cpus=1, num_gpus=1)  # it says so
    nodes.wait_for_nodes()
    try:
        said = refused(tmp_path, *at, "--trial-gpus", 1, "--trial-cpus", 2)
        assert "no node of the cluster has 2 CPUs and 1 GPUs, the largest has 1: give --trial-cpus 1" in said
        with connected(nodes.address, "tensorflow", Share(1, 1), ORIGIN, step_times(1)):
            assert (largest_node_cpus(0), largest_node_cpus(1)) == (NODE_CPUS, 1), "of a step time's node"
    finally:
        nodes.remove_node(node)


def test_no_cluster_at_the_address_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"127.0.0.1:{server.getsockname()[1]}"
        assert f"no Ray cluster answers at {at}" in refused(tmp_path, "--ray-address", at), "something else listens"
    assert f"no Ray cluster answers at {at}" in refused(tmp_path, "--ray-address", at), "nothing listens"
    for address in ("nowhere", "ray://127.0.0.1:10001", ""):
        assert "is not HOST:PORT" in refused(tmp_path, "--ray-address", address)


def add_node_of_another_keras(nodes, tmp_path):
    other = tmp_path / "other" / "keras-3.12.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.12.1\n")
    node = nodes.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(other.parent)})
    nodes.wait_for_nodes()
    return node


def test_a_node_of_another_keras_is_one_line_that_names_it(nodes, tmp_path):
    node = add_node_of_another_keras(nodes, tmp_path)
    try:
        said = refused(tmp_path, "--ray-address", nodes.address)
    finally:
        nodes.remove_node(node)
    assert re.search(r"node \S+ has keras 3\.12\.1, and this machine \d+\.\d+\.\d+: install the same on both", said)


def test_a_node_of_another_keras_that_comes_later_stops_the_run_and_spoils_no_trial(nodes, tmp_path):
    trials, outcomes = trainings(10, epochs=1), []
    with connected(nodes.address, "tensorflow", Share(1, 0), ORIGIN, trials) as cluster:
        node = add_node_of_another_keras(nodes, tmp_path)
        running = cluster.run(trials, tmp_path, lambda _: None, lambda *_: None, lambda _: 120.0)
        words = r"has keras 3\.12\.1, .*; finished trials are kept, and the same command goes on"
        try:
            with pytest.raises(InputError, match=words):
                outcomes.extend(outcome for _, outcome in running)
        finally:
            nodes.remove_node(node)
    assert all(isinstance(outcome, TrainRecord) for outcome in outcomes)


def test_a_step_time_waits_for_as_large_a_node_as_there_was(monkeypatch):
    """Where none is left it would otherwise ask for no CPU, which a head without any has."""
    cluster = Cluster("tensorflow", Share(1, 0), ORIGIN)
    (trial,) = step_times(1)
    for there, asked in ((2, 2), (0, 2), (3, 3), (0, 3)):
        monkeypatch.setattr("benchmarks.cluster.largest_node_cpus", lambda gpus, there=there: there)
        assert cluster._cpus(trial) == asked


def test_what_a_task_raised_is_told_by_its_cause(nodes):
    def fails():
        raise OSError("the node's disk is full")

    with connected(nodes.address, "tensorflow", Share(1, 0), ORIGIN, step_times(1)):
        with pytest.raises(ray.exceptions.RayTaskError) as raised:
            ray.get(ray.remote(fails).remote())
        assert _first_line(raised.value) == "the node's disk is full"


def test_without_ray_the_option_says_how_to_install_it(tmp_path):
    code = "import sys; sys.modules['ray'] = None; sys.argv = ['run', *sys.argv[1:]]; from benchmarks.run import main\n"
    arguments = ["--suite", "accuracy", "--out", str(tmp_path / "run"), "--executor", "ray"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main())", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "error: Ray is not installed: pip install -e '.[ray]'\n")


def test_options_of_a_cluster_without_one_are_an_error(tmp_path):
    done = command("--suite", "accuracy", "--trial-cpus", 2, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (2, "error: --trial-cpus changes nothing without --executor ray\n")
