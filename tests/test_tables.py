"""Laws of the tables of choices."""

import subprocess
import sys

import pytest

from ptycho.errors import ConfigError
from ptycho.networks import NETWORKS
from ptycho.physics import LOSSES
from ptycho.tables import Row, Table

TABLES = [LOSSES, NETWORKS]


@pytest.fixture
def table():
    return Table("number", {"pi": Row("math:pi", "circumference over diameter")})


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_row_is_found_and_described_in_one_line(table):
    for name in table:
        assert table[name] is table.find(name)
        text = table.text(name)
        assert text
        assert "\n" not in text
        assert not text.endswith(".")


def test_names_and_descriptions_need_no_torch():
    lines = [
        "import sys",
        "from ptycho.networks import NETWORKS",
        "from ptycho.physics import LOSSES",
        "[table.text(name) for table in (LOSSES, NETWORKS) for name in table]",
        "sys.exit('torch' in sys.modules)",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == 0


def test_a_row_is_imported_when_it_is_used(table):
    assert table["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert table.text("pi") == "circumference over diameter"


def test_an_assigned_row_is_last_and_described_by_its_docstring(table):
    def half():
        """Return a half.

        Further lines do not count.
        """

    table["half"] = half
    assert list(table) == ["pi", "half"]
    assert table["half"] is half
    assert table.text("half") == "Return a half"
    del table["half"]
    assert "half" not in table


@pytest.mark.parametrize("name", ["e", "", "PI"])
def test_an_unknown_name_is_reported_with_the_known_ones(table, name):
    with pytest.raises(ConfigError, match=f"number: {name!r}; expected one of pi"):
        table.find(name)
    with pytest.raises(KeyError):
        table[name]
