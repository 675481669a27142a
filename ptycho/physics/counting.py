"""What counting does to the root of a number of photons.

Data flow: batches -> network + [physics] -> trained model.
The root of a count is on average smaller than the root of the photons expected: of 0.1 photons
expected, sqrt(n) is 0.1 on average and sqrt(I) is 0.32. A fit of sqrt(I) to sqrt(n) is therefore
too dark wherever photons are few, and positions fitted in this way drift apart.
"""

from jaxtyping import Float
from torch import Tensor

_FIT = (0.4342857, 0.2256318, 1.5400139)


def root_bias(root: Float[Tensor, "*pixel"]) -> Float[Tensor, "*pixel"]:
    """Return sqrt(I) - E[sqrt(n)] for n Poisson with mean I, to 0.015.

        b = x (1 + r x^2) / (1 + x + q x^2 + s x^3 + 8 r x^4),   x = sqrt(I)

    with the right limits: b -> x - x^2 for small I, 1 / (8 x) for large. A measured root to which
    it is added is on average that of the photons expected, so a fit to it is not too dark.

    Args:
        root: x, sqrt of the photons expected.

    Source:
        Rational fit to the sum over the Poisson distribution, I from 1e-4 to 300.
    """
    q, r, s = _FIT
    squared = root.square()
    whole = 1 + root + squared * (q + s * root + 8 * r * squared)
    return root * (1 + r * squared) / whole
