"""The download of CIFAR in what the README installs: TensorFlow, and neither JAX nor Ray nor PyTorch."""

import hashlib
import os
import socket
import subprocess
import sys
import tarfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks import cifar_files, datasets, downloads
from benchmarks.datasets import CIFAR100, DataError, Wanted
from tests.benchmarks.test_datasets import write_cifar100, write_idx

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.installed


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_download_that_fails_is_one_line_and_writes_nothing(tmp_path, name):
    """With no way to the network: a proxy that is not there."""
    arguments = ["--suite", "accuracy", "--profile", "tutorial", "--dataset", name, "--out", str(tmp_path / "out")]
    away = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks.run", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | away, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: could not download {name} (<urlopen error ")
    assert done.stderr.endswith("give its folder with --data-dir DIR\n")
    assert done.stderr.count("\n") == 1
    assert [*tmp_path.rglob("*")] == [tmp_path / "datasets"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The site of the archive on this machine, with few images, and a Keras that has downloaded nothing."""
    write_cifar100(tmp_path / "cifar-100-python")
    (tmp_path / "site").mkdir()
    with tarfile.open(tmp_path / "site" / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "cifar-100-python", "cifar-100-python")
    serve = partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(cifar_files, "SITE", f"http://127.0.0.1:{server.server_port}")
        yield tmp_path / "site" / "cifar-100-python.tar.gz"
        server.shutdown()


def test_mnists_files_are_downloaded_once_and_no_other_is_kept(tmp_path, site, monkeypatch):
    write_idx(site.parent)
    files = {name: (site.parent / name).read_bytes() for name in datasets.MNIST.hashes}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    here = replace(datasets.MNIST, site=cifar_files.SITE, hashes=hashes)
    shape = here.survey(None, Wanted()).shape
    first = here.read(None, shape)
    with pytest.raises(DataError, match=r"could not download other \(.*SHA256.*differs"):
        replace(here, name="other", hashes=datasets.MNIST.hashes).read(None, shape)
    for name in files:
        (site.parent / name).unlink()
    assert here.read(None, shape).sha256 == first.sha256


def test_a_site_that_says_nothing_ends_a_download(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "SILENT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/few.gz"
        with pytest.raises(DataError, match=r"could not download few .*timed out.*give its folder with"):
            downloads.downloaded("few", url, tmp_path, "ab" * 32)
    assert socket.getdefaulttimeout() is None


def test_what_was_downloaded_once_is_read_without_the_network(tmp_path, site):
    files = replace(CIFAR100, archive_sha256=hashlib.sha256(site.read_bytes()).hexdigest())
    shape = CIFAR100.survey(None, Wanted()).shape
    first = files.read(None, shape)
    assert first.sha256 == datasets.load("cifar100", str(tmp_path)).sha256
    site.unlink()
    assert files.read(None, shape).sha256 == first.sha256


def test_another_archive_than_the_known_one_is_not_kept(tmp_path, site):
    with pytest.raises(DataError, match=r"could not download cifar100 \(.*SHA256.*differs from expected"):
        datasets.load("cifar100", None)
    assert [*(tmp_path / "home" / "datasets").iterdir()] == []


def test_a_keras_home_that_cannot_be_written_is_one_line(tmp_path, site, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(site / "home"))
    with pytest.raises(DataError, match=r"could not download cifar100 \(.*Not a directory.*--data-dir DIR$"):
        datasets.load("cifar100", None)


READ = """
import sys
from benchmarks import datasets
print(datasets.load("cifar100", None).sha256)
assert not {"keras", "tensorflow"} & sys.modules.keys(), "for what is there already"
"""


def test_what_keras_has_unpacked_is_read_without_the_network_and_without_keras(tmp_path, site):
    """As `keras.datasets.cifar100` calls it, but for the address and its hash."""
    unpack = f"import keras; keras.utils.get_file('cifar-100-python-target', {site.as_uri()!r}, extract=True)"
    subprocess.run([sys.executable, "-c", unpack], check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", READ], cwd=ROOT, capture_output=True, text=True)
    expected = datasets.load("cifar100", str(tmp_path)).sha256
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")
    assert datasets.load("cifar100", str(tmp_path / "home" / "datasets")).sha256 == expected
