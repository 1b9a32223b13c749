"""Downloads what a dataset names, once, into Keras's folder: with a time-out, and kept only with the known hash."""

import os
import socket
from pathlib import Path

from benchmarks.image_files import DataError

KERAS_HOME, OWN_KERAS_HOME = "EANET_ABLATION_KERAS_HOME", "eanet-ablation-keras"
"""The variable that holds the user's KERAS_HOME for workers, and the name of their own, without a keras.json."""
SILENT_SECONDS = 30.0
"""A site that says nothing for so long has ended a download."""


def keras_home() -> Path:
    """Returns the folder of the user's Keras."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return Path(os.environ[KERAS_HOME]) if home.name == OWN_KERAS_HOME else home


def downloaded(dataset: str, url: str, folder: Path, sha256: str) -> Path:
    """Downloads a file into the folder, unless it is there. Raises `DataError` where it cannot be had or is another."""
    from sklearn.datasets import fetch_file

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENT_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"downloading {url} into {folder}", flush=True)
        return Path(fetch_file(url, folder, sha256=sha256, n_retries=0))
    except OSError as error:
        raise DataError(f"could not download {dataset} ({error}): give its folder with --data-dir DIR") from None
    finally:
        socket.setdefaulttimeout(before)
