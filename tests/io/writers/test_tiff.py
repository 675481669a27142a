"""Pictures of an object with numbers in them: amplitude, phase, pixel size."""

import numpy as np
import pytest
import tifffile
from written_scan import PIXEL, scan, written

from ptycho.errors import DataError


def test_imagej_sees_two_channels_in_micrometres(tmp_path):
    with tifffile.TiffFile(written(tmp_path, "obj.tif")) as file:
        assert file.is_imagej
        assert file.series[0].axes == "CYX"
        stack = file.asarray()
        assert stack.dtype == np.float32
        np.testing.assert_array_equal(stack[0], np.abs(scan().obj))
        np.testing.assert_array_equal(stack[1], np.angle(scan().obj))
        assert file.imagej_metadata["unit"] == "um"
        assert file.imagej_metadata["Labels"] == ["amplitude", "phase"]
        number, divisor = file.pages[0].tags["XResolution"].value
        np.testing.assert_allclose(divisor / number, 1e6 * PIXEL, rtol=1e-6)


def test_ome_holds_the_physical_size(tmp_path):
    with tifffile.TiffFile(written(tmp_path, "obj.ome.tif")) as file:
        assert file.is_ome
        assert file.asarray().shape == (2, 50, 60)
        words = file.ome_metadata
        size = float(words.split('PhysicalSizeX="')[1].split('"')[0])
        np.testing.assert_allclose(size, 1e6 * PIXEL, rtol=1e-6)
        assert 'PhysicalSizeXUnit="µm"' in words
        assert 'Name="amplitude"' in words
        page = file.pages[0]
        assert page.tags["ResolutionUnit"].value == 3  # centimetre
        number, divisor = page.tags["XResolution"].value
        np.testing.assert_allclose(divisor / number, 1e2 * PIXEL, rtol=1e-6)


@pytest.mark.parametrize("name", ["obj.tif", "obj.ome.tif"])
def test_without_a_pixel_size_it_is_in_pixels(tmp_path, name):
    with tifffile.TiffFile(written(tmp_path, name, pixel_size_m=None)) as file:
        assert file.asarray().shape == (2, 50, 60)
        assert "um" not in str(file.imagej_metadata)


def test_a_scan_without_an_object_is_no_picture(tmp_path):
    with pytest.raises(DataError, match="no object; expected it, as tiff holds object"):
        written(tmp_path, "obj.tif", obj=None)
