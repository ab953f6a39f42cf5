from pathlib import Path

import pytest
import report_folders as folders


@pytest.fixture(scope="session")
def two_cell_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study of two cells."""
    return folders.two_cells(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="session")
def lattice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the factorial of 16 cells."""
    return folders.lattice(tmp_path_factory.mktemp("lattice"))


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study of hostile names."""
    return folders.hostile(tmp_path_factory.mktemp("hostile"))
