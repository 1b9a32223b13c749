"""What the tutorial claims and logs, for comparison with what is measured here.

Source: https://keras.io/examples/vision/eanet/ ("Image classification with EANet", ZhiYong Chang, created 2021-10-19,
last edited 2023-07-18). `LOGS` are the page's two logs, EANet alone, 50 epochs each.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from results.trials import Value

SOURCE = "https://keras.io/examples/vision/eanet/"


@dataclass(frozen=True)
class Published:
    """One figure that the page claims for a variant, and its value in the page's two logs; None where nothing was run.

    `figure` is the name of a metric (`results.metrics`), or "parameters". Accuracies are from 0 to 1.
    """

    variant: str
    figure: str
    claimed: float
    log_2021: float | None = None
    log_keras3: float | None = None


CLAIMS = (
    Published("eanet", "top1", 0.43, 0.4391, 0.1726),
    Published("eanet", "top5", 0.73, 0.7471, 0.3894),
    Published("eanet", "parameters", 300_000),
    Published("vit", "top1", 0.41),
    Published("vit", "top5", 0.73),
    Published("vit", "parameters", 600_000),
)

DIFFERENCE = CLAIMS[0].claimed - CLAIMS[3].claimed
"""EANet's top-1 minus ViT's, as the page claims them."""

PATCHES = 256
"""How many patches the page's models cut an image into."""

AUTHORS = "https://github.com/MenghaoGuo/EANet/issues/"


@dataclass(frozen=True)
class PartClaim:
    """A claim about a part of external attention: with `setting` at `value` top-1 is higher than at `base` by a `gain`
    from the first to the second. `source` says who claims it."""

    claim: str
    source: str
    setting: str
    value: Value
    base: Value
    gain: tuple[float, float] = (0.0, 0.0)


PART_CLAIMS = (
    PartClaim(
        "Double normalization gains 0.1 to 0.3 pp on softmax over units, in some experiments",
        f"{AUTHORS}11",
        "normalization",
        "double",
        "units",
        (0.001, 0.003),
    ),
    PartClaim("How M_v starts does not matter in the end", f"{AUTHORS}12", "memory_value_start", "keys", "own"),
    PartClaim("Heads that share their memories are not weaker", f"{AUTHORS}18", "memory_sharing", "heads", "none"),
    PartClaim("The tutorial's 16 memory units do as well as the authors' 64", SOURCE, "memory_units", 64, 16),
)
"""What the authors answer on their attention's parts (issue 11 names neither a metric nor a unit; 18 was asked of many
heads against one), and what the tutorial's own number of units implies."""
FOUR_LAYERS = f"{AUTHORS}30"
"""A user asks there whether four linear layers and a widening to 4 x dim do not cost more than self-attention."""

SETTINGS: dict[str, Value] = {
    "dataset": "cifar100",
    "precision": "float32",
    "augmentation": "tutorial",
    "weight_decay": 0.0001,
    "epochs": 50,
    "batch_size": 128,
    "learning_rate": 0.001,
    "schedule": "constant",
    "label_smoothing": 0.1,
    "validation_split": 0.2,
    "train_share": 1.0,
    "patch_size": 2,
    "blocks": 8,
    "embedding_dim": 64,
    "mlp_dim": 64,
    "mlp_dropout": 0.2,
    "heads": 4,
    "dim_coefficient": 4,
    "memory_units": 16,
    "normalization": "double",
    "memory_sharing": "heads",
    "memory_value_start": "own",
    "key_dim": 64,
    "attention_dropout": 0.2,
    "projection_dropout": 0.2,
}
"""The page's hyperparameters, by this project's names."""
ATTENTION = (
    "heads",
    "dim_coefficient",
    "memory_units",
    "normalization",
    "memory_sharing",
    "memory_value_start",
    "key_dim",
)
"""Settings of the page's two attentions: it claims nothing about models with others."""
IMAGES = {"train_images": 40_000, "validation_images": 10_000, "test_images": 10_000}
IMAGES_CONTENT_SHA256 = "0dc6d63221d5d486cb43fea34c5bf2a6786513e23b672fe85932615ec8cf0ca3"
"""`Dataset.content_sha256` of CIFAR-100. Noisy or long-tailed versions of the same name and size have another."""
IMAGES_SHA256 = "78675ef3d15bb57e6ee4009dfb37d3659f5e15dd4a1a0cacfaa7228bb337042d"
"""`Dataset.sha256` of the same images, in the order of records without `dataset_content_sha256`."""
RECIPES: dict[str, tuple[Value, ...]] = {"augmentation": ("tutorial", "corrected"), "weight_decay": (0.0001, 0.1)}
"""What the page's text and its two logs may be true of: the order of its layers, and the decay's strength of 2021."""
RECIPE = tuple(RECIPES)
"""Settings in which the page's two logs differ: its text may hold for one recipe and not for the other."""


LOGS = {"EANet, 2021 log": "tensorflow2_eanet_log.csv", "EANet, Keras 3 log": "keras3_eanet_log.csv"}
"""The files beside this one that hold what the page printed at first, on TensorFlow 2 with TensorFlow Addons
(https://github.com/keras-team/keras-io/blob/5b301105a61b/examples/vision/md/eanet.md), and what it has printed
since its port to Keras 3."""


@dataclass(frozen=True)
class LogEpoch:
    """One epoch of a log; accuracies from 0 to 1."""

    epoch: int
    top1: float
    val_top1: float
    val_loss: float


def log_epochs(log: str) -> tuple[LogEpoch, ...]:
    """Returns EANet's 50 epochs, as the page printed them in one of its `LOGS`."""
    with (Path(__file__).parent / LOGS[log]).open(encoding="utf-8", newline="") as file:
        return tuple(
            LogEpoch(int(row["epoch"]), float(row["accuracy"]), float(row["val_accuracy"]), float(row["val_loss"]))
            for row in csv.DictReader(file)
        )
