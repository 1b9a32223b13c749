"""The download of CIFAR in what the README installs: TensorFlow, and neither JAX nor Ray nor PyTorch."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks import datasets
from tests.benchmarks.test_datasets import write_cifar100

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.installed


def run(tmp_path, *command, **changes):
    """Runs Python as if JAX were not installed, with no way to the network: a proxy that is not there."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\")")
    variables = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "hidden"), str(ROOT)]),
        "KERAS_HOME": str(tmp_path / "home"),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} | variables | changes
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_download_that_fails_is_one_line_and_writes_nothing(tmp_path, name):
    arguments = ["--suite", "accuracy", "--profile", "tutorial", "--dataset", name, "--out", str(tmp_path / "out")]
    done = run(tmp_path, "-m", "benchmarks.run", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: could not download {name} (URL fetch failure on https://")
    assert done.stderr.endswith("give its folder with --data-dir DIR\n")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_keras_home_that_cannot_be_written_is_one_line(tmp_path):
    """Keras would download into /tmp/.keras without a word."""
    (tmp_path / "file").touch()
    code = "from benchmarks import datasets; datasets.load('cifar100', None)"
    done = run(tmp_path, "-c", code, KERAS_HOME=str(tmp_path / "file" / "home"))
    assert done.stderr.splitlines()[-1] == (
        f"benchmarks.datasets.DataError: could not download cifar100 (Keras cannot write into {tmp_path}/file/home): "
        "give its folder with --data-dir DIR"
    )


def packed(tmp_path):
    """The standard archive, with few images, and what they are."""
    content = write_cifar100(tmp_path / "cifar-100-python")
    path = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "cifar-100-python", "cifar-100-python")
    return path, content["train"][b"fine_labels"]


READ = """
import sys
from benchmarks import datasets
print(datasets.load("cifar100", None).train_labels.tolist())
assert not {"keras", "tensorflow"} & sys.modules.keys(), "for what is there already"
"""


def test_what_keras_has_unpacked_is_read_without_the_network_and_without_keras(tmp_path):
    """As `keras.datasets.cifar100` calls it, but for the address and its hash."""
    path, labels = packed(tmp_path)
    unpack = f"import keras; keras.utils.get_file('cifar-100-python-target', {path.as_uri()!r}, extract=True)"
    done = subprocess.run(
        [sys.executable, "-c", unpack],
        env=os.environ | {"KERAS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "-c", READ)
    assert (done.stdout, done.stderr) == (f"{labels}\n", "")
    assert datasets.load("cifar100", str(tmp_path / "home" / "datasets")).train_labels.tolist() == labels


def test_an_archive_in_keras_home_is_read_without_the_network_and_without_keras(tmp_path):
    path, labels = packed(tmp_path)
    (tmp_path / "home" / "datasets").mkdir(parents=True)
    path.rename(tmp_path / "home" / "datasets" / path.name)
    done = run(tmp_path, "-c", READ)
    assert (done.stdout, done.stderr) == (f"{labels}\n", "")
