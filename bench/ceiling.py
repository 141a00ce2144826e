"""What a device reaches at best: the rate of matrix products and the bandwidth of copies."""

from dataclasses import dataclass

import torch

from mt.processes import device
from record import Record
from timing import seconds


@dataclass(frozen=True)
class Size:
    """Edges of the square matrices, bytes of the copied buffer, and how often each is done."""

    edges: tuple[int, ...]
    copied: int
    warm: int
    repeats: int
    inner: int


SIZES = {
    "full": Size(edges=(4096, 8192, 12288, 16384), copied=4 << 30, warm=5, repeats=7, inner=10),
    "toy": Size(edges=(64, 128), copied=1 << 20, warm=1, repeats=3, inner=2),
}


def measure(size: Size, record: Record) -> None:
    rates = {str(edge): matrix_rate(edge, size) for edge in size.edges}
    record.add(
        "ceiling",
        {
            "matrix": {
                "what": f"bfloat16 product of two square random matrices, 2 edge³ operations; median of {size.repeats} "
                f"repeats of {size.inner} products in a row, warm; the best edge is the ceiling",
                "tflops": max(rates.values()),
                "tflops_by_edge": rates,
            }
        },
    )
    record.add(
        "ceiling",
        {
            "copy": {
                "what": f"copy of {size.copied} bytes from device memory to device memory, bytes read and bytes "
                f"written both counted; median of {size.repeats} repeats of {size.inner} copies in a row, warm",
                "gb_per_second": copy_rate(size),
            }
        },
    )


def matrix_rate(edge: int, size: Size) -> float:
    """TFLOP/s of a bfloat16 product [edge, edge] x [edge, edge]."""
    a, b = (torch.randn(edge, edge, device=device(), dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    took = seconds(lambda: torch.matmul(a, b, out=out), size.warm, size.repeats, size.inner)
    return 2 * edge**3 / took / 1e12


def copy_rate(size: Size) -> float:
    """GB/s (10⁹ bytes), read and written."""
    source = torch.ones(size.copied, device=device(), dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * size.copied / seconds(lambda: target.copy_(source), size.warm, size.repeats, size.inner) / 1e9
