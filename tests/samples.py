"""Small records for the tests of results and report: made up, consistent, and no result of anything."""

import random

from results.gate_verdict import judge
from results.gates import Design, Gate, Machine, Pair
from results.records import Environment, Epoch, Failure, StepTimeRecord, TrainRecord
from results.trials import TrainTrial

ENVIRONMENT = Environment(
    commit="0123456789abcdef",
    dirty=False,
    command="python -m benchmarks.run --all",
    started="2026-01-02T03:04:05+00:00",
    python="3.11.7",
    versions={"keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "2.4.6"},
    backend="tensorflow",
    jit=False,
    precision="float32",
    device="cpu",
    cpu="A CPU",
    threads=2,
    memory_bytes=24 * 2**30,
)


def environment(**changes):
    return ENVIRONMENT.model_copy(update=changes)


TRAINING = {
    "augmentation": "digits",
    "epochs": 2,
    "batch_size": 128,
    "learning_rate": 0.005,
    "schedule": "constant",
    "weight_decay": 0.0001,
    "label_smoothing": 0.0,
    "validation_split": 0.2,
}


def training(
    variant="eanet",
    seed=0,
    top1=0.9,
    step=0.02,
    suite="accuracy",
    training=None,
    where=ENVIRONMENT,
    dropout=0.1,
    model=None,
    dataset="digits",
    **changes,
):
    """A TrainRecord of two epochs; `training` overrides its training settings, `model` its model's."""
    attention = {"kind": "external", "heads": 4} if variant == "eanet" else {"kind": "self", "heads": 4, "key_dim": 64}
    attention |= {"attention_dropout": dropout}
    model = {"image_size": 8, "channels": 1, "classes": 10, "patch_size": 2, "attention": attention} | (model or {})
    trial = TrainTrial(
        suite=suite,
        variant=variant,
        backend="tensorflow",
        precision="float32",
        seed=seed,
        dataset=dataset,
        model=model,
        training=TRAINING | (training or {}),
    )
    first, last = (
        Epoch(
            epoch=number,
            train_seconds=1.0,
            loss=2.0 / number,
            top1=top1 / 3 * number,
            top5=0.9,
            val_loss=1.5,
            val_top1=top1 / 2 * number,
            val_top5=0.95,
        )
        for number in (1, 2)
    )
    values = {
        "trial_id": trial.trial_id,
        "trial": trial,
        "dataset_sha256": "ab" * 32,
        "batch_order_sha256": "cd" * 32,
        "train_images": 1150,
        "validation_images": 287,
        "test_images": 360,
        "parameters": {"eanet": 100, "vit": 200}.get(variant, 300),
        "multiply_adds": {"eanet": 3000, "vit": 4000}.get(variant, 5000),
        "epochs": (first, last),
        "metrics": {"top1": top1, "top5": 0.99, "test_loss": 0.5},
        "train_step_seconds": step,
        "baseline_memory_bytes": 300 * 2**20,
        "peak_memory_bytes": 600 * 2**20,
        "device_peak_memory_bytes": None,
        "environment": where,
    }
    return TrainRecord(**(values | changes))


KINDS = {"eanet": "external", "eanet-factored": "external", "vit": "self", "vit-fused": "fused_self"}


def step_time(
    variant="eanet",
    patches=64,
    seconds=0.001,
    process=0,
    scope="core",
    phase="train",
    where=ENVIRONMENT,
    allocated=None,
    activation=2**20,
):
    """A StepTimeRecord whose median step takes `seconds`."""
    attention = {"kind": KINDS.get(variant, variant)}
    case = {"scope": "core", "dim": 64, "attention": attention}
    if scope == "model":
        case = {"scope": "model", "model": {"attention": attention}}
    shared = {"suite": "scaling", "variant": variant, "backend": "tensorflow", "precision": "float32", "phase": phase}
    shared |= {"patches": patches, "batch": 2, "process": process, "steps": 3, "seconds": 0.0}
    return StepTimeRecord(
        trial_id=f"{scope}-{phase}-{variant}-n{patches}-process{process}",
        trial=shared | case,
        multiply_adds=40_960 * patches,
        compile_seconds=1.0,
        warmup_seconds=(0.1, 0.1, 0.1),
        samples_seconds=(seconds * 0.9, seconds, seconds * 1.5),
        activation_bytes=activation,
        baseline_memory_bytes=300 * 2**20,
        peak_memory_bytes=100 * 2**20 + activation,
        device_peak_memory_bytes=allocated,
        environment=where,
    )


def altered(record, **changes):
    """The record with other settings in its trial, and so of another id: `model`, `attention` and `training` hold
    some of those, the others are the trial's own."""
    trial = record.trial.model_dump(mode="json")
    for name in ("model", "training"):
        if name in trial:
            trial[name] |= changes.pop(name, {})
    trial.get("model", trial)["attention"] |= changes.pop("attention", {})
    trial = type(record.trial).model_validate(trial | changes)
    return record.model_copy(update={"trial": trial, "trial_id": trial.trial_id})


def told(record, **metrics):
    """The record with other metrics."""
    return record.model_copy(update={"metrics": record.metrics | metrics})


def earlier(record):
    """The record's JSON as version 1 had it: its trial as settings, parts of it beside them, and no checksum."""
    found = record.model_dump(mode="json") | {"schema_version": 1}
    settings, metrics = found.pop("trial"), found.pop("metrics")
    found |= {"test_top1": metrics["top1"], "test_top5": metrics["top5"], "test_loss": metrics["test_loss"]}
    return found | {"settings": settings} | {name: settings[name] for name in ("suite", "variant", "seed", "dataset")}


def failure(variant="vit", seed=1, reason="ValueError: no", log_tail="Traceback\nValueError: no", status="failed"):
    done = training(variant, seed)
    return Failure(
        trial_id=done.trial_id,
        trial=done.trial,
        status=status,
        reason=reason,
        log_tail=log_tail,
    )


def gate(
    slowdown=0.0,
    seed=0,
    started="2026-01-02T03:04:05+00:00",
    cpu="A CPU",
    base="main",
    step=0.01,
    python="3.11.7",
    keras="3.15.1",
):
    """A gate of 16 pairs on two cases, the first of them slower by `slowdown`."""
    rng = random.Random(seed)

    def process(side):
        slower = {"core-train-eanet-n256": 1 + slowdown if side == "head" else 1.0, "core-train-vit-n256": 1.0}
        return {case: step * factor * rng.lognormvariate(0, 0.01) for case, factor in slower.items()}

    def pair():
        base, head = process("base"), process("head")
        ratios = {case: head[case] / base[case] for case in base}
        return Pair(first=rng.choice(("base", "head")), base=base, head=head, ratios=ratios)

    pairs = tuple(pair() for _ in range(16))
    design = Design(looks=(16,), alphas=(0.01,), floor=0.05, detectable=0.1)
    return Gate(
        base=base,
        base_commit="0123456789abcdef",
        head_commit=f"fedcba{seed:02d}",
        dirty=False,
        command="python -m benchmarks.regress main",
        started=started,
        machine=Machine(cpu=cpu, threads=1, python=python, versions={"keras": keras}),
        design=design,
        in_duets=True,
        pairs=pairs,
        changes=("core-train-eanet-n256: MatMul 3 -> 4",) if slowdown else (),
        verdict=judge(pairs, design, 0),
    )
