"""The Fourier transform of one small frame, in place, for other compiled loops to call.

Data flow: batches -> network + [physics] -> trained model.
A frame of 64 x 64 fits a fast cache, which calls of a library for stacks of frames leave again:
3.3 us where MKL takes 11; 128 x 128 16 instead of 44, 256 x 256 94 instead of 213 us. Planes of
real and imaginary parts lie apart, n x n numbers row by row, n a power of two from 16 on.

Method (Cooley & Tukey, Math. Comput. 19, 297 (1965)), in vectors of 8 numbers, which LLVM cuts to
what a processor has:

1. Columns, first stage: radix 4 down whole rows, from the frame to a work space whose rows are
   padded, since rows a power of two apart share few lines of the cache.
2. That leaves 4 blocks of n / 4 rows with independent column transforms of n / 4 points in each,
   done in place, 8 columns side by side.
3. Each row of the block, still in the cache, is a matrix of n / 8 rows and 8 columns: transforms
   down the columns, factors, an 8 x 8 transposition in registers and a transform across the
   vectors; the result goes to its final row in the frame.

Frames below 64 skip the first step. There is no shared state.
"""

import math
from typing import no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_V8, _MASK = ir.VectorType(_F32, 8), ir.VectorType(_I32, 8)
_FLAGS = ("nsz",)
_PAD = 8


@njit
@no_type_check
def work_size(n):
    """Return the numbers of each plane of the work space."""
    return n * (n + _PAD)


class _Complex:
    """A complex vector: two <8 x float> values, with the builder that makes more."""

    def __init__(self, b, re, im):
        self.b, self.re, self.im = b, re, im

    def __add__(self, o):
        return self._pairwise(self.b.fadd, o, flags=_FLAGS)

    def __sub__(self, o):
        return self._pairwise(self.b.fsub, o, flags=_FLAGS)

    def __mul__(self, o):
        b = self.b
        # Asked for, not left to the optimiser, whose choice depends on what is around: so results
        # do not depend on where this was compiled.
        kind = ir.FunctionType(_V8, [_V8] * 3)
        add_product = cgutils.get_or_insert_function(b.module, kind, "llvm.fmuladd.v8f32")
        cross = b.fneg(b.fmul(self.im, o.im))
        re = b.call(add_product, [self.re, o.re, cross])
        return _Complex(b, re, b.call(add_product, [self.im, o.re, b.fmul(self.re, o.im)]))

    def times_minus_i(self):
        return _Complex(self.b, self.im, self.b.fneg(self.re, flags=_FLAGS))

    def shuffle(self, o, mask):
        return self._pairwise(self.b.shuffle_vector, o, ir.Constant(_MASK, mask))

    def _pairwise(self, operation, o, *more, **options):
        re = operation(self.re, o.re, *more, **options)
        return _Complex(self.b, re, operation(self.im, o.im, *more, **options))


class _Vectors:
    """Complex vectors in memory: item i starts `start + i*stride` floats into both planes."""

    def __init__(self, b, planes, start, stride):
        self.b, self.planes, self.start, self.stride = b, planes, start, stride

    def _pointers(self, i):
        b = self.b
        at = b.add(self.start, b.mul(_int(i), _I64(self.stride)))
        return [b.bitcast(b.gep(p, [at]), _V8.as_pointer()) for p in self.planes]

    def __getitem__(self, i):
        return _Complex(self.b, *(self.b.load(p, align=4) for p in self._pointers(i)))

    def __setitem__(self, i, z):
        for p, v in zip(self._pointers(i), (z.re, z.im), strict=True):
            self.b.store(v, p, align=4)


def _int(i):
    return i if isinstance(i, ir.Value) else _I64(i)


def _axpy(b, a, x, y=0):
    """The IR value of a*x + y; a is a Python int."""
    return b.add(b.mul(_int(x), _I64(a)), _int(y))


def _root(k, n):
    """exp(-2i*pi*k/n) as two Python floats of float32 precision."""
    a = 2 * math.pi * k / n
    return float(np.float32(math.cos(a))), float(np.float32(-math.sin(a)))


def _table(b, n, powers):
    """Constant float tables with the real and imaginary parts of exp(-2i*pi*power/n)."""
    out = []
    roots = [_root(k, n) for k in powers]
    for part, name in enumerate(("fft_re", "fft_im")):
        values = [root[part] for root in roots]
        kind = ir.ArrayType(_F32, len(values))
        array = cgutils.global_constant(b, name, ir.Constant(kind, values))
        array.align = 32
        out.append(b.bitcast(array, _F32.as_pointer()))
    return out


def _twiddles(b, tables, at, count):
    """Table entries at.. as complex vectors of 8 equal values, after a None for the factor 1."""
    undef = ir.Constant(_V8, ir.Undefined)

    def splat(plane, i):
        value = b.load(b.gep(plane, [b.add(at, _I64(i))]))
        first = b.insert_element(undef, value, _I32(0))
        return b.shuffle_vector(first, undef, ir.Constant(_MASK, [0] * 8))

    return [None, *(_Complex(b, *(splat(p, i) for p in tables)) for i in range(count))]


def _rotate(z, k, n):
    """Z * exp(-2i*pi*k/n) for constant 0 <= k < n/2."""
    if 4 * k >= n:
        z, k = z.times_minus_i(), k - n // 4
    if k == 0:
        return z
    if 8 * k == n:  # (1 - i) / sqrt(2)
        z, scale = z + z.times_minus_i(), ir.Constant(_V8, [_root(1, 8)[0]] * 8)
        return _Complex(z.b, *(z.b.fmul(p, scale, flags=_FLAGS) for p in (z.re, z.im)))
    return z * _Complex(z.b, *(ir.Constant(_V8, [w] * 8) for w in _root(k, n)))


def _dft(x):
    """DFT of a list of 2^k complex vectors, as straight-line code."""
    n = len(x)
    if n == 1:
        return x
    even, odd = _dft(x[::2]), _dft(x[1::2])
    odd = [_rotate(z, k, n) for k, z in enumerate(odd)]
    pairs = list(zip(even, odd, strict=True))
    return [e + o for e, o in pairs] + [e - o for e, o in pairs]


def _fft(b, size, src, buf, dst, pos=0, out=0, step=1):
    """FFT of items pos.. of src, by way of buf (same places), to items out, out + step.. of dst."""
    r = {1: 8, 2: 2, 4: 4}[size % 7]  # size is a power of two: what is left is a power of 8
    m = size // r
    if m == 1:
        for k, z in enumerate(_dft([src[_axpy(b, 1, pos, i)] for i in range(r)])):
            dst[_axpy(b, 1, out, k * step)] = z
        return
    tables = _table(b, size, [j * k for j in range(m) for k in range(1, r)])
    with cgutils.for_range(b, _I64(m)) as loop:
        at = _axpy(b, 1, loop.index, pos)
        w = _twiddles(b, tables, _axpy(b, r - 1, loop.index), r - 1)
        for k, z in enumerate(_dft([src[_axpy(b, 1, at, i * m)] for i in range(r)])):
            buf[_axpy(b, 1, at, k * m)] = z * w[k] if k else z
    with cgutils.for_range(b, _I64(r)) as loop:
        _fft(
            b,
            m,
            buf,
            buf,
            dst,
            _axpy(b, m, loop.index, pos),
            _axpy(b, step, loop.index, out),
            step * r,
        )


_UNPACK = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]
_PAIRS = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
_HALVES = [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]


def _mix(x, bit, masks):
    """Shuffle vector i with vector i + bit, for every i of the 8 without that bit."""
    x = list(x)
    for i in range(8):
        if not i & bit:
            x[i], x[i + bit] = (x[i].shuffle(x[i + bit], mask) for mask in masks)
    return x


def _transpose(x):
    return _mix(_mix(_mix(x, 2, _UNPACK), 1, _UNPACK), 4, _HALVES)


def _first_stage(b, n, r, frame, work, pitch):
    h = n // r
    tables = _table(b, n, [j * k for j in range(h) for k in range(1, r)])
    with cgutils.for_range(b, _I64(h)) as row:
        w = _twiddles(b, tables, _axpy(b, r - 1, row.index), r - 1)
        with cgutils.for_range(b, _I64(n // 8)) as col:
            src = _Vectors(b, frame, _axpy(b, n, row.index, _axpy(b, 8, col.index)), n * h)
            dst = _Vectors(b, work, _axpy(b, pitch, row.index, _axpy(b, 8, col.index)), pitch * h)
            for k, z in enumerate(_dft([src[i] for i in range(r)])):
                dst[k] = z * w[k] if k else z


def _row_fft(b, n, src, dst, bufs, twiddles):
    m = n // 8
    if m > 8:
        _fft(b, m, src, *bufs)
        with cgutils.for_range(b, _I64(m // 8)) as group:
            at = [_axpy(b, 8, group.index, i) for i in range(8)]
            x = _dft(_transpose([bufs[1][i] * twiddles[i] for i in at]))
            for i in range(8):
                dst[_axpy(b, 1, group.index, i * (m // 8))] = x[i]
        return
    # One row of 8 vectors in registers, or 2 rows of 4, or 4 of 2.
    x = [z for first in range(0, 8, m) for z in _dft([src[first + i] for i in range(m)])]
    x = _dft(_transpose([z * twiddles[i % m] if i % m else z for i, z in enumerate(x)]))
    if m == 4:  # sort the lanes of several rows into vectors of one row
        x = _mix(x, 1, _HALVES)
        x = x[0::2] + x[1::2]
    elif m == 2:
        x = _mix(_mix(x, 1, _PAIRS), 2, _HALVES)
        x = x[0::4] + x[1::4] + x[2::4] + x[3::4]
    for i in range(8):
        dst[i] = x[i]


def _emit(b, n, frame, work):
    r, pitch, rows = (4, n + _PAD, 1) if n >= 64 else (1, n, 64 // n)
    m, h = n // 8, n // r  # vectors in a row, rows in a block
    size = 8 * max(2 * m, h)
    buf = cgutils.alloca_once(b, _F32, 2 * size)
    buf.align = 64
    buf = buf, b.gep(buf, [_I64(size)])
    bufs = _Vectors(b, buf, _I64(0), 8), _Vectors(b, buf, _I64(n), 8)
    twiddles = _Vectors(
        b, _table(b, n, [k * lane for k in range(m) for lane in range(8)]), _I64(0), 8
    )
    if r > 1:
        _first_stage(b, n, r, frame, work, pitch)
    else:
        work = frame
    with cgutils.for_range(b, _I64(r)) as block:
        start = _axpy(b, h * pitch, block.index)
        with cgutils.for_range(b, _I64(m)) as col:
            tile = _Vectors(b, work, _axpy(b, 8, col.index, start), pitch)
            _fft(b, h, tile, bufs[0], tile)
        with cgutils.for_range(b, _I64(h // rows)) as row:
            src = _Vectors(b, work, _axpy(b, rows * pitch, row.index, start), 8)
            dst = _Vectors(b, frame, _axpy(b, n, _axpy(b, rows * r, row.index, block.index)), 8)
            _row_fft(b, n, src, dst, bufs, twiddles)


@intrinsic(prefer_literal=True)
@no_type_check
def fft2_in_place(typing_context, n, re, im, work_re, work_im):
    """Transform a frame, unnormalised; with real and imaginary parts exchanged, transform it back.

    For compiled loops only. No size is checked, and no array may overlap another.

    Args:
        typing_context: given by Numba.
        n: side of the frame, a literal.
        re: real parts, float32, contiguous, in one axis.
        im: imaginary parts.
        work_re: of `work_size`, destroyed.
        work_im: likewise.
    """
    if not isinstance(n, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, arguments):
        planes = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[1:], arguments[1:], strict=True)
        ]
        _emit(builder, signature.args[0].literal_value, planes[:2], planes[2:])
        return context.get_dummy_value()

    return types.void(n, re, im, work_re, work_im), codegen
