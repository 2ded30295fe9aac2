"""Files of TensorFlow and pickles: what is read of them, and what is refused."""

import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow_export as theirs

from evgen_jax.errors import CheckpointError, EvgenError, ModelDirectoryError
from evgen_jax.importing.checkpoint import read_checkpoint
from evgen_jax.importing.checksum import crc32c, masked_crc32c
from evgen_jax.importing.restricted_pickle import StoredArray, read_pickle

# Checksums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_of_the_standard(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("length", [1023, 1024, 1025, 2000, 3001])
def test_long_data_have_the_checksum_of_bytes_one_by_one(length):
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    assert masked_crc32c(data) == theirs.masked_checksum(data)
    zeros = bytes(length)
    assert masked_crc32c(zeros) == theirs.masked_checksum(zeros)


# Checkpoints ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {f"model/{i}": rng.normal(size=(i + 1, 3)).astype(np.float32) for i in range(23)}
    return found | {
        "step": np.array(12, np.int64),
        "wide": rng.normal(size=(2, 3, 4)),
        "whole": np.arange(6, dtype=np.int32),
        "none": np.zeros((0, 4), np.float32),
    }


@pytest.mark.parametrize("options", [{}, {"shards": 3}, {"per_block": 40}, {"per_block": 1}])
def test_arrays_are_read_as_they_were_written(arrays, options, tmp_path):
    theirs.write_checkpoint(tmp_path / "model_checkpoint_00000001", arrays, **options)
    found = read_checkpoint(tmp_path / "model_checkpoint_00000001")
    assert sorted(found) == sorted(arrays)
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        np.testing.assert_array_equal(found[name], values)


def test_a_compressed_index_is_read(arrays, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")

    def compress(data: bytes) -> bytes:
        return pyarrow.compress(data, codec="snappy", asbytes=True)

    theirs.write_checkpoint(tmp_path / "a", arrays, compress=compress)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "a")["wide"], arrays["wide"])


def test_every_changed_byte_of_an_index_is_told(tmp_path):
    theirs.write_checkpoint(tmp_path / "a", {"model/0": np.arange(3.0), "step": np.array(1)})
    index = tmp_path / "a.index"
    data = index.read_bytes()
    wrong = unread = 0
    for at in range(len(data)):
        index.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            found = read_checkpoint(tmp_path / "a")
        except CheckpointError as error:
            assert str(error).startswith(str(index)) and "\n" not in str(error)
            wrong += 1
        else:  # the padding of the footer, and an empty block that is not read
            assert np.array_equal(found["model/0"], np.arange(3.0)) and found["step"] == 1
            unread += 1
    assert wrong > 200 and unread < 60
    for length in range(0, len(data), 7):
        index.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="is no checkpoint of TensorFlow, or a damaged one"):
            read_checkpoint(tmp_path / "a")


def test_damaged_arrays_are_named(tmp_path):
    theirs.write_checkpoint(tmp_path / "a", {"model/0": np.arange(3.0), "step": np.array(1)})
    path = tmp_path / "a.data-00000-of-00001"
    data = path.read_bytes()
    path.write_bytes(data[:5] + b"\x01" + data[6:])
    with pytest.raises(CheckpointError, match=r"a\.data-00000-of-00001: is damaged.*model/0 has the wrong checksum"):
        read_checkpoint(tmp_path / "a")
    path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="step has 7 bytes, expected those of int64"):
        read_checkpoint(tmp_path / "a")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"a\.data-00000-of-00001: is missing"):
        read_checkpoint(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"b\.index: is missing"):
        read_checkpoint(tmp_path / "b")


@pytest.mark.parametrize(
    ("header", "entry", "message"),
    [
        (theirs.field(2, 1), b"", "another format: 1 files, big end first"),
        (theirs.field(3, theirs.field(2, 2)), b"", "for readers of version 2"),
        (b"", theirs.field(7, theirs.field(1, b"")), "stored in slices"),
        (b"", theirs.field(1, 23), "unknown type 23"),
        (b"", theirs.field(3, 5), "lies in file 5, which there is not"),
        (b"", b"\x0b", "a field of the unknown kind 3"),
    ],
)
def test_other_formats_are_told(header, entry, message, tmp_path):
    entries, files = theirs.bundle({"model/0": np.arange(3.0)}, header=header)
    key = b"model/0" + theirs.SUFFIX
    entries[key] += entry
    (tmp_path / "a.index").write_bytes(theirs.table(entries))
    (tmp_path / "a.data-00000-of-00001").write_bytes(files[0])
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "a")


# Pickles --------------------------------------------------------------------------------------------------------------


def old_names(data: bytes) -> bytes:
    """NumPy's functions under the names that they had before version 2."""
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 7),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.array(3.5, np.float32),
    ],
    ids=str,
)
def test_arrays_and_plain_containers_are_read(values, protocol, tmp_path):
    path = tmp_path / "data.pickle"
    content = {"a": values, "b": [1, 2.5, None, "text", (True, b"bytes", {3})], "c": np.float64(2.5)}
    for write in (lambda data: data, old_names):
        path.write_bytes(write(pickle.dumps(content, protocol)))
        found = read_pickle(path)
        assert isinstance(found["a"], StoredArray) and found["a"].numpy().dtype == values.dtype
        np.testing.assert_array_equal(found["a"].numpy(), values)
        assert found["b"] == content["b"] and found["c"].numpy() == 2.5


class Asks:
    """Unpickles to the result of a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Odd:
    pass


def test_a_pickle_that_asks_for_code_is_refused_by_name(tmp_path):
    path, made = tmp_path / "data.pickle", tmp_path / "made"
    import builtins
    import os

    asked = {
        f"{os.system.__module__}.system": Asks(os.system, f"touch {made}"),
        "builtins.eval": Asks(builtins.eval, f"open({str(made)!r}, 'w')"),
        "builtins.getattr": Asks(getattr, "text", "join"),
        "builtins.__import__": Asks(__import__, "this"),
        f"{Odd.__module__}.Odd": Odd(),
        "pathlib.Path": Asks(Path, str(made)),
        "_codecs.decode": Asks(__import__("_codecs").decode, b"", "latin1"),
    }
    for name, what in asked.items():
        for protocol in (2, 5):
            path.write_bytes(pickle.dumps({"x": [what]}, protocol))
            spelled = name.replace("builtins", "(__builtin__|builtins)")
            with pytest.raises(
                ModelDirectoryError, match=f"data.pickle: asks for {spelled}, which is neither an array"
            ):
                read_pickle(path)
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(made).encode() + b"'\ntR.")
    with pytest.raises(ModelDirectoryError, match="asks for os.system"):
        read_pickle(path)
    path.write_bytes(b"(S'touch x'\nios\nsystem\n.")  # the older way to call
    with pytest.raises(ModelDirectoryError, match="asks for os.system"):
        read_pickle(path)
    path.write_bytes(b"\x80\x02cevgen_jax.importing.restricted_pickle\nread_pickle\n.")
    with pytest.raises(ModelDirectoryError, match=r"asks for evgen_jax\.importing"):
        read_pickle(path)
    path.write_bytes(b"Pfar away\n.")
    with pytest.raises(ModelDirectoryError, match="outside of the file, 'far away'"):
        read_pickle(path)
    assert not made.exists()


def test_records_are_attributes_alone(tmp_path):
    path = tmp_path / "data.pickle"
    odd = Odd()
    odd.number, odd.list = 3, [np.ones(2)]
    path.write_bytes(pickle.dumps(odd, 2))
    found = read_pickle(path, (f"{Odd.__module__}.Odd",))
    assert type(found) is not Odd and found.number == 3
    np.testing.assert_array_equal(found.list[0].numpy(), [1, 1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([{"a": 1}, None], object), "something else than numbers"),
        (np.array(["a"]), "the type 'U1'"),
        (np.array([(1, 2.0)], "i4,f8"), "the type 'V12'"),
        (np.array(["2026-11-27"], "M8[D]"), "the type 'M8'"),
    ],
)
def test_arrays_of_other_things_than_numbers_are_refused(values, message, tmp_path):
    (tmp_path / "data.pickle").write_bytes(pickle.dumps({"a": values}, 2))
    with pytest.raises(ValueError, match=message):
        read_pickle(tmp_path / "data.pickle")["a"].numpy()


def test_bytes_are_never_taken_for_objects(tmp_path):
    """NumPy's own functions would believe a type whose flags deny that it holds pointers."""
    path = tmp_path / "data.pickle"
    data = pickle.dumps({"a": np.arange(2.0)}, 2)
    path.write_bytes(data.replace(b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00O8"))
    with pytest.raises(ValueError, match="the type 'O8'"):
        read_pickle(path)["a"].numpy()
    for fewer in (b"f4", b"f2"):
        path.write_bytes(data.replace(b"X\x02\x00\x00\x00f8", b"X\x02\x00\x00\x00" + fewer))
        with pytest.raises(ValueError, match="reshape"):
            read_pickle(path)["a"].numpy()


def test_a_place_in_memory_that_a_pickle_names_takes_no_room(tmp_path):
    (tmp_path / "data.pickle").write_bytes(b"\x80\x02]r\xff\xff\xff\x7fj\xff\xff\xff\x7fa0j\xff\xff\xff\x7f.")
    tracemalloc.start()
    found = read_pickle(tmp_path / "data.pickle")
    assert found[0] is found and tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x02}", b"\x80\x02]a.", struct.pack("<Q", 2**63)])
def test_damaged_pickles_are_one_message(data, tmp_path):
    (tmp_path / "data.pickle").write_bytes(data)
    with pytest.raises(EvgenError, match="data.pickle: is damaged or no pickle"):
        read_pickle(tmp_path / "data.pickle")
    with pytest.raises(EvgenError, match="none.pickle: is missing"):
        read_pickle(tmp_path / "none.pickle")
