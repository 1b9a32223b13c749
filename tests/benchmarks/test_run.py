"""The command, as a user types it: a small run end to end, going on, interrupted, and every kind of bad input."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import psutil
import pytest
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError

from benchmarks import datasets
from benchmarks.environment import Origin
from benchmarks.plan import Overrides, build_plan
from benchmarks.provenance import by_other_code, code_words, differs
from benchmarks.rounds import going_on, is_interruption
from benchmarks.run import main
from benchmarks.suite import suites
from results import store
from tests import samples

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--set", "blocks=1", "--set", "embedding_dim=8", "--set", "mlp_dim=8", "--set", "patch_size=4"]
TWO_SEEDS = ["--suite", "accuracy", "--seeds", 2, "--epochs", 1, *SMALL]


def run(*arguments, **options):
    """The command in a process of its own, from the project's folder."""
    command = [sys.executable, "-m", "benchmarks.run", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.fixture
def here(monkeypatch, capsys):
    """The command in this process, its status and what it said."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks.run", *map(str, arguments)])
        status = main()
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run of the accuracy suite: two seeds of both variants."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    return folder, run(*TWO_SEEDS, "--out", folder)


@pytest.mark.installed
def test_a_run_writes_records_tables_and_a_page_and_says_where(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list((folder / "records").glob("*.json"))) == 4
    assert "[4/4] accuracy: 4 trials in " in done.stdout
    assert f"report: {folder}/report.html" in done.stdout
    assert "2 seeds, too few seeds for a test" in done.stdout
    table = pd.read_csv(folder / "tables" / "accuracy.csv")
    assert table.groupby("variant").seed.apply(list).to_dict() == {"eanet": [0, 1], "vit": [0, 1]}
    assert "<svg" in (folder / "report.html").read_text()


def test_trainings_repeat_those_of_the_committed_run(tmp_path):
    """The committed run is of another day. Six trainings of 3 to 10 s are repeated; on its processor they end alike."""
    theirs = "results/reference/quick-2-cores-epyc"
    done = run("--suite", "data-size", "--seeds", 1, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    asked = [sys.executable, "-m", "report", tmp_path, "--against", theirs]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout
    ended_the_same = "6 of 6 repeated trainings gave the same test accuracy to the image" in said
    began_the_same = ", 6 the same training loss of the first epoch to 0.001 %" in said
    processors = {store.load(folder).trainings[0].environment.cpu for folder in (tmp_path, ROOT / theirs)}
    assert ended_the_same or (began_the_same and len(processors) == 2), said


def test_a_step_time_that_varies_is_measured_in_further_processes_until_it_does_not(tmp_path):
    """One process of a case is made to differ by a factor of 5 on disk; a command for more processes goes on there."""
    asked = ["--suite", "scaling", "--variant", "eanet", "--set", "core.patches=64", "--set", "model.patches=4"]
    first = run(*asked, "--set", "core.processes=2", "--set", "model.processes=2", "--out", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "vary by more" not in first.stdout, "two give no interval"
    (slow,) = of_attention_in_training(tmp_path, process=0)
    for record in store.load(tmp_path).step_times:  # whatever else this machine computes, none was disturbed
        (tmp_path / "records" / f"{record.trial_id}.json").unlink()
        factor = 5 if record.trial_id == slow.trial_id else 1
        samples = tuple(factor * seconds for seconds in record.samples_seconds)
        store.write(tmp_path, record.model_copy(update={"samples_seconds": samples, "taken_cpu_share": 0.0}))
    again = run(*asked, "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert re.search(r"\d step times? var(y|ies) by more than 10 %, or had a disturbed process: each", again.stdout)
    now = of_attention_in_training(tmp_path)
    assert len(now) > 3
    assert sorted(r.process for r in now) == list(range(len(now)))
    assert len({r.environment.process for r in now}) == len(now)
    assert store.load(tmp_path).missing == {}


def test_two_suites_of_step_times_are_planned_run_and_on_the_page(tmp_path):
    """A case that both ask for is timed once; the settings of each hold for its own cases."""
    for name, variants, sizes in (("one", ["identity", "vit"], [16, 25]), ("two", ["vit", "mean"], [16, 9])):
        (tmp_path / f"{name}.toml").write_text(
            f'question = "Is {name} fast?"\nkind = "steptime"\nvariants = {variants}\nphases = ["train"]\n'
            f"[quick.model]\npatches = {sizes}\nbatch = 3\nprocesses = 1\nsteps = 1\nseconds = 0\n"
        )
    code = f"""
import sys
from pathlib import Path
from benchmarks import plan, run, suite
mine = suite.suites(Path({str(tmp_path)!r}))
plan.suites = run.suites = lambda: mine
sys.argv = ["run", "--all", "--out", {str(tmp_path / "run")!r}]
if __name__ == "__main__":
    sys.exit(run.main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    timed = store.load(tmp_path / "run").step_times
    cases = [("identity", 16), ("identity", 25), ("mean", 9), ("mean", 16), ("vit", 9), ("vit", 16), ("vit", 25)]
    assert sorted((record.variant, record.patches) for record in timed) == cases
    table = pd.read_csv(tmp_path / "run" / "tables" / "scaling.csv")
    assert sorted(zip(table.variant, table.patches, strict=True)) == cases
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(name in page for name in ("Is one fast?", "Is two fast?"))
    first, second = (done.stdout.index(f"] {name}: ") for name in ("one", "two"))
    assert first < done.stdout.index("report: ") < second, "the page is there as soon as a suite is through"


def of_attention_in_training(folder, process=None):
    records = [r for r in store.load(folder).step_times if (r.scope, r.phase) == ("core", "train")]
    return [record for record in records if process in (None, record.process)]


def test_a_folder_named_like_markup_is_a_folder(finished, tmp_path):
    folder = tmp_path / "q[" / "red]"
    shutil.copytree(finished[0], folder)
    (folder / "records" / "[bold]x.json").write_text("{}")
    done = run(*TWO_SEEDS, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert f"into {folder}" in done.stdout
    assert "set aside as *.broken and to be run again: [bold]x.json" in done.stderr


def test_records_carry_the_command_and_the_commit(finished):
    folder, _ = finished
    for record in store.load(folder).trainings:
        environment = record.environment
        assert environment.command.startswith("python -m benchmarks.run --suite accuracy --seeds 2")
        assert re.fullmatch("[0-9a-f]{40}", environment.commit or "") or not (ROOT / ".git").exists()
        assert environment.threads >= 1
        assert environment.versions.keys() == {"keras", environment.backend, "numpy"}


def test_a_run_has_the_threads_that_it_was_given_and_says_in_gits_words_why_it_names_no_commit(tmp_path):
    """GIT_TEST_ASSUME_DIFFERENT_OWNER is git's own: to it, this repository is then somebody else's."""
    only = ["--suite", "accuracy", "--variant", "eanet", "--seeds", 1, "--epochs", 1, *SMALL]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = run(*only, "--threads", 1, "--out", tmp_path / "run", env=variables)
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: the records will not name the commit: fatal: ")
    assert "dubious ownership" in warning or not (ROOT / ".git").exists()
    (record,) = store.load(tmp_path / "run").trainings
    assert (record.environment.commit, record.environment.dirty) == (None, None)
    assert record.environment.threads == 1


def test_running_again_runs_only_what_is_missing(finished):
    folder, _ = finished
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}
    victim = next((folder / "records").glob("train-vit-digits-seed0*"))
    victim.unlink()
    again = run(*TWO_SEEDS, "--out", folder)
    assert again.returncode == 0
    assert "1 trial to run" in again.stdout
    assert "3 are done already" in again.stdout
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {victim.name}


def test_what_other_code_has_measured_is_named_before_it_is_used_again(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    (path, *_) = (folder / "records").glob("train-vit-digits-seed0*")
    record = store.read(path)
    path.unlink()
    elsewhere = record.environment.model_copy(update={"commit": "0123456789" * 4, "dirty": False})
    store.write(folder, record.model_copy(update={"environment": elsewhere}))
    again = run(*TWO_SEEDS, "--out", folder)
    assert again.stderr.startswith("warning: done already by other code: ")
    assert "1 by commit 0123456" in again.stderr
    assert again.stderr.endswith("; --fresh runs them again\n")
    assert again.stdout.startswith("0 trials to run")


def test_other_code_is_code_that_measures_otherwise(tmp_path, monkeypatch):
    """In a real repository: a commit of its documentation changes no number, one of a layer may."""

    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        git("add", "-A")
        git("commit", "-qm", name)
        return git("rev-parse", "HEAD")

    git("init", "-q")
    first = commit("models/layer.py", "wrong")
    monkeypatch.setattr("benchmarks.provenance.ROOT", tmp_path)
    plan = build_plan(["accuracy"], "quick", lambda name: datasets.survey(name, None).shape, Overrides(seeds=1))

    def said(here, dirty=False, measured_at=first, measured_dirty=False):
        where = samples.environment(commit=measured_at, dirty=measured_dirty)
        record = samples.training(trial_id=plan.trials[0].trial_id, where=where)
        run = store.Run(tmp_path, None, (record,), (), (), {})
        return by_other_code(run, plan, Origin("", here, dirty))

    assert said(first) == ""
    documented = commit("docs/words.md", "more")
    assert said(documented) == ""
    (tmp_path / "models" / "layer.py").write_text("right")
    assert f"where this is commit {documented[:7]} with uncommitted changes" in said(documented, dirty=True)
    mended = commit("models/layer.py", "right")
    assert said(mended) == (
        f"done already by other code: 1 by commit {first[:7]}, where this is commit {mended[:7]}; "
        "--fresh runs them again"
    )
    assert "1 by commit " in said(mended, measured_at=mended, measured_dirty=True), (
        "what was not committed is not known"
    )
    assert "1 by an unknown commit" in said(mended, measured_at=None)
    assert said(None, measured_at=None, measured_dirty=None, dirty=None) == "", "without git nothing tells"


def test_fresh_starts_over_in_a_new_folder_and_deletes_nothing(finished):
    folder, _ = finished
    done = run(*TWO_SEEDS, "--out", folder, "--fresh", "--dry-run")
    assert re.search(r"4 of 4 trials to run, about \d+ s, into ", done.stdout)
    assert f"{folder}-2" in done.stdout
    assert len(store.load(folder).done) == 4


def test_a_record_that_broke_is_set_aside_and_run_again(finished):
    folder, _ = finished
    victim = next((folder / "records").glob("train-eanet-digits-seed1*"))
    victim.write_text(victim.read_text()[:100])
    again = run(*TWO_SEEDS, "--out", folder)
    assert "set aside as *.broken and to be run again: train-eanet-digits-seed1" in again.stderr
    assert victim.with_name(victim.name + ".broken").exists()
    assert len(store.load(folder).done) == 4


def processes_of(session):
    """What still runs in a session."""
    running = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


def interrupted(folder, *arguments):
    """Runs the command on a terminal, sends Ctrl-C once it has a record, and returns what it said and its status."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "benchmarks.run", *map(str, arguments), "--out", str(folder)]
    environment = os.environ | {"COLUMNS": "160", "TERM": "xterm"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    os.close(child)
    said, sent, deadline = b"", False, time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([parent], [], [], 0.1)[0]:
            try:
                said += os.read(parent, 65536)
            except OSError:
                break
        if not sent and list((folder / "records").glob("*.json")):
            os.killpg(process.pid, signal.SIGINT)
            sent = True
        if process.poll() is not None and not select.select([parent], [], [], 0)[0]:
            break
    os.close(parent)
    return said.decode(errors="replace"), process.wait(timeout=10), process.pid


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    said, status, group = interrupted(folder, "--suite", "accuracy", "--seeds", 40, "--epochs", 1, *SMALL)
    assert status == 130, said[-2000:]
    assert "Traceback" not in said, said[said.index("Traceback") - 500 :]
    words = " ".join(said.split())
    kept_words = r"interrupted; \d+ finished trials( and the finished epochs of the others)? are kept\. "
    assert re.search(kept_words + "Go on with: python -m benchmarks.run --suite", words)
    assert re.search(r"\d+/80 trials", said), "the live display"
    kept = store.load(folder).done
    assert 1 <= len(kept) < 80
    deadline = time.monotonic() + 5
    while left := processes_of(group):
        assert time.monotonic() < deadline, f"outlived their run: {left}"


def test_two_runs_do_not_share_a_folder(tmp_path):
    with store.locked(tmp_path):
        done = run("--suite", "accuracy", *SMALL, "--out", tmp_path)
    assert done.returncode == 2
    assert "is in use by another run" in done.stderr
    assert not (tmp_path / "plan.json").exists()


def test_a_failed_trial_is_status_1_and_on_the_page(tmp_path):
    done = run(
        "--suite", "accuracy", "--seeds", 1, "--epochs", 2, *SMALL, "--set", "learning_rate=1e38", "--out", tmp_path
    )
    assert done.returncode == 1
    assert re.search(r"FAILED \(diverged\): \w+ is (nan|inf) in epoch 1", done.stdout)
    assert "in epoch 1" in (tmp_path / "report.html").read_text()
    (failure, _) = store.load(tmp_path).failures
    assert failure.status == "diverged"
    assert json.loads(failure.model_dump_json())["trial"]["training"]["learning_rate"] == 1e38


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "nothing to run: give --all, or --suite with one of: accuracy, scaling"),
        ("--al", "No such option: --al"),
        ("--suite speed", "unknown suite 'speed'; allowed: accuracy, scaling, tutorial-drift"),
        ("--all --profile slow", "unknown profile 'slow'; allowed: quick, tutorial, full"),
        ("--all --variant cnn", "unknown variant 'cnn'; allowed: eanet, vit"),
        (
            "--all --dataset imagenet",
            "unknown dataset 'imagenet'; allowed: digits, cifar10, cifar100, cifar100-coarse, mnist, fashion-mnist, fo",
        ),
        ("--all --backend mxnet", "'mxnet' is not one of"),
        ("--all --suite accuracy", "--all runs every suite: give it or --suite, not both"),
        ("--suite scaling --data-dir /tmp", "--data-dir changes nothing: none of the chosen suites trains"),
        ("--all --epochs 3 --set epochs=4", "epochs are given twice"),
        ("--all --set blocks=1 --set heads=2 --set blocks=1", "blocks is given twice with --set: as 1 and as 1"),
        ("--all --epochs 3 --epochs=4", "--epochs is given 2 times: give it once"),
        (f"--all --epochs 1{'0' * 30}", "should be less than or equal to 1000000"),
        ("--all --set validation_split=0.0001", "validation_split = '0.0001': should be greater than or equal to 0.01"),
        ("--all --threads 1024", "--threads 1024: a process may use "),
        ("--all --threads 0", "--threads"),
        ("--all --threads 1 --executor ray", "--threads is for this machine: give --trial-cpus with --executor ray"),
        ("--all --epochs none", "--epochs"),
        ("--all --seeds 0", "--seeds"),
        ("--all --set blocks", "--set 'blocks' is not KEY=VALUE"),
        ("--all --set blokcs=2", "unknown setting 'blokcs' (did you mean 'blocks'?)"),
        ("--suite accuracy --set model.patches=9", "model.patches changes nothing: none of the"),
        ("--suite accuracy --variant vit-fused", "has none of the variants vit-fused; it has: eanet, vit"),
        ("--all --timeout 0", "--timeout"),
        ("--all --dry-run --data-dir /tmp", "digits come with scikit-learn and take no --data-dir"),
        ("--all --profile tutorial", "cifar100 is not part of this project: give its folder with --data-dir DIR"),
        ("--all --dataset cifar100 --data-dir /nowhere", "data folder /nowhere does not exist; expected a folder that"),
        ("--all --dataset folder", "the dataset 'folder' needs --data-dir DIR"),
        ("--all --name flowers", "--name is for images of your own: give --dataset folder or npz, too"),
        ("--all --image-size 32", "--image-size is for images of your own: give --dataset folder or npz, too"),
        ("--all --image-mode red", "'red' is not one of"),
        ("--all --dataset folder --image-size 0", "--image-size '0': expected N or WIDTHxHEIGHT, such as"),
        ("--all --dataset folder --image-size 32x32x3", "--image-size '32x32x3': expected N or WIDTHxHEIGHT"),
        ("--all --dataset folder --name digits", "--name digits: that is another dataset; choose another with --name"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_status_2_and_writes_nothing(arguments, complaint, tmp_path, here):
    status, said, error = here(*arguments.split(), "--out", tmp_path / "out")
    assert (status, said) == (2, "")
    assert complaint in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_twenty_odd_images_train_in_one_command_with_one_honest_summary(tmp_path):
    """Grey, palette, CMYK, turned, of 16 bits, transparent, broken at first; dot files; of other sizes; one twice."""
    from PIL import Image

    from tests.benchmarks.test_image_files import ODD, half, write

    folder, exif = tmp_path / "pets", Image.Exif()
    exif[0x0112] = 6
    write(folder, **{f"cat/{name}": image for name, (image, _) in ODD.items()})
    write(folder, **{f"dog/{size}.png": half((size, 2 * size)) for size in (10, 11, 12, 13, 14)})
    half().save(folder / "dog" / "turned.jpg", exif=exif)
    write(folder, **{"dog/.hidden.png": b"", "dog/notes.txt": b"", "dog/broken.png": b"no image"})
    asked = ["--suite", "accuracy", "--dataset", "folder", "--data-dir", folder, "--seeds", 1, "--epochs", 1, *SMALL]
    broken = run(*asked, "--out", tmp_path / "out")
    assert broken.returncode == 2
    assert broken.stderr == (
        "error: 1 of 21 images cannot be read: pets/dog/broken.png (cannot identify image file 'broken.png')\n"
    )
    assert not (tmp_path / "out").exists()
    (folder / "dog" / "broken.png").unlink()
    done = run(*asked, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "note: a fifth of each class, drawn by a fixed seed, is the test set (4 images)",
        "note: left out: 1 dot and system files, 1 .txt files",
        "note: images of 7 sizes, 6 x 6 to 14 x 28 are scaled and cropped to 32 x 32, the usual size where they differ "
        "(--image-size)",
        "note: 4 of 20 images are grey; all are read as colour (--image-mode)",
    ]
    assert "test accuracy, pets" in done.stdout
    found = store.load(tmp_path / "out")
    (images,) = found.plan.images
    assert (images.name, images.classes, images.train_counts, images.test_counts) == (
        "pets", ("cat", "dog"), (11, 5), (3, 1),
    )  # fmt: skip
    assert len(found.plan.notes) == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Accuracy of each class" in page
    assert "Noted before the run" in page


@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'touch executed'\ntR."], ids=["empty", "hostile"])
def test_bad_data_is_found_before_anything_is_written(content, tmp_path, monkeypatch, here):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    status, _, error = here("--all", "--profile", "tutorial", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert status == 2
    assert "train is damaged or no CIFAR batch" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar-100-python"]


def test_files_sorted_by_class_are_refused_before_anything_is_written(tmp_path, here):
    from tests.benchmarks.test_datasets import write_cifar10

    write_cifar10(tmp_path, [label for label in range(10) for _ in range(5)])
    arguments = ["--suite", "accuracy", "--dataset", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "out"]
    assert here(*arguments)[2] == (
        "error: training lacks 2 of 10 classes: 8, 9; validation lacks 8 of 10 classes: 0, 1, 2, 3, 4, ...: each needs "
        "images of all classes (the last 10 of 50 training images validate)\n"
    )
    assert not (tmp_path / "out").exists()


def test_names_with_control_characters_are_spelt_out(tmp_path, here):
    """A folder of images may be anybody's; what its names hold must not reach the terminal."""
    from tests.benchmarks.test_datasets import write_images

    write_images(tmp_path, (8, 8), classes=("cat", "\x1b[2Jdog\r\u202e"))
    (tmp_path / "test" / "\x1b[2Jdog\r\u202e").rename(tmp_path / "test" / "\x9bwolf")
    status, _, said = here("--all", "--dataset", "folder", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert status == 2
    assert r"has not: \x9bwolf" in said
    assert said[:-1].isprintable()
    assert here("--suite", "a\x1b[2J") == (2, "", "error: an argument holds characters that cannot be printed\n")


@pytest.mark.installed
@pytest.mark.parametrize("module", ["benchmarks.run", "benchmarks.regress"])
def test_on_windows_it_says_where_it_runs(module):
    """Without Windows: the interpreter takes itself for one there, and lacks a module of POSIX."""
    code = f"""
import runpy, sys
sys.platform, sys.modules["resource"] = "win32", None
sys.argv = ["command", "--help"]
runpy.run_module("{module}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: this measures on Linux, macOS or WSL, and not on Windows itself; python -m report works anywhere\n"
    )


def test_help_has_examples_and_every_option(here):
    status, said, _ = here("--help")
    assert status == 0
    options = (
        "all suite profile list dry-run dataset data-dir epochs seeds variant set backend precision devices executor "
        "ray-address trial-cpus trial-gpus timeout out fresh"
    )
    assert all(f"--{option}" in said for option in options.split())
    assert "Examples:" in said


def test_what_a_suite_asks_is_shown_as_it_is_written(here, monkeypatch):
    known = suites()
    odd = known["accuracy"].model_copy(update={"question": "does [/x] matter? \x1b]0;title"})
    monkeypatch.setattr("benchmarks.plan.suites", lambda: known | {"accuracy": odd})
    status, said, _ = here("--list")
    assert status == 0
    assert "does [/x] matter? \\x1b]0;title" in " ".join(said.split())


def test_settings_have_a_folder_of_their_own(here):
    def folder(*arguments):
        status, said, _ = here("--suite", "accuracy", "--dry-run", *arguments)
        assert status == 0
        return said.split()[-1]

    assert folder().endswith("results/runs/quick")
    assert folder("--set", "blocks=1", "--epochs", "3").endswith("results/runs/quick-blocks=1-epochs=3")
    assert folder("--set", "heads=8", "--set", "blocks=1") == folder("--set", "blocks=1", "--set", "heads=8")
    assert folder("--dataset", "digits").endswith("results/runs/quick"), "what it is anyway"
    assert not folder("--epochs", "20").endswith("results/runs/quick"), "what it is for this suite, but not for all"
    assert not folder("--set", "patch_size=2").endswith("results/runs/quick"), "a suite may vary it"
    assert folder("--seeds", "9").endswith("results/runs/quick")


@pytest.mark.parametrize("arguments", [["--fresh"], ["--out", "f", "--fresh"], ["--fresh", "--out=f"], []], ids=str)
def test_the_way_to_go_on_names_the_folder_that_was_run_in(arguments):
    assert going_on(["--all", *arguments, "--seeds", "3"], "f-2") == (
        "python -m benchmarks.run --all --seeds 3 --out f-2"
    )


def test_results_on_other_images_do_not_pass_for_these(tmp_path):
    """The id of a trial names its dataset, not its pixels: the run says so and stops."""
    from tests.benchmarks.test_datasets import write_images

    write_images(tmp_path / "a", (8, 8), classes=("cat", "dog"), mode="L")
    asked = ["--suite", "accuracy", "--seeds", 1, "--epochs", 1, "--variant", "eanet", "--dataset", "folder"]
    arguments = [*asked, *SMALL, "--out", tmp_path / "run", "--data-dir"]
    first = run(*arguments, tmp_path / "a")
    assert first.returncode == 0, first.stderr
    for path in ("plan.json", "report.html", *(f"records/{p.name}" for p in (tmp_path / "run" / "records").iterdir())):
        assert str(tmp_path) not in (tmp_path / "run" / path).read_text(), "no path of the machine"
    assert "--out DIR --data-dir DIR" in (tmp_path / "run" / "plan.json").read_text()
    # The same shapes, other pixels: only the hash can tell.
    for path in (tmp_path / "a" / "train" / "cat").iterdir():
        path.write_bytes((tmp_path / "a" / "train" / "dog" / path.name).read_bytes())
    second = run(*arguments, tmp_path / "a")
    assert second.returncode == 2
    assert "has results on other images of a (SHA-256" in second.stderr


def test_an_interruption_is_told_from_other_errors_wherever_it_came():
    def interrupted(_):
        raise KeyboardInterrupt

    class Odd(BaseModel):
        part: Annotated[int, Field(exclude_if=interrupted)] = 1

    with pytest.raises(PydanticSerializationError) as found:
        Odd().model_dump_json()
    assert is_interruption(found.value), "as pydantic makes it"
    assert is_interruption(KeyboardInterrupt())
    assert not is_interruption(PydanticSerializationError("unknown type"))
    assert not is_interruption(ValueError("KeyboardInterrupt"))


def test_a_records_commit_is_no_option_of_gits_and_no_escape_of_the_terminals(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    assert differs(f"--output={precious}")
    assert precious.read_text() == "mine"
    assert code_words("\x1b[2J", False) == "an unknown commit"
