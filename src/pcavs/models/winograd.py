"""3x3 convolution with a quarter of the multiplications (Winograd's minimal filtering), in operations of any runtime.

The image is cut into tiles of 4x4 output pixels. A tile needs 36 products per pair of channels instead of 144. The
6x6 input pixels of each tile are gathered as rows of channels, transformed, multiplied by kernels that were
transformed beforehand, and transformed back. The result equals the direct convolution up to rounding.

What made it faster than the runtime's own convolution, and what did not, is recorded in dev/LOG.md.

Reference: Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; Barabasz et al., "Error
analysis and improving the accuracy of Winograd convolution for deep neural networks", ACM TOMS 2020 (points).
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

TILE: Final = 4
"""Output pixels of a tile along one axis."""

KERNEL: Final = 3

WINDOW: Final = TILE + KERNEL - 1
"""Input pixels of a tile along one axis."""

_POINTS: Final = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
"""Interpolation points besides infinity.

Measured on the published generator: a quarter of the largest rounding error of 0, 1, -1, 2 and -2 in float32, and less
than half in bfloat16.
"""

_CHUNK_VALUES: Final = 3_000_000
"""Transformed input values (36 per tile and channel) that are processed at once.

Larger chunks leave the processor's cache, and every pass over them goes to memory. Tuned by hand on two cores.
"""

_MAX_CHUNKS: Final = 6
"""Chunks at most: each adds some hundred operations to the graph, which takes time to convert and to compile."""

_ROUNDING: Final = 1e-9
"""Matrix entries below it are zeros with the rounding error of an inversion."""

Matrix = Float64[np.ndarray, "_ _"]


class MinimalFilter:
    """The matrices of minimal filtering: correlation of `WINDOW` inputs with `KERNEL` taps, giving `TILE` outputs.

    outputs = output_transform @ ((kernel_transform @ taps) * (input_transform @ inputs)), written A^T, G and B^T in
    the reference. The product of two polynomials follows from its values at as many points as it has coefficients;
    correlation is the transpose of that product.

    Input and output transform are kept as sparse factors, in the order of the matrix product (the last one is applied
    first). At two points of opposite sign the values of a polynomial are the sum and the difference of its even and
    its odd part, so one factor holds these sums.
    """

    input_factors: tuple[Matrix, ...]
    kernel_transform: Matrix
    output_factors: tuple[Matrix, ...]

    def __init__(self) -> None:
        """Computes the matrices."""
        outputs = _powers_of_points(TILE)
        inputs = np.linalg.inv(_powers_of_points(WINDOW)).T
        # Each row of the input transform is divided by a norm, and the kernels' row is multiplied by it, so that
        # transformed inputs keep their magnitude.
        size = np.linalg.norm(inputs, axis=1, keepdims=True) / np.linalg.norm(outputs, axis=1, keepdims=True)
        pairs = np.eye(WINDOW)
        for first in range(1, WINDOW - 1, 2):
            pairs[first : first + 2, first : first + 2] = [[1, 1], [1, -1]]
        halved = np.linalg.inv(pairs)
        self.input_factors = (pairs, _without_rounding(halved @ (inputs / size)))
        self.kernel_transform = _powers_of_points(KERNEL) * size
        self.output_factors = (_without_rounding(outputs.T @ halved), pairs)


def _powers_of_points(count: int) -> Matrix:
    """Returns the first `count` powers of each point, a row per point; the last row, of infinity, picks the highest."""
    finite = np.array(_POINTS)[:, None] ** np.arange(count)
    return np.concatenate([finite, np.eye(1, count, count - 1)])


def _without_rounding(matrix: Matrix) -> Matrix:
    """Sets entries that inversion left close to zero to zero; each of them would cost an addition."""
    return np.where(np.abs(matrix) < _ROUNDING, 0, matrix)


class WinogradConv(nn.Module):
    """Computes `conv2d(x, weight, padding=1)` for a fixed batch and side, channels last.

    The kernels are constants of the module, 36 / 9 = 4 times the size of the weights.
    """

    kernels: Tensor
    """(36, c_in, c_out)."""
    pixels: Tensor
    """Row of each output pixel in the concatenated chunks."""

    def __init__(self, weight: Float[Tensor, "c_out c_in 3 3"], batch: int, side: int) -> None:
        """Transforms the kernels and computes which pixels each tile reads."""
        super().__init__()
        self.side = side
        self.filter = MinimalFilter()
        transform = self.filter.kernel_transform
        taps = weight.detach().double().numpy()
        kernels = np.einsum("pi,qj,ocij->pqco", transform, transform, taps, optimize=True)
        self.register_buffer("kernels", torch.from_numpy(kernels).float().flatten(0, 1))
        count = batch * tiles_along(side) ** 2
        chunks = min(max(1, round(count * self.kernels[..., 0].numel() / _CHUNK_VALUES)), _MAX_CHUNKS)
        self.chunk_tiles = -(-count // chunks)
        windows = window_pixels(batch, side)
        surplus = chunks * self.chunk_tiles - count
        windows = np.pad(windows, ((0, 0), (0, surplus)), constant_values=batch * side**2)
        for chunk, part in enumerate(np.split(windows, chunks, axis=1)):
            self.register_buffer(f"windows_{chunk}", torch.from_numpy(part.reshape(-1)))
        self.chunks = chunks
        self.register_buffer("pixels", torch.from_numpy(self._output_rows(batch)))

    def forward(self, x: Float[Tensor, "batch side side c_in"]) -> Float[Tensor, "batch side side c_out"]:
        """Convolves features, zero beyond the edges."""
        rows = x.flatten(0, 2)
        padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        windows = (padded.index_select(0, self.get_buffer(f"windows_{chunk}")) for chunk in range(self.chunks))
        result = torch.cat([self._convolve_chunk(each) for each in windows]).index_select(0, self.pixels)
        return result.reshape(-1, self.side, self.side, result.shape[1])

    def _convolve_chunk(self, windows: Float[Tensor, "rows c_in"]) -> Float[Tensor, "rows_after c_out"]:
        """Maps rows ordered (pixel of the window, tile) to rows ordered (pixel of the tile, tile)."""
        values = transform_2d(self.filter.input_factors, windows.reshape(WINDOW**2, -1))
        products = values.reshape(WINDOW**2, -1, windows.shape[1]) @ self.kernels
        result = transform_2d(self.filter.output_factors, products.flatten(1))
        return result.reshape(-1, products.shape[2])

    def _output_rows(self, batch: int) -> Int64[np.ndarray, " pixels"]:
        """Returns the row of each output pixel in the chunks' rows, which are ordered (chunk, pixel of tile, tile)."""
        sample, y, x = np.mgrid[:batch, : self.side, : self.side]
        along = tiles_along(self.side)
        chunk, tile = np.divmod((sample * along + y // TILE) * along + x // TILE, self.chunk_tiles)
        return ((chunk * TILE**2 + y % TILE * TILE + x % TILE) * self.chunk_tiles + tile).reshape(-1)


def tiles_along(side: int) -> int:
    """Returns the number of tiles along a side; the last one may reach beyond the edge."""
    return -(-side // TILE)


def window_pixels(batch: int, side: int) -> Int64[np.ndarray, "window tiles"]:
    """Returns the flat index of every pixel that each tile reads, a window of one more pixel on every side.

    Pixels beyond an edge have the index `batch * side**2`, that of a row of zeros after the last pixel.
    """
    along = tiles_along(side)
    positions = np.arange(along) * TILE - 1 + np.arange(WINDOW)[:, None]
    y, x = positions[:, None, None, :, None], positions[None, :, None, None, :]
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    pixel = (np.arange(batch)[:, None, None] * side + y) * side + x
    return np.where(inside, pixel, batch * side**2).reshape(WINDOW**2, -1)


def transform_2d(factors: tuple[Matrix, ...], x: Float[Tensor, "pixels values"]) -> Float[Tensor, "results values"]:
    """Applies a one-dimensional transform along both axes of windows: (M kron M) @ x, with M the product of `factors`.

    Written as sums of rows and not as a matrix product: a runtime joins the sums into one pass over the values.
    """
    rows = _along_first_axis(factors, x)
    return torch.cat([result for row in rows for result in _along_first_axis(factors, row)])


def _along_first_axis(factors: tuple[Matrix, ...], x: Tensor) -> list[Tensor]:
    values = list(x.reshape(factors[-1].shape[1], -1).split(1))
    for factor in reversed(factors):
        values = [_weighted_sum(weights, values) for weights in factor]
    return values


def _weighted_sum(weights: Float64[np.ndarray, " pixels"], values: list[Tensor]) -> Tensor:
    """Sums the values whose weight is not zero, without multiplications by 1."""
    pairs = [(float(weight), value) for weight, value in zip(weights, values, strict=True) if weight]
    first, *others = (value if weight == 1 else value * weight for weight, value in pairs)
    return sum(others, first)
