"""Nothing outside a trial changes its result: neither a user's keras.json nor variables that libraries read."""

import os
from collections.abc import Mapping

OF_LIBRARIES = ("DNNL_", "JAX_", "KERAS_", "ONEDNN_")
"""What these libraries' variables begin with: any may change a number, as JAX_ENABLE_X64 or KERAS_MAX_EPOCHS do."""
PLACES = {"JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS", "KERAS_BACKEND", "KERAS_HOME"}
"""Those of them that say where and on what, which a record names."""
OTHERS = {"NVIDIA_TF32_OVERRIDE", "TF_ENABLE_ONEDNN_OPTS", "TF_FUNCTION_JIT_COMPILE_DEFAULT", "TF_XLA_FLAGS"}
OTHERS |= {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"}
XLA_PLACES = ("--xla_force_host_platform_device_count", "--xla_gpu_cuda_data_dir")


def isolated(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change a trial's result behind its record's back."""
    kept = {
        name: value
        for name, value in variables.items()
        if name in PLACES or not (name in OTHERS or name.startswith(OF_LIBRARIES))
    }
    if "XLA_FLAGS" in kept:
        kept["XLA_FLAGS"] = " ".join(flag for flag in kept["XLA_FLAGS"].split() if flag.startswith(XLA_PLACES))
    return kept


def isolate(variables: Mapping[str, str]) -> None:
    """Isolates this process and those that it starts, under a worker's `variables`, before Keras is imported."""
    environment = isolated(os.environ) | dict(variables)
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


def configure_keras(precision: str) -> None:
    """Sets all that Keras else takes from its user's keras.json, which `worker_variables` do not reach."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(precision)
