"""A 3x3 convolution with a quarter of the multiplications, made of what runtimes do fast.

Tiles of 4x4 pixels need 36 products instead of 144 (minimal filtering). The picture's pixels are gathered as rows of
channels, (pixel of the tile, tile), transformed, multiplied by kernels that were transformed beforehand, and
transformed back. Equal to the plain convolution up to rounding; see tests/unit/exchange/test_tiles.py.

Reference: Lavin and Gray, CVPR 2016 (minimal filtering); Barabasz et al., ACM TOMS 2020 (points with small errors).
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

TILE: Final = 4
KERNEL: Final = 3
WINDOW: Final = TILE + KERNEL - 1

_POINTS: Final = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
"""Beside infinity; half the rounding error that 0, 1, -1, 2 and -2 leave."""

_PIECE_NUMBERS: Final = 3_000_000
"""Transformed pixels that are worked on at a time: they should stay in a processor's cache."""

_MOST_PIECES: Final = 6
"""Each is a graph of some hundred sums, and graphs take time to convert and to compile."""

Matrix = Float64[np.ndarray, "_ _"]


class Filtering:
    """Correlation with three taps along one axis: outputs = `back` @ ((`kernel` @ taps) * (`ahead` @ inputs)).

    The product of two polynomials is known from its values at as many points as it has coefficients; correlation is
    the transpose of that product. `ahead` and `back` are sparse factors, the last of which is applied first: at two
    points of opposite sign, values are the sum and the difference of the even and the odd powers.
    """

    ahead: tuple[Matrix, ...]
    kernel: Matrix
    back: tuple[Matrix, ...]

    def __init__(self) -> None:
        """Makes the matrices."""
        outputs = _values(TILE)
        ahead = np.linalg.inv(_values(WINDOW)).T
        # What a row of `ahead` is divided by, the kernels' row is multiplied by: transformed pixels keep their size.
        size = np.linalg.norm(ahead, axis=1, keepdims=True) / np.linalg.norm(outputs, axis=1, keepdims=True)
        pairs = np.eye(WINDOW)
        for first in range(1, WINDOW - 1, 2):
            pairs[first : first + 2, first : first + 2] = [[1, 1], [1, -1]]
        halved = np.linalg.inv(pairs)
        self.ahead = (pairs, _clean(halved @ (ahead / size)))
        self.kernel = _values(KERNEL) * size
        self.back = (_clean(outputs.T @ halved), pairs)


def _values(degree: int) -> Matrix:
    """Powers of the points; infinity sees the highest."""
    finite = np.array(_POINTS)[:, None] ** np.arange(degree)
    return np.concatenate([finite, np.eye(1, degree, degree - 1)])


def _clean(matrix: Matrix) -> Matrix:
    """Without what inversion leaves of zeros, each of which would cost a sum."""
    return np.where(np.abs(matrix) < 1e-9, 0, matrix)


class TiledConv(nn.Module):
    """The same as `conv2d(x, weight, padding=1)`, for one number and size of pictures, channels last."""

    kernels: Tensor
    pixels: Tensor

    def __init__(self, weight: Float[Tensor, "c_out c_in 3 3"], batch: int, side: int) -> None:
        """Transforms the kernels, and says which pixels each tile sees."""
        super().__init__()
        self.side = side
        self.filtering = Filtering()
        lines = self.filtering.kernel
        kernels = np.einsum("pi,qj,ocij->pqco", lines, lines, weight.detach().double().numpy(), optimize=True)
        self.register_buffer("kernels", torch.from_numpy(kernels).float().flatten(0, 1))
        count = batch * tiles_along(side) ** 2
        pieces = min(max(1, round(count * self.kernels[..., 0].numel() / _PIECE_NUMBERS)), _MOST_PIECES)
        self.tiles = -(-count // pieces)
        windows = window_pixels(batch, side)
        windows = np.pad(windows, ((0, 0), (0, pieces * self.tiles - count)), constant_values=batch * side**2)
        for piece, part in enumerate(np.split(windows, pieces, axis=1)):
            self.register_buffer(f"windows_{piece}", torch.from_numpy(part.reshape(-1)))
        self.pieces = pieces
        self.register_buffer("pixels", torch.from_numpy(self._places(batch)))

    def forward(self, x: Float[Tensor, "batch side side c_in"]) -> Float[Tensor, "batch side side c_out"]:
        """Convolves."""
        rows = x.flatten(0, 2)
        padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        made = [self._made(padded.index_select(0, self.get_buffer(f"windows_{n}"))) for n in range(self.pieces)]
        picture = torch.cat(made).index_select(0, self.pixels)
        return picture.reshape(-1, self.side, self.side, picture.shape[1])

    def _made(self, windows: Float[Tensor, "rows c_in"]) -> Float[Tensor, "rows_after c_out"]:
        values = along_both_axes(self.filtering.ahead, windows.reshape(WINDOW**2, -1))
        products = values.reshape(WINDOW**2, -1, windows.shape[1]) @ self.kernels
        made = along_both_axes(self.filtering.back, products.flatten(1))
        return made.reshape(-1, products.shape[2])

    def _places(self, batch: int) -> Int64[np.ndarray, " pixels"]:
        """Where each pixel of the result lies among what the pieces make: (piece, pixel of the tile, tile)."""
        sample, y, x = np.mgrid[:batch, : self.side, : self.side]
        along = tiles_along(self.side)
        piece, tile = np.divmod((sample * along + y // TILE) * along + x // TILE, self.tiles)
        return ((piece * TILE**2 + y % TILE * TILE + x % TILE) * self.tiles + tile).reshape(-1)


def tiles_along(side: int) -> int:
    """Tiles along one side; the last may overhang."""
    return -(-side // TILE)


def window_pixels(batch: int, side: int) -> Int64[np.ndarray, "window tiles"]:
    """Pixels that each tile sees, one more on every side; beyond an edge the one behind the last, which is zero."""
    along = tiles_along(side)
    places = np.arange(along) * TILE - 1 + np.arange(WINDOW)[:, None]
    y, x = places[:, None, None, :, None], places[None, :, None, None, :]
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    pixel = (np.arange(batch)[:, None, None] * side + y) * side + x
    return np.where(inside, pixel, batch * side**2).reshape(WINDOW**2, -1)


def along_both_axes(line: tuple[Matrix, ...], x: Float[Tensor, "pixels numbers"]) -> Float[Tensor, "values numbers"]:
    """The Kronecker product of a line's factors with themselves, times `x`.

    As sums, not as a product of matrices: a runtime joins them into one pass over the numbers.
    """
    return torch.cat([value for row in _along_first_axis(line, x) for value in _along_first_axis(line, row)])


def _along_first_axis(line: tuple[Matrix, ...], x: Tensor) -> list[Tensor]:
    values = list(x.reshape(line[-1].shape[1], -1).split(1))
    for factor in reversed(line):
        values = [_weighted(weights, values) for weights in factor]
    return values


def _weighted(weights: Float64[np.ndarray, " pixels"], pixels: list[Tensor]) -> Tensor:
    chosen = [(float(weight), pixel) for weight, pixel in zip(weights, pixels, strict=True) if weight]
    first, *others = (pixel if weight == 1 else pixel * weight for weight, pixel in chosen)
    return sum(others, first)
