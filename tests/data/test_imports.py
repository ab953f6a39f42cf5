"""What importing the data layer costs."""

import subprocess
import sys


def test_heavy_packages_are_not_imported():
    """Importing regjax.data loads no jax, TFDS, scikit-learn or pandas: they are imported where they are used."""
    code = """
import sys, regjax.data
heavy = {"jax", "tensorflow_datasets", "tensorflow", "sklearn", "pandas", "pyarrow", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "[]\n"
