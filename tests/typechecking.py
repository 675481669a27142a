"""The check behind the annotations of ptycho while tests run: an int serves where a float is due."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
