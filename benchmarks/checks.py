"""What is checked of a run before anything is written: what was asked for has an effect, and can be had here.

Each check raises `InputError` or `DataError` with one line that says what to do.
"""

import importlib.util
import subprocess
import sys

from benchmarks import datasets
from benchmarks.environment import MODULES, available_threads
from benchmarks.plan import Overrides, Plan
from benchmarks.suite import InputError
from results.trials import TrainTrial


def check_backend(backend: str) -> None:
    if importlib.util.find_spec(MODULES[backend]) is None:
        extra = "." if backend == "tensorflow" else f"'.[{backend}]'"
        raise InputError(f"the backend {backend} is not installed: pip install -e {extra}")


def check_threads(threads: int | None, executor: str) -> None:
    """More threads than there are processors take turns: what is timed then is the taking of turns."""
    if threads is not None and executor == "ray":
        raise InputError("--threads is for this machine: give --trial-cpus with --executor ray")
    if threads is not None and threads > (most := available_threads()):
        raise InputError(f"--threads {threads}: a process may use {most} on this machine")


def _trained_on(plan: Plan) -> set[str]:
    return {trial.dataset for trial in plan.trials if isinstance(trial, TrainTrial)}


def check_data_dir(plan: Plan, overrides: Overrides) -> None:
    """A --data-dir that nothing would read is an error, not a silent no-op."""
    if overrides.data_dir is not None and not _trained_on(plan):
        raise InputError("--data-dir changes nothing: none of the chosen suites trains")
    for name in _trained_on(plan) if overrides.data_dir is not None else ():
        if package := datasets.DATASETS[name].comes_with:
            raise InputError(f"{name} come with {package} and take no --data-dir")


def check_devices(plan: Plan, overrides: Overrides) -> None:
    if overrides.devices > 1 and overrides.backend != "jax":
        raise InputError("--devices splits batches on JAX alone: give --backend jax")
    if overrides.devices > 1 and not _trained_on(plan):
        raise InputError("--devices changes nothing: none of the chosen suites trains")


def check_devices_here(devices: int) -> None:
    """In a process of its own: this one imports no backend."""
    if devices > 1:
        code = "import jax; print(jax.local_device_count())"
        counted = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        if not counted.isdigit() or int(counted) < devices:
            raise InputError(f"--devices {devices}: JAX has {counted or 'none'} on this machine")


def check_devices_there(devices: int, trial_gpus: int | None) -> None:
    if devices > 1 and devices > (trial_gpus or 0):
        raise InputError(f"--devices {devices} of a cluster need as many GPUs: give --trial-gpus {devices}")


def check_data(plan: Plan, overrides: Overrides) -> dict[str, str]:
    """Reads the whole dataset before anything is written, so that bad data costs no trial. Returns name -> SHA-256."""
    hashes = {}
    for name in _trained_on(plan):
        if not datasets.DATASETS[name].comes_with and overrides.data_dir is None and overrides.dataset != name:
            raise InputError(
                f"{name} is not part of this project: give its folder with --data-dir DIR, "
                f"or download it with --dataset {name}"
            )
        data = datasets.load(name, overrides.data_dir)
        hashes[name] = data.sha256
        _check_split(plan, data)
    return hashes


def _check_split(plan: Plan, data: datasets.Images) -> None:
    """Raises `DataError` where a training would have no images of some class, or none to validate with, or a batch that
    its devices cannot share."""
    for trial in plan.trials:
        if isinstance(trial, TrainTrial):
            settings = trial.training
            chosen, _ = datasets.split(data, trial.seed, settings.validation_split, settings.train_share)
            images, batch = len(chosen), settings.batch_size
            for size in (min(batch, images), images % batch):
                if size % trial.devices:
                    raise datasets.DataError(
                        f"--devices {trial.devices} cannot share a batch of {size} (an epoch has {images:,} images in "
                        f"batches of {batch}): give another number, or another batch_size with --set"
                    )
