"""Every model of regjax at a size that a study on a CPU has: the workloads of `scripts/benchmark_models.py`."""

import dataclasses

from peers.workloads import Workload

BATCH, EXAMPLES = 64, 640
TINY = {"width": 8, "depth": 1, "heads": 2, "mlp_width": 8, "widths": [8], "channels": [4], "dense": [8]}


def make_workload(name: str, title: str, shape: tuple[int, int, int], epochs: int, model: dict) -> Workload:
    """Return a workload on generated images, `epochs` of 640 examples a round."""
    return Workload(name, title, "blobs", shape, EXAMPLES, BATCH, epochs, model=model)


MODEL_WORKLOADS = {
    workload.name: workload
    for workload in (
        make_workload("linear", "linear, 28x28x1", (28, 28, 1), 400, {"name": "linear"}),
        make_workload("mlp", "mlp 256-256, 28x28x1", (28, 28, 1), 40, {"name": "mlp", "widths": [256, 256]}),
        make_workload("mlp-layer", "mlp 256-256, layer norm, 28x28x1", (28, 28, 1), 40,
                      {"name": "mlp", "widths": [256, 256], "norm": "layer"}),
        make_workload("cnn", "cnn 16-32, dense 128, 28x28x1", (28, 28, 1), 4,
                      {"name": "cnn", "channels": [16, 32], "dense": [128]}),
        make_workload("resnet", "resnet depth 8, width 8, batch norm, 16x16x3", (16, 16, 3), 2,
                      {"name": "resnet", "depth": 8, "width": 8}),
        make_workload("vit", "vit patch 7, width 48, depth 3, heads 4, mlp 96, 28x28x1", (28, 28, 1), 2,
                      {"name": "vit", "patch": 7, "width": 48, "depth": 3, "heads": 4, "mlp_width": 96}),
    )
}  # fmt: skip


def shrink_model(workload: Workload) -> Workload:
    """Return the workload at a size that trains in moments, to try the benchmark itself."""
    fixed = ("depth",) if workload.model["name"] == "resnet" else ()
    tiny = {key: value for key, value in TINY.items() if key in workload.model and key not in fixed}
    return dataclasses.replace(
        workload,
        title=workload.title + " (tiny: --quick)",
        num_examples=2 * workload.batch_size,
        epochs=1,
        model=workload.model | tiny,
    )
