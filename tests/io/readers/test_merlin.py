"""Merlin files, written frame by frame."""

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.merlin import read


def _header(number, size, kind, n_bytes=384, chips=1, bits=12, width=None, layout="1x1"):
    text = (
        f"MQ1,{number:06d},{n_bytes:05d},{chips:02d},{width or size:04d},{size:04d},{kind},"
        f"   {layout},01,"
        f"2024-05-18 16:51:49.971626,0.000555,0,0,0,1.2E+2,5.1E+2,MQ1A,2024-05-18T16:51:49Z,"
        f"555000ns,{bits},"
    )
    return text.encode().ljust(n_bytes, b"\0")


def _write(path, frames, kind, dtype, encode=lambda f: f, **header):
    data = b""
    for i, frame in enumerate(frames):
        data += _header(i + 1, 8, kind, **header) + encode(frame).astype(dtype).tobytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("kind", "dtype"), [("U08", ">u1"), ("U16", ">u2"), ("U32", ">u4")])
@pytest.mark.parametrize(("n_bytes", "chips"), [(384, 1), (768, 4)])
def test_frames_of_every_type_and_header(tmp_path, kind, dtype, n_bytes, chips):
    path = _write(tmp_path / "a.mib", counts(), kind, dtype, n_bytes=n_bytes, chips=chips)
    assert recognise(path) == "Merlin"
    found = read(path)
    check_frames(found, counts())
    assert found.frames[0].dtype.isnative
    assert found.raster is None


def test_the_hdr_states_the_raster_and_may_be_given_instead(tmp_path):
    _write(tmp_path / "a.mib", counts(), "U16", ">u2")
    header = tmp_path / "a.hdr"
    header.write_text(
        "HDR,\t\nFrames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t3\n"
    )
    for path in (tmp_path / "a.mib", header):
        assert read(path).raster == (2, 3)
    header.write_text("HDR,\t\nFrames per Trigger (Number):\t4\n")
    found = read(header)
    assert found.raster is None
    assert any("do not divide" in note for note in found.notes)
    (tmp_path / "a.mib").unlink()
    with pytest.raises(DataError, match=r"expected a\.mib next to it"):
        read(header)


def _backwards(group):
    return lambda f: f.reshape(8, -1, group)[..., ::-1].reshape(8, 8)


def test_raw_frames_run_backwards_in_groups_of_64_bits(tmp_path):
    frames = counts()
    six = _write(tmp_path / "6.mib", frames, "R64", ">u1", _backwards(8), bits=6)
    twelve = _write(tmp_path / "12.mib", frames, "R64", ">u2", _backwards(4), bits=12)
    check_frames(read(six), frames)
    check_frames(read(twelve), frames)


def test_one_raw_bit_per_pixel(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 2, (6, 64, 64)).astype(np.uint8)

    def packed(frame):  # pixel 0 is the lowest bit of the last of 8 bytes
        return np.packbits(frame, axis=1, bitorder="little")[:, ::-1]

    data = b"".join(
        _header(i, 64, "R64", bits=1) + packed(f).tobytes() for i, f in enumerate(frames)
    )
    path = tmp_path / "1.mib"
    path.write_bytes(data)
    check_frames(read(path), frames)


def test_24_raw_bits_are_two_frames_of_12_the_higher_ones_first(tmp_path):
    frames = np.random.default_rng(0).integers(0, 2**24, (6, 8, 8)).astype(np.uint32)
    frames[0, 0, 3] = 70000  # 17 * 4096 + 368, the first value stored of each half

    def halves(frame):
        return np.concatenate([_backwards(4)(frame >> 12), _backwards(4)(frame & 4095)])

    assert (halves(frames[0])[0, 0], halves(frames[0])[8, 0]) == (17, 368)
    path = _write(tmp_path / "24.mib", frames, "R64", ">u2", halves, bits=24, width=16)
    check_frames(read(path), frames)


def test_the_chips_of_a_raw_quad_make_a_square(tmp_path):
    """One value per chip and a mark: its row is that of the chip, or counted from the other end."""
    rows = np.repeat([[4, 3, 2, 1]], 8, axis=0).repeat(8, axis=1)  # 8 x 32: four chips of 8 x 8
    rows[0, 0], rows[0, 31] = (
        40,
        10,
    )  # the first pixel of the chip stored first, the last of the last
    data = b""
    for number in range(2):
        header = _header(number, 8, "R64", n_bytes=768, chips=4, layout="2x2", width=32)
        stored = rows.reshape(8, -1, 4)[..., ::-1]
        data += header + stored.astype(">u2").tobytes()
    path = tmp_path / "quad.mib"
    path.write_bytes(data)
    frames = read(path).frames
    assert frames.shape == (2, 16, 16)
    expected = np.block([[np.full((8, 8), 1), np.full((8, 8), 2)],
                         [np.full((8, 8), 3), np.full((8, 8), 4)]])  # fmt: skip
    expected[15, 15], expected[0, 7] = 40, 10
    np.testing.assert_array_equal(np.asarray(frames[np.arange(1)])[0], expected)


def test_what_is_not_read_is_named(tmp_path):
    path = _write(tmp_path / "a.mib", counts(), "R64", ">u2", bits=24, chips=4, layout="2x2")
    with pytest.raises(DataError, match="R64 with 24 bits from 4 chips; expected"):
        read(path)
    path = _write(tmp_path / "a.mib", counts(), "R64", ">u2", chips=4, layout="4x1")
    with pytest.raises(DataError, match="R64 with 12 bits from 4 chips; expected"):
        read(path)
    path = _write(tmp_path / "b.mib", counts(), "U16", ">u2")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="the file is cut short"):
        read(path)
    path.write_bytes(b"MQ1,nonsense")
    with pytest.raises(DataError, match="expected MQ1, number, bytes"):
        read(path)
