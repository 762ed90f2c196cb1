"""Makes sequential_*.safetensors beside it: small nn.Sequential networks, their outputs and gradients, by PyTorch in float64.

usage: python tests/goldens/sequential.py      (needs torch and safetensors; the files in the repository came from torch 2.15, CPU)

Arrays are in PyTorch's layouts and under PyTorch's names; tests/it/sequential.rs describes the same networks in TOML:
  param NAME, state NAME    float32: weights, running statistics
  input                     uint8 [N,C,H,W] (x = byte / 127.5 - 1) or float32 [N,F]
  eval, train               float32: elements 0, EVERY, 2 EVERY, ... of the output, flattened; dropout is off in both
  shape                     float64: extents of the output
  after NAME                float32: running statistics after the pass in training mode
  grad NAME                 float32: gradient of the sum over i of cos(i) output[i] in training mode, flattened likewise
"""
import pathlib

import torch
import torch.nn as nn
from safetensors.torch import save_file

EVERY = 7


def dcgan_g(z=8, width=2):
    layers, channels = [], z
    for stage, m in enumerate([8, 4, 2, 1]):
        stride, pad = (1, 0) if stage == 0 else (2, 1)
        layers += [nn.ConvTranspose2d(channels, width * m, 4, stride, pad, bias=False), nn.BatchNorm2d(width * m), nn.ReLU()]
        channels = width * m
    layers += [nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.ModuleDict({"main": nn.Sequential(*layers)})


def dcgan_d(width=2):
    layers = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for m in [2, 4, 8]:
        layers += [nn.Conv2d(width * m // 2, width * m, 4, 2, 1, bias=False), nn.BatchNorm2d(width * m), nn.LeakyReLU(0.2)]
    layers.append(nn.Conv2d(width * 8, 1, 4, 1, 0, bias=False))
    return nn.ModuleDict({"main": nn.Sequential(*layers)})


def cnn():
    """Images of 12 x 10; windows that overlap, that leave a rest, and a flatten whose order shows."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6, eps=1e-3, momentum=0.3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Dropout(0.3),
        nn.Conv2d(6, 8, 3, padding=1, groups=2),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Upsample(scale_factor=3, mode="bilinear"),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.AvgPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(8 * 6 * 5, 24),
        nn.BatchNorm1d(24),
        nn.Sigmoid(),
        nn.Unflatten(1, (2, 3, 4)),
        nn.ConvTranspose2d(2, 3, 3, 2, 1),
        nn.SiLU(),
    )


class MinibatchStddev(nn.Module):
    """One more channel (Karras 2018): members of a group are N / group apart."""

    def __init__(self, group):
        super().__init__()
        self.group = group

    def forward(self, x):
        y = x.reshape(self.group, x.shape[0] // self.group, -1)
        deviation = (y.var(0, unbiased=False) + 1e-8).sqrt().mean(1).repeat(self.group)
        return torch.cat([x, deviation.view(-1, *[1] * (x.dim() - 1)).expand(-1, 1, *x.shape[2:])], 1)


def spectral():
    """Spectral normalisation of convolutions, one of them in groups, and of a linear layer; images of 8 x 6."""
    norm = nn.utils.spectral_norm
    return nn.Sequential(
        norm(nn.Conv2d(3, 6, 3, padding=1)),
        nn.LeakyReLU(0.1),
        norm(nn.Conv2d(6, 8, 4, 2, 1, groups=2, bias=False)),
        MinibatchStddev(2),
        nn.Flatten(),
        norm(nn.Linear(9 * 4 * 3, 20)),
        nn.Softplus(),
        MinibatchStddev(4),
    )


def make(name, net, x, see, stem="sequential"):
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    out = {"input": x}
    for key, p in net.named_parameters():
        fan_in = p[0].numel() if p.dim() > 1 else 100
        mean = 1.0 if p.dim() == 1 and key.endswith("weight") else 0.0
        p.data = (mean + fan_in**-0.5 * torch.randn(p.shape, generator=generator)).float()
        out[f"param {key}"] = p.data.clone()
    for key, b in net.named_buffers():
        if b.dim() > 0:
            b.data = (torch.rand(b.shape, generator=generator) + (0.5 if key.endswith("var") else -0.5)).float()
            if key.endswith(("weight_u", "weight_v")):
                b.data /= b.data.norm()
            out[f"state {key}"] = b.data.clone()
    net.double()
    x = x.double() / 127.5 - 1 if x.dtype == torch.uint8 else x.double()
    net.eval()
    y = see(net, x)
    out["eval"] = y.flatten()[::EVERY].float()
    out["shape"] = torch.tensor(y.shape, dtype=torch.float64)
    net.train()
    for m in net.modules():
        if isinstance(m, nn.Dropout):
            m.eval()
    y = see(net, x)
    out["train"] = y.flatten()[::EVERY].float()
    for key, b in net.named_buffers():
        if b.dim() > 0:
            out[f"after {key}"] = b.float()
    names, params = zip(*net.named_parameters())
    loss = (y.flatten() * torch.arange(y.numel(), dtype=torch.float64).cos()).sum()
    for key, g in zip(names, torch.autograd.grad(loss, params)):
        out[f"grad {key}"] = g.float()
    path = pathlib.Path(__file__).parent / f"{stem}_{name}.safetensors"
    save_file({k: v.detach().contiguous() for k, v in out.items()}, path)
    print(path, path.stat().st_size, "bytes; output", tuple(y.shape))


if __name__ == "__main__":
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(5)
    pictures = lambda *shape: torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    main = lambda net, x: net["main"](x)
    make("dcgan_g", dcgan_g(), torch.randn((3, 8), generator=rng), lambda net, z: net["main"](z[:, :, None, None]))
    make("dcgan_d", dcgan_d(), pictures(3, 3, 64, 64), main)
    make("cnn", cnn(), pictures(4, 3, 12, 10), lambda net, x: net(x))
    make("spectral", spectral(), pictures(4, 3, 8, 6), lambda net, x: net(x))
