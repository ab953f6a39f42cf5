"""What pytest leaves out: doctests of modules whose optional library is not installed."""

from importlib.util import find_spec

LIBRARIES = {"mlflow_sqlite": "mlflow", "tensorboard_files": "tensorboardX", "wandb_offline": "wandb"}
collect_ignore = [f"regjax/trackers/{name}.py" for name, library in LIBRARIES.items() if find_spec(library) is None]
