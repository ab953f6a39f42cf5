"""P11: hostile or broken data files are refused within a memory bound; repeated examples are told."""

import gzip
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_folders import make_images, write_folder
from report_folders import make_plan, save_folder
from studies import tiny

from regjax.analysis.table import load_table
from regjax.conductor import find_notices, read_study
from regjax.data import DataError, Rows, load_dataset, make_dataset
from regjax.data.duplicates import count_repeated
from regjax.data.features import Feature, parse_examples
from regjax.data.memory import check_size, find_limit
from regjax.data.png import SIGNATURE, decode_pngs, make_header
from regjax.plan import make_plan as plan_of
from regjax.report.extras import make_extras

X, Y = np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2), np.arange(8) % 2
BOMB = 384 * 2**20  # bytes of zeros
ROOM = 128 * 2**20  # address space left for a refusal, beside what the imports hold
REFUSE = f"""
import resource, sys
from pathlib import Path
from regjax.data import DataError, load_dataset
from regjax.data.idx import read_idx
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {ROOM},) * 2)
for path in map(Path, sys.argv[1:]):
    try:
        read_idx(path, (8, 2)) if path.suffix == ".gz" else load_dataset("arrays", path=path)
    except DataError as error:
        print(error)
"""


SHORT = f"""
import resource
from pathlib import Path
from regjax.data import DataError, load_dataset
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {ROOM},) * 2)
try:
    load_dataset("sparse_linear", num_examples=2**20, num_features=2**9)
except DataError as error:
    print(error)
"""


def head(shape: object, descr: object = "<f4", version: tuple[int, int] = (1, 0), size: int | None = None) -> bytes:
    """Return the head of an array that says this shape, type and size of the head."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    form = "<H" if version == (1, 0) else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(form, len(text) if size is None else size) + text


def save(path: Path, x: bytes, zeros: int = 0, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an .npz with these bytes and then zeros as x, and sound labels."""
    labels = io.BytesIO()
    np.save(labels, Y)
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        archive.writestr("y.npy", labels.getvalue())
        with archive.open("x.npy", "w") as member:
            member.write(x)
            for _ in range(zeros // 2**24):
                member.write(bytes(2**24))
    return path


def test_bombs_are_refused_with_little_memory(tmp_path: Path) -> None:
    """Files that inflate to 384 MiB of zeros, with honest and forged heads, are refused with 128 MiB to spare."""
    idx = struct.pack(">4B2I", 0, 0, 8, 2, 8, 2)
    files = {
        save(tmp_path / "honest.npz", head((8, BOMB // 32)), BOMB): "'x', 'y' would take 402653248 bytes, ",
        save(tmp_path / "short.npz", head((8, 2)), BOMB): "is damaged: its head says float32 (8, 2), ",
        save(tmp_path / "head.npz", head((8, 2), version=(2, 0), size=BOMB), BOMB): "version (2, 0) of the npy format",
        save(tmp_path / "claim.npz", head((8, 10**12)) + bytes(64)): "head says float32 (8, 1000000000000), ",
        tmp_path / "more.gz": "holds more bytes, expected 28",
        tmp_path / "claim.gz": "expected the IDX head",
    }
    (tmp_path / "more.gz").write_bytes(gzip.compress(idx + bytes(BOMB), 1))
    (tmp_path / "claim.gz").write_bytes(gzip.compress(struct.pack(">4B2I", 0, 0, 8, 2, 10**9, 1000) + bytes(16)))
    done = subprocess.run([sys.executable, "-c", REFUSE, *files], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for said, expected in zip(done.stdout.splitlines(), files.values(), strict=True):
        assert expected in said


def test_data_that_do_not_fit_are_told_with_the_limit() -> None:
    """A set that is drawn, of 4 GiB where the process has 128 MiB left: an error with the limit, no traceback."""
    done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=True)

    said = re.fullmatch(
        r"sparse_linear: the data do not fit into the (\d+) bytes that this process may use\n", done.stdout
    )
    assert said is not None
    assert ROOM < int(said[1]) < 4 * 2**30


def test_the_bound_is_half_of_what_the_process_may_use() -> None:
    """A declared size is admitted up to half of the limit, which is no more than the machine's memory."""
    most = find_limit() // 2
    check_size("x", most)
    with pytest.raises(DataError, match=f"x would take {most + 1} bytes, expected at most {most}"):
        check_size("x", most + 1)
    with Path("/proc/meminfo").open() as file:
        assert find_limit() <= 1024 * int(file.readline().split()[1])


@pytest.mark.parametrize(
    ("content", "method", "words"),
    [
        (head((0, 10**30)), 8, "'x'"),
        (head((-2, -8)) + X.tobytes(), 8, "'x'"),
        (head((8, 2.0)) + X.tobytes(), 8, "shape is not valid"),
        (head((8, 2), "|O") + bytes(64), 8, "cannot be read without executing what it holds"),
        (head((8, 2), [("a", "|O")]) + bytes(64), 8, "cannot be read without executing what it holds"),
        (head((8, 2), "<U500000000"), 8, "is damaged"),
        (head((8, 2), "|S0"), 8, "expected numbers"),
        (head((8, 2), "__import__('os')"), 8, "cannot be read"),
        (head((8, 2), version=(3, 0)) + X.tobytes(), 8, "version (3, 0)"),
        (head((8, 2), size=9) + X.tobytes(), 8, "'x' cannot be read"),
        (head((8, 2)) + X.tobytes()[:-1], 8, "is damaged"),
        (head((8, 2)) + X.tobytes() + b"\0", 8, "is damaged"),
        (b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"-" * 8999 + b"1", 8, "'x' cannot be read"),
        (b"no array", 8, "'x' cannot be read"),
        (head((8, 2)) + X.tobytes(), zipfile.ZIP_LZMA, "packed in another way"),
        (head((8, 2)) + X.tobytes(), zipfile.ZIP_BZIP2, "packed in another way"),
    ],
)  # fmt: skip
def test_forged_members_are_refused(tmp_path: Path, content: bytes, method: int, words: str) -> None:
    """A member whose head is forged, whose size is another or that is packed by another method is refused."""
    with pytest.raises(DataError, match="own") as caught:
        load_dataset("arrays", path=save(tmp_path / "own.npz", content, method=method))
    assert words in str(caught.value)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    """A member that says it needs a password is refused, not asked about."""
    path = save(tmp_path / "own.npz", head((8, 2)) + X.tobytes())
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="'x' is encrypted"):
        load_dataset("arrays", path=path)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 2**16), value=st.integers(0, 255), cut=st.integers(0, 3))
def test_any_changed_byte_is_a_data_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int
) -> None:
    """An .npz with a byte changed and its end cut gives the very arrays, or a DataError, and nothing else."""
    path = tmp_path_factory.mktemp("fuzz") / "own.npz"
    np.savez_compressed(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content[: len(content) - cut])
    try:
        found = load_dataset("arrays", path=path)
    except DataError:
        return
    np.testing.assert_array_equal(found.x, X)
    np.testing.assert_array_equal(found.y, Y)


@pytest.mark.parametrize("name", ["a" * 300 + ".npz", "no\0thing.npz", "folder", "pipe"])
def test_paths_that_are_no_file_are_refused(tmp_path: Path, name: str) -> None:
    """A name of 300 characters, one with a NUL, a folder and a pipe are errors, and none is waited for."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError):
        load_dataset("arrays", path=tmp_path / name)


def refuse(call: Callable[[], object], words: str, most: int = 2**20) -> None:
    """Assert that a call raises a DataError with these words, and that Python held no more bytes than `most`."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert words in str(caught.value)
    assert peak < most


def make_record(**values: bytes | int) -> bytes:
    """Return a serialized example with these features."""
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    for name, value in values.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.int64_list.value.append(value)
    return example.SerializeToString()


def make_png(shape: tuple[int, int, int], pixels: bytes) -> bytes:
    """Return a PNG that says this shape and holds these scan lines."""
    chunks = ((b"IHDR", make_header(shape)), (b"IDAT", zlib.compress(pixels, 1)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def test_bombs_in_records_are_not_inflated() -> None:
    """Packed numbers and pictures that inflate to 64 MiB are refused by the size that their description says."""
    zeros = bytes(2**26)
    packed = make_record(x=zlib.compress(zeros, 1))
    picture = make_png((4, 4, 1), zeros)
    small = Feature("x", "numbers", (4,), "float32", encoding="zlib")
    large = small._replace(shape=(2**20, 2**20, 2**20))

    refuse(lambda: parse_examples([packed], [small]), "record 0 is no example with a value of 'x'")
    refuse(lambda: parse_examples([packed], [large]), "would take 4611686018427387904 bytes")
    refuse(lambda: decode_pngs([picture], (4, 4, 1)), "its pixels are not 20 bytes")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small data folder that TFDS prepared, with a label among its inputs."""
    folder = tmp_path_factory.mktemp("tfds")
    images = make_images(6, (4, 4, 1))
    rows = [{"x": image.reshape(-1).astype(np.float32), "kind": i % 3, "y": i % 2} for i, image in enumerate(images)]
    write_folder(
        folder, "forged",
        lambda f: {"x": f.Tensor(shape=(16,), dtype=np.float32), "kind": f.ClassLabel(num_classes=3),
                   "y": f.ClassLabel(num_classes=2)},
        {"train": rows[:4], "test": rows[4:]},
    )  # fmt: skip
    return folder


FORGED = [
    ("features.json", '"3"', '"1000000000000"', "as 1000000000000 columns would take"),
    ("features.json", '"3"', '"-1"', "'kind' is 0 in 4 of 4 records"),
    ("features.json", '"2"', '"1"', "'y' is 1 in 2 of 4 records, expected 0 to 0"),
    ("features.json", '"16"', '"1000000000000000"', "bytes, expected at most"),
    ("features.json", '"16"', '"17"', "16 values, expected 17"),
    ("features.json", '"16"', "Infinity", "no description of features"),
    ("features.json", '"float32"', '"O"', "its type is O, expected numbers"),
    ("features.json", '"float32"', '"(((("', "expected numbers"),
    ("features.json", "{", "[" * 200_000, "cannot be read"),
    ("dataset_info.json", '"4"', '"1000000000000"', "has 4 train records, expected 1000000000000"),
    ("dataset_info.json", '"4"', "Infinity", "cannot be read"),
    ("dataset_info.json", '"4"', '"-4"', "has 4 train records, expected -4"),
    ("dataset_info.json", '"forged"', '"../../forged"', "is no file name"),
    ("dataset_info.json", '"forged"', "[]", "cannot be read"),
    ("dataset_info.json", "{", " " * 2**24 + "{", "more than 16777216 bytes"),
    ("dataset_info.json", '"array_record"', '["pickle"]', "is in the format"),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), FORGED, ids=range(len(FORGED)))
@pytest.mark.parametrize("cached", [False, True])
def test_forged_descriptions_are_refused(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, words: str,
    cached: bool,
) -> None:  # fmt: skip
    """A prepared folder that describes absurd sizes, counts, types or names is refused, beside a sound cache too."""

    def load() -> object:
        return load_dataset("tfds:forged", folder=tmp_path / "data", x="x,kind", y="y")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(prepared, tmp_path / "data")
    if cached:
        load()
    path = tmp_path / "data" / "forged" / "1.0.0" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    refuse(load, words, most=2**26)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0.0, -0.0, 1.0]), min_size=2, max_size=2), min_size=3, max_size=12),
    st.data(),
)
def test_repeated_examples_are_counted(values: list[list[float]], data: st.DataObject) -> None:
    """The count is that of comparing every test example with every other one."""
    x = np.array(values, np.float32)
    first = data.draw(st.integers(1, len(x) - 2))
    second = data.draw(st.integers(first, len(x) - 1))
    order = np.arange(len(x), dtype=np.int32)
    rows = Rows(order[:first], order[first:second], order[second:])

    expected = sum(any((x[i] == x[j]).all() for j in range(second)) for i in range(second, len(x)))
    assert count_repeated(x, rows) == expected


def test_repeated_examples_are_told_not_refused(tmp_path: Path) -> None:
    """Plan and report say how many test examples are training examples too, and nothing where none is."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2
    parts = {"train": range(30), "test": range(30, 40)}
    study = tiny(data={"name": "custom"}, training__batch_size=8)
    notices = {}
    for copies in (0, 3):
        x[30 : 30 + copies] = x[:copies]
        dataset = make_dataset("mine", x, y, parts={name: np.array(part) for name, part in parts.items()})
        notices[copies] = find_notices(plan_of(read_study(study), dataset), dataset)
    assert notices[0] == []
    assert notices[3] == [
        "mine: 3 of 10 test examples (30.0%) have the very inputs of a training or validation example, in the first "
        "seed's split."
    ]
    plan = make_plan([{"path": "dropout.hidden", "levels": [0.0, 0.5]}], 6)
    for repeated in (0, 7):
        plan["data"]["repeated"] = repeated
        found = make_extras(load_table(save_folder(tmp_path / str(repeated), plan)))
        assert ("Repeated examples" in [extra.title for extra in found]) == (repeated > 0)
    assert "7 of 10000 test examples (0.1%)" in found[0].sentences[0]
