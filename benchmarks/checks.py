"""What is checked of a run before anything is written: what was asked for has an effect, and can be had here.

Each check raises `InputError` or `DataError` with one line that says what to do.
"""

import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from benchmarks import datasets
from benchmarks.environment import MODULES
from benchmarks.inputs import InputError
from benchmarks.plan import Overrides, Plan
from benchmarks.processor import available_threads
from results.printable import printable
from results.records import ImagesOfRun
from results.trials import TrainTrial


def check_asked(plan: Plan, overrides: Overrides) -> None:
    """Data and devices that no trial would use are an error, not a silent no-op."""
    trained_on = {trial.dataset for trial in _trainings(plan)}
    if overrides.data_dir is not None and not trained_on:
        raise InputError("--data-dir changes nothing: none of the chosen suites trains")
    for name in trained_on if overrides.data_dir is not None else ():
        if package := datasets.DATASETS[name].comes_with:
            raise InputError(f"{name} come with {package} and take no --data-dir")
    if overrides.devices > 1 and overrides.backend != "jax":
        raise InputError("--devices splits batches on JAX alone: give --backend jax")
    if overrides.devices > 1 and not trained_on:
        raise InputError("--devices changes nothing: none of the chosen suites trains")


def check_backend(backend: str) -> None:
    """The backend is installed."""
    if importlib.util.find_spec(MODULES[backend]) is None:
        extra = "." if backend == "tensorflow" else f"'.[{backend}]'"
        raise InputError(f"the backend {backend} is not installed: pip install -e {extra}")


def check_executor(
    overrides: Overrides, executor: str, threads: int | None, of_cluster: Mapping[str, int | str | None]
) -> None:
    """The executor can do what it is asked; `of_cluster` are the options of Ray's.

    More threads than there are processors take turns: what is timed then is the taking of turns.
    """
    devices = overrides.devices
    if executor == "ray":
        if threads is not None:
            raise InputError("--threads is for this machine: give --trial-cpus with --executor ray")
        if devices > 1 and devices > int(of_cluster["--trial-gpus"] or 0):
            raise InputError(f"--devices {devices} of a cluster need as many GPUs: give --trial-gpus {devices}")
        return
    for option in (option for option, value in of_cluster.items() if value is not None):
        raise InputError(f"{option} changes nothing without --executor ray")
    if threads is not None and threads > (most := available_threads()):
        raise InputError(f"--threads {threads}: a process may use {most} on this machine")


def check_devices_here(devices: int) -> None:
    """JAX has so many devices on this machine; it is asked in a process of its own, for this one imports no backend."""
    if devices > 1:
        code = "import jax; print(jax.local_device_count())"
        counted = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        if not counted.isdigit() or int(counted) < devices:
            raise InputError(f"--devices {devices}: JAX has {counted or 'none'} on this machine")


def check_data(plan: Plan, overrides: Overrides) -> dict[str, ImagesOfRun]:
    """Reads the whole dataset before anything is written, so that bad data costs no trial, and returns what it found.

    Raises `DataError` too where a training would have no images of some class, or none to validate with, or a batch
    that its devices cannot share.
    """
    loaded: dict[str, datasets.Images] = {}
    for trial in {_data_of(trial): trial for trial in _trainings(plan)}.values():
        name, settings = trial.dataset, trial.training
        if name not in loaded:
            if not datasets.DATASETS[name].comes_with and overrides.data_dir is None and overrides.dataset != name:
                raise InputError(
                    f"{name} is not part of this project: give its folder with --data-dir DIR, "
                    f"or download it with --dataset {name}"
                )
            loaded[name] = datasets.load(name, overrides.data_dir, datasets.shape_of(trial.model))
        data = datasets.for_seed(loaded[name], trial.seed, trial.test_folds)
        chosen, _ = datasets.split(data, trial.seed, settings.validation_split, settings.train_share)
        images, batch = len(chosen), settings.batch_size
        for size in (min(batch, images), images % batch):
            if size % trial.devices:
                raise datasets.DataError(
                    f"--devices {trial.devices} cannot share a batch of {size} (an epoch has {images:,} images in "
                    f"batches of {batch}): give another number, or another batch_size with --set"
                )
    return {name: _described(overrides.data_name or name, data) for name, data in loaded.items()}


def _data_of(trial: TrainTrial) -> tuple[object, ...]:
    """What decides which images a training has, and how many in a batch."""
    settings = trial.training
    share = settings.validation_split, settings.train_share
    return trial.dataset, trial.seed, trial.test_folds, *share, settings.batch_size, trial.devices


def _described(name: str, data: datasets.Images) -> ImagesOfRun:
    _, height, width, channels = data.train_images.shape
    counts = (Counter(labels.tolist()) for labels in (data.train_labels, data.test_labels))
    train_counts, test_counts = (tuple(count[label] for label in range(data.classes)) for count in counts)
    return ImagesOfRun(
        name=name,
        sha256=data.sha256,
        height=height,
        width=width,
        channels=channels,
        classes=tuple(map(printable, data.class_names)) or tuple(map(str, range(data.classes))),
        train_counts=train_counts,
        test_counts=test_counts,
        duplicates=int(data.duplicates.sum()),
    )


def _trainings(plan: Plan) -> list[TrainTrial]:
    return [trial for trial in plan.trials if isinstance(trial, TrainTrial)]
