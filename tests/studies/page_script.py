"""python -m tests.studies.page_script SCRIPT DIR FILE.json: the tutorial's own script, with the one layer moved.

`SCRIPT` is `eanet.py` of the page (https://keras.io/examples/vision/eanet/, of 2023-07-18), `DIR` holds CIFAR-100.
`EDITS` are all that changes: the normalization comes last, and 64 patches are what a CPU can train, in an estimated 80
minutes on one core. The seed is 0. Its log, its test result and the machine are written to FILE.json.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import matplotlib

from benchmarks import datasets
from benchmarks.environment import Origin, observe
from benchmarks.provenance import ROOT
from benchmarks.worktree import git

ZOOM = "        layers.RandomZoom(height_factor=0.2, width_factor=0.2),\n"
NORMALIZATION = "        layers.Normalization(),\n"
EDITS = (
    (NORMALIZATION, ""),
    (ZOOM, ZOOM + NORMALIZATION),
    ("data_augmentation.layers[0].adapt(x_train)", "data_augmentation.layers[-1].adapt(x_train)"),
    ("patch_size = 2  #", "patch_size = 4  #"),
    ("keras.datasets.cifar100.load_data()", "load_data()"),
)


def edited(script: str) -> str:
    """Applies each edit at the one place where it belongs. Raises `ValueError` where there is none, or two."""
    for old, new in EDITS:
        if script.count(old) != 1:
            raise ValueError(f"the script has {old.strip()!r} {script.count(old)} times, not once")
        script = script.replace(old, new)
    return script


def main(script: Path, data_dir: str, out: Path) -> None:
    data = datasets.load("cifar100", data_dir)
    train = data.train_images, data.train_labels[:, None]
    test = data.test_images, data.test_labels[:, None]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    matplotlib.use("agg")
    keras.utils.set_random_seed(0)
    names: dict[str, Any] = {"load_data": lambda: (train, test), "__name__": "__main__"}
    exec(compile(edited(script.read_text(encoding="utf-8")), script.name, "exec"), names)
    here = Origin("python -m tests.studies.page_script SCRIPT DIR FILE.json", git(ROOT, "rev-parse", "HEAD"), None)
    found = {
        "edits": EDITS,
        "environment": observe(here, "float32", started, jit=False).model_dump(mode="json"),
        "epochs": names["history"].history,
        "test": {name: names[name] for name in ("loss", "accuracy", "top_5_accuracy")},
    }
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
