"""Goldens of Inception-v3: features by pytorch-fid's own network, with weights made from a formula instead of those published.

    python tests/goldens/inception.py    (needs torch, torchvision, pytorch-fid, safetensors; writes inception.safetensors)

The formula is repeated by the test, so that no weights need to be kept: see `filled`.
"""

import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, ".")
import pytorch_fid.inception as published


def filled(name, shape):
    """Numbers of a tensor: the n-th is a function of its name and of n, the same in float64 everywhere up to rounding."""
    seed = sum((i + 1) * ord(c) for i, c in enumerate(name)) % 9973
    n = np.arange(int(np.prod(shape)), dtype=np.float64)
    wave = ((n * 0.6180339887498949 + seed * 0.0136) % 1.0) * 2.0 - 1.0
    wave = wave.reshape(shape)
    if name.endswith("conv.weight"):
        return wave * np.sqrt(6.0 / np.prod(shape[1:]))
    if name.endswith("running_var"):
        return 1.0 + 0.5 * wave
    if name.endswith("bn.weight"):
        return 1.0 + 0.3 * wave
    return 0.3 * wave


def main():
    # The published weights are not fetched: the network is built, then filled.
    published.load_state_dict_from_url = lambda *args, **kwargs: None
    whole = published._inception_v3
    loaded = {}

    def built(*args, **kwargs):
        net = whole(*args, **kwargs)
        net.load_state_dict = lambda state: loaded.update(net=net)
        return net

    published._inception_v3 = built
    net = published.InceptionV3([3], resize_input=True, normalize_input=True).eval()
    for name, tensor in loaded["net"].state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(filled(name, tuple(tensor.shape))).float())
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, size=(2, 3, 40, 40), dtype=np.uint8)
    smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(images).float(), 5, 1, 2, count_include_pad=False).round()
    images = smooth.to(torch.uint8)
    with torch.no_grad():
        features = net(images.float() / 255.0)[0].reshape(2, 2048)
    print("features: mean", features.mean().item(), "largest", features.max().item(), "zeros", (features == 0).float().mean().item())
    save_file({"images": images.permute(0, 2, 3, 1).contiguous(), "features": features.contiguous()}, "tests/goldens/inception.safetensors")


main()
