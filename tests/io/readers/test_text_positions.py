"""Tables of positions."""

import numpy as np
import pytest

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.text_positions import read

ROW_COL = [[0.2028, 0.0998], [-0.1737, -0.3287]]  # um


def _read(tmp_path, text, name="a.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding)
    assert recognise(path) == "text positions"
    return read(path)


@pytest.mark.parametrize(
    ("text", "unit", "factor"),
    [
        ("x_um,y_um\n0.0998,0.2028\n-0.3287,-0.1737\n", "um", 1),
        ("Punkt;X [um];Y [um]\n0;0,0998;0,2028\n1;-0,3287;-0,1737\n", "um", 1),
        ("Y (nm)\tX (nm)\n202.8\t99.8\n-173.7\t-328.7\n", "nm", 1e3),
        ("# a comment\n# X/µm Y/µm\n 0.0998 0.2028 \n\n-0.3287 -0.1737\n", "um", 1),
        ("x_um y_um\n0,0998 0,2028\n-0,3287 -0,1737\n", "um", 1),
        ("row,col\n0.2028,0.0998\n-0.1737,-0.3287\n", "px", 1),
        ("posx_px,posy_px,std_x\n0.0998,0.2028,9\n-0.3287,-0.1737,9\n", "px", 1),
        ("x_m,y_m\n9.98e-8,2.028E-07\n-3.287d-7,-1.737D-07\n", "m", 1e-6),
        ("x,y\n9.98e-8,2.028E-07\n-3.287e-7,-1.737e-07\n", "m", 1e-6),
        ("x [um],y [nm]\n0.0998,202.8\n-0.3287,-173.7\n", "m", 1e-6),
    ],
)
def test_names_and_units_of_columns(tmp_path, text, unit, factor):
    found = _read(tmp_path, text)
    assert found.positions_unit == unit
    np.testing.assert_allclose(found.positions, np.array(ROW_COL) * factor, rtol=1e-12)
    assert found.position_numbers is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_names_in_other_encodings(tmp_path, encoding):
    found = _read(tmp_path, "x_nm,y_nm,Größe\n99.8,202.8,1\n-328.7,-173.7,1\n", encoding=encoding)
    np.testing.assert_allclose(found.positions, np.array(ROW_COL) * 1e3)


def test_without_names_csv_is_y_x_and_txt_is_x_y(tmp_path):
    rows = "1e-7,2e-7\n3e-7,5e-7\n"
    y_x = _read(tmp_path, rows)
    x_y = _read(tmp_path, rows.replace(",", " "), "a.txt")
    np.testing.assert_array_equal(y_x.positions, [[1e-7, 2e-7], [3e-7, 5e-7]])
    np.testing.assert_array_equal(x_y.positions, [[2e-7, 1e-7], [5e-7, 3e-7]])
    assert y_x.positions_unit == x_y.positions_unit == "m"
    assert _read(tmp_path, "10 20\n30 50\n", "b.txt").positions_unit == "px"


@pytest.mark.parametrize(("first", "column"), [(1, "Detector_Count"), (0, "DataPoint")])
def test_lamni_motors_are_negated_and_numbered(tmp_path, first, column):
    text = (
        "scan_00042, 25-Nov-2026\n"
        f"{column} Average_x_st_fzp Stdev_x_st_fzp Average_y_st_fzp Stdev_y_st_fzp\n"
        f"{first} -0.0998 0.001 -0.2028 0.001\n{first + 3} 0.3287 0.001 0.1737 0.001\n"
    )
    found = _read(tmp_path, text, "a.dat")
    np.testing.assert_allclose(found.positions, ROW_COL)
    np.testing.assert_array_equal(found.position_numbers, [0, 3])
    assert found.positions_unit == "um"


def test_a_column_with_gaps_numbers_the_frames(tmp_path):
    found = _read(tmp_path, "frame,x_um,y_um\n1,0,0\n2,1,0\n5,2,0\n")
    np.testing.assert_array_equal(found.position_numbers, [0, 1, 4])


SPEC = "#F file\n#S 3 mesh  samx 0 1\n#N 4\n#L samx  samy  Epoch  det\n0 1 5 7\n2 3 6 8\n#C end\n\n"


def test_spec_scans(tmp_path):
    found = _read(tmp_path, SPEC, "a.spec")
    np.testing.assert_array_equal(found.positions, [[1, 0], [3, 2]])
    with pytest.raises(DataError, match="2 SPEC scans with x and y"):
        _read(tmp_path, SPEC + SPEC.replace("#S 3", "#S 4"), "b.spec")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# A report\nNothing here\n", "text without a table of numbers"),
        ("x_um,y_um\n1,2\n3,end\n", "line 3 is '3,end'; expected numbers"),
        ("x_um,y_um\n1,2\n3,4,5\n", "line 3 has 3 columns; expected 2"),
        ("a,b\n1,2\n3,4\n", "columns a, b; expected x and y"),
        ("1,2,3\n3,4,5\n", "3 columns without names"),
        ("x_um,y_um\n1,nan\n3,4\n", "not finite"),
        ("x_um,y\n1,2\n3,4\n", "expected the same unit in both"),
    ],
)
def test_what_is_no_table_of_positions_is_refused_in_one_line(tmp_path, text, line):
    with pytest.raises(DataError, match=line) as caught:
        _read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_text_of_another_kind_is_no_scan(tmp_path):
    path = tmp_path / "readme.md"
    path.write_text("# Title\nsome words\n")
    with pytest.raises(DataError, match="unknown kind of file"):
        recognise(path)
