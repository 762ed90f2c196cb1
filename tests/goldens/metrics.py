"""Makes metrics.safetensors beside it: features drawn at random, and what NumPy and SciPy in float64 make of them.

usage: python tests/goldens/metrics.py      (needs numpy, scipy, torch and safetensors)

Arrays: `a`, `b`, features [n,d] in float32; `frechet` of both; `kid`, the unbiased estimate over all images of both (which are equally
many); `precision_recall` of b among a, with the third nearest neighbour; `small` and `large`, images [1,h,w,1] that PyTorch makes larger.
"""
import pathlib

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file


def frechet(a, b):
    mean = a.mean(0) - b.mean(0)
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb)
    return mean @ mean + np.trace(ca + cb - 2 * np.real(root))


def kid(a, b):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    m = len(a)
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    return ((aa.sum() - np.trace(aa)) + (bb.sum() - np.trace(bb))) / (m * (m - 1)) - 2 * ab.mean()


def precision_recall(reals, fakes, k=3):
    def distances(x, y):
        return np.linalg.norm(x[:, None] - y[None], axis=2)

    def radii(x):
        return np.sort(distances(x, x), axis=1)[:, k]  # column 0 is the image itself

    between = distances(fakes, reals)
    precision = (between <= radii(reals)[None, :]).any(1).mean()
    recall = (between <= radii(fakes)[:, None]).any(0).mean()
    return precision, recall


def main():
    rng = np.random.default_rng(7)
    n, d = 300, 24
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    a = np.maximum(rng.normal(size=(n, d)) @ mix + 0.3, 0).astype(np.float32)
    b = np.maximum(rng.normal(size=(n, d)) @ mix * 0.8 + 0.5 + 0.1 * rng.normal(size=d), 0).astype(np.float32)
    wide = [x.astype(np.float64) for x in (a, b)]
    small = torch.tensor(rng.normal(size=(1, 1, 28, 28)))
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    arrays = {
        "small": small.numpy().reshape(1, 28, 28, 1),
        "large": large.numpy().reshape(1, 32, 32, 1),
        "a": a,
        "b": b,
        "frechet": np.array([frechet(*wide)]),
        "kid": np.array([kid(*wide)]),
        "precision_recall": np.array(precision_recall(*wide)),
    }
    save_file(arrays, pathlib.Path(__file__).parent / "metrics.safetensors")
    print({name: value for name, value in arrays.items() if value.size < 3})


if __name__ == "__main__":
    main()
