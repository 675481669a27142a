"""EMPAD files."""

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.empad import read

XML = """<?xml version="1.0"?>
<root><raw_file filename="{name}"/><iom_measurements>
<scan_parameters mode="search"><scan_resolution_x>9</scan_resolution_x>
<scan_resolution_y>9</scan_resolution_y></scan_parameters>
<scan_parameters mode="acquire"><scan_resolution_x>3</scan_resolution_x>
<scan_resolution_y>2</scan_resolution_y></scan_parameters></iom_measurements></root>
"""


def _write(path):
    frames = counts(6, 128, 128).astype("<f4")
    stored = np.full((6, 130, 128), -1, "<f4")
    stored[:, :128] = frames
    path.write_bytes(stored.tobytes())
    return frames


def test_the_name_gives_columns_and_rows(tmp_path):
    path = tmp_path / "scan_x3_y2.raw"
    frames = _write(path)
    assert recognise(path) == "EMPAD"
    found = read(path)
    check_frames(found, frames)
    assert found.raster == (2, 3)


def test_the_xml_outranks_the_name_and_may_be_given_instead(tmp_path):
    path = tmp_path / "a.raw"
    frames = _write(path)
    xml = tmp_path / "description.xml"
    xml.write_text(XML.format(name="a.raw"))
    assert recognise(path) == recognise(xml) == "EMPAD"
    for given in (path, xml):
        check_frames(read(given), frames)
        assert read(given).raster == (2, 3)
    xml.rename(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text("<root><pix_x>2</pix_x><pix_y>3</pix_y></root>")
    assert read(path).raster == (3, 2)


def test_misfits_are_one_line(tmp_path):
    path = tmp_path / "scan_x4_y2.raw"
    _write(path)
    with pytest.raises(DataError, match="6 frames for a raster of 2 rows x 4 columns"):
        read(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="unknown kind of file"):
        recognise(path)
    with pytest.raises(DataError, match="expected a multiple of 66560"):
        read(path)
    xml = tmp_path / "b.xml"
    xml.write_text(XML.format(name="gone.raw"))
    with pytest.raises(DataError, match=r"expected gone\.raw next to it"):
        read(xml)
    xml.write_text("<root><raw_file")
    with pytest.raises(DataError, match="expected the XML description"):
        read(xml)
