"""A keyed permutation of 0 ... size-1, computed only where it is needed.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows numbers only; serves the uniform sampler, which permutes up to 4e18 combinations.

A Feistel network over just enough bits permutes the numbers; a result of `size` or more is permuted
again until it is smaller (cycle walking), which keeps the map one to one.
"""

import numpy as np
from jaxtyping import UInt64

LARGEST_SIZE = 2**62
_ROUNDS = 10  # 4 are enough in theory for wide halves; small sizes have halves of a few bits


class Shuffle:
    """A pseudo-random permutation of 0 ... size-1, fixed by its seed.

    Source:
        Black & Rogaway, Ciphers with arbitrary finite domains, CT-RSA (2002).
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self._low_bits = np.uint64(bits // 2)
        self._low_mask = np.uint64(2 ** (bits // 2) - 1)
        self._high_mask = np.uint64(2 ** (bits - bits // 2) - 1)
        self._keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)

    def __call__(self, places: UInt64[np.ndarray, " place"]) -> UInt64[np.ndarray, " place"]:
        """Return the numbers at these places of the permutation."""
        numbers = self._encipher(places)
        outside = np.flatnonzero(numbers >= self.size)
        while outside.size:
            numbers[outside] = self._encipher(numbers[outside])
            outside = outside[numbers[outside] >= self.size]
        return numbers

    def _encipher(self, values: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
        high, low = values >> self._low_bits, values & self._low_mask
        for turn, key in enumerate(self._keys):
            if turn % 2:
                low = low ^ (_scramble(high ^ key) & self._low_mask)
            else:
                high = high ^ (_scramble(low ^ key) & self._high_mask)
        enciphered: np.ndarray = high << self._low_bits | low
        return enciphered


def _scramble(values: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Return 64 well-mixed bits per value (the finaliser of SplitMix64; overflow is intended)."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ values >> np.uint64(31)
    return mixed
