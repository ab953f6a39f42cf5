"""Small folders as TFDS prepares them: its own writer, and the same records framed as tensorflow would."""

import json
from io import BytesIO

import numpy as np
from PIL import Image

from regjax.data.prepared import quiet
from regjax.data.records import read_array_records


def encode(image, kind="png"):
    """Return an image as the open file of an encoded one, which TFDS stores as it is."""
    content = BytesIO()
    Image.fromarray(image.squeeze()).save(content, kind)
    content.seek(0)
    return content


def write_folder(folder, name, features, splits, *, config=None, version="1.0.0", supervised=None, frame=None):
    """Write a data set with TFDS' own writer, without tensorflow; return the prepared folder.

    Args:
      folder: data folder of TFDS.
      name: of the data set.
      features: {name: feature}, made by a function of the module tensorflow_datasets.features.
      splits: {split: list of examples}; their keys are their positions.
      config: of the builder.
      version: of the builder.
      supervised: its supervised keys.
      frame: frames a record as TFRecord does; given, the folder is in that format, for which the writer itself needs
        tensorflow.
    """
    with quiet():
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core import registered

    def info(self):
        described = tfds.features.FeaturesDict(features(tfds.features))
        return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=supervised)

    methods = {
        "name": name,
        "VERSION": tfds.core.Version(version),
        "BUILDER_CONFIGS": [tfds.core.BuilderConfig(name=config)] if config else [],
        "__module__": "prepared_folders",
        "_info": info,
        "_split_generators": lambda self, manager: {s: iter(enumerate(rows)) for s, rows in splits.items()},
        "_generate_examples": lambda self: iter(()),
    }
    with registered.skip_registration(), quiet():
        made = type(name, (tfds.core.GeneratorBasedBuilder,), methods)
        builder = made(data_dir=folder, file_format="array_record", **({"config": config} if config else {}))
        builder.download_and_prepare()
    prepared = folder / name / (config or "") / version
    if frame is not None:
        _frame_anew(prepared, frame)
    return prepared


def _frame_anew(prepared, frame):
    """Turn a folder in array_record format into one in TFRecord format, with the same records in their order."""
    for path in sorted(prepared.glob("*.array_record-*")):
        content = b"".join(frame(record) for record in read_array_records(path))
        path.with_name(path.name.replace("array_record", "tfrecord")).write_bytes(content)
        path.unlink()
    info = json.loads((prepared / "dataset_info.json").read_text())
    (prepared / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "tfrecord"}))


def make_images(count, shape, seed=0):
    """Return random images [count, *shape] uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
