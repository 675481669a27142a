"""The word of a verdict, from evidence by hand."""

import math

import pytest

from ptycho.engines.cross_check import CrossCheck
from ptycho.engines.verdict import judge

GOOD = CrossCheck(
    unpredicted=0.02, unpredicted_if_right=0.015, error=0.002, unpredicted_if_scaled=math.nan,
    correlation=0.99, correlation_if_right=0.99, object_correlation=0.98,
    part_correlation=math.nan, unexplained=-0.01, n_predicted=90,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({}, "consistent", "not predicted"),
        ({"unpredicted": 0.6, "unpredicted_if_scaled": 1.0}, "wrong", "orientation"),
        ({"unpredicted": 0.1, "unpredicted_if_scaled": 1.0}, "doubtful", "orientation"),
        ({"unpredicted": 0.1, "unpredicted_if_scaled": 0.5}, "doubtful", "unit and scale"),
        ({"unpredicted": 0.25, "unpredicted_if_scaled": 1.9}, "consistent", "not exact"),
        ({"unpredicted": 0.25, "unpredicted_if_scaled": 1.9, "correlation": 0.7}, "doubtful", ""),
        ({"correlation": 0.3}, "wrong", "0.99 were expected"),
        ({"correlation": 0.8}, "doubtful", "0.99 were expected"),
        ({"object_correlation": 0.5, "part_correlation": 0.95}, "consistent", "not predicted"),
        ({"object_correlation": 0.5, "part_correlation": 0.8}, "doubtful", "dose, overlap"),
        ({"object_correlation": 0.8, "part_correlation": 0.95, "error": 0.15}, "doubtful", "few"),
        ({"n_predicted": 3}, "doubtful", "too little"),
        ({"unpredicted": math.nan}, "doubtful", "too little"),
        ({"unexplained": 0.4}, "doubtful", "very frames"),
    ],
)
def test_evidence_makes_the_word(changes, word, reason):
    verdict = judge(GOOD._replace(**changes))
    assert verdict.word == word
    assert reason in " ".join(verdict.reasons)


def test_noise_that_explains_what_is_missing_is_no_evidence():
    noisy = GOOD._replace(unpredicted=0.3, error=0.15, unpredicted_if_scaled=math.nan)
    assert judge(noisy).word == "consistent"


def test_islands_make_a_picture_doubtful():
    verdict = judge(GOOD, connected=0.6)
    assert verdict.word == "doubtful"
    assert "60%" in verdict.reasons[0]


def test_unknown_numbers_are_none_in_the_document():
    numbers = judge(GOOD).document()["numbers"]
    assert numbers["unpredicted_if_scaled"] is None
    assert numbers["unpredicted"] == 0.02
