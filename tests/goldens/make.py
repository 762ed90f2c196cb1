"""Makes the golden files beside it: losses, every gradient and ten training steps of two small GANs, by PyTorch in float64.

usage: python tests/goldens/make.py      (needs torch and safetensors; the files in the repository came from torch 2.15, CPU)

Arrays are in PyTorch's layouts and under PyTorch's names, prefixed G. or D.:
  param NAME            float32  initial value
  real, z               uint8 [B,N,C,H,W] (x = byte / 127.5 - 1), float32 [B,N,Z]: batches
  d.loss, d.grad NAME   discriminator phase at the initial parameters on batch 0
  g.loss, g.grad NAME   generator phase at the initial parameters on batch 0
  trajectory            float64 [steps, 2]: losses of D and G while both learn with Adam
  final NAME            float64 [2]: sum and Euclidean norm of a parameter or running statistic after the last step
"""
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

STEPS, BATCH, CHANNELS = 10, 4, 3


class Case:
    """Numbers of one golden; tests/it/goldens.rs has the same."""

    def __init__(self, name, size, z, batches, lr, betas):
        self.name, self.size, self.z, self.batches, self.lr, self.betas = name, size, z, batches, lr, betas


# ---- DCGAN (Radford 2015), 32x32
def dcgan(width, z):
    multiples = [4, 2, 1]
    g, channels = [], z
    for stage, m in enumerate(multiples):
        stride, pad = (1, 0) if stage == 0 else (2, 1)
        g += [nn.ConvTranspose2d(channels, width * m, 4, stride, pad, bias=False), nn.BatchNorm2d(width * m), nn.ReLU()]
        channels = width * m
    g += [nn.ConvTranspose2d(channels, CHANNELS, 4, 2, 1, bias=False), nn.Tanh()]
    d, channels = [], CHANNELS
    for stage, m in enumerate(reversed(multiples)):
        d.append(nn.Conv2d(channels, width * m, 4, 2, 1, bias=False))
        if stage > 0:
            d.append(nn.BatchNorm2d(width * m))
        d.append(nn.LeakyReLU(0.2))
        channels = width * m
    d.append(nn.Conv2d(channels, 1, 4, 1, 0, bias=False))
    return nn.ModuleDict({"main": nn.Sequential(*g)}), nn.ModuleDict({"main": nn.Sequential(*d)})


# ---- R3GAN (Huang 2024), written from the paper; module names as published
class Weight(nn.Module):
    """A module that only holds the convolution `Layer`."""

    def __init__(self, cin, cout, kernel, groups=1):
        super().__init__()
        self.Layer = nn.Conv2d(cin, cout, kernel, padding=kernel // 2, groups=groups, bias=False)

    def forward(self, x):
        return self.Layer(x)


class Activation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.Bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.leaky_relu(x + self.Bias.view(1, -1, 1, 1), 0.2)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        inner = 2 * width
        self.LinearLayer1 = Weight(width, inner, 1)
        self.LinearLayer2 = Weight(inner, inner, 3, groups=inner // 16)
        self.LinearLayer3 = Weight(inner, width, 1)
        self.NonLinearity1, self.NonLinearity2 = Activation(inner), Activation(inner)

    def forward(self, x):
        return x + self.LinearLayer3(self.NonLinearity2(self.LinearLayer2(self.NonLinearity1(self.LinearLayer1(x)))))


def bilinear(x, up):
    """Factor 2 with the separable filter [1,2,1] * [1,1], as one (transposed) convolution per channel."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    kernel = (taps[:, None] * taps[None, :]).expand(x.shape[1], 1, 4, 4)
    if up:
        return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=x.shape[1])
    return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Transition(nn.Module):
    def __init__(self, cin, cout, up):
        super().__init__()
        self.up = up
        if cin != cout:
            self.LinearLayer = Weight(cin, cout, 1)

    def forward(self, x):
        change = self.LinearLayer if hasattr(self, "LinearLayer") else (lambda t: t)
        return bilinear(change(x), True) if self.up else change(bilinear(x, False))


class GenerativeBasis(nn.Module):
    def __init__(self, z, width):
        super().__init__()
        self.Basis = nn.Parameter(torch.empty(width, 4, 4))
        self.LinearLayer = nn.Linear(z, width, bias=False)

    def forward(self, z):
        return self.Basis[None] * self.LinearLayer(z)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.Basis = nn.Conv2d(width, width, 4, groups=width, bias=False)
        self.LinearLayer = nn.Linear(width, 1, bias=False)

    def forward(self, x):
        return self.LinearLayer(self.Basis(x).flatten(1))


class Stage(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.Layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.Layers:
            x = layer(x)
        return x


class Generator(nn.Module):
    def __init__(self, z, widths, blocks):
        super().__init__()
        heads = [GenerativeBasis(z, widths[0])] + [Transition(a, b, True) for a, b in zip(widths, widths[1:])]
        self.MainLayers = nn.ModuleList(Stage(h, *(Block(w) for _ in range(n))) for h, w, n in zip(heads, widths, blocks))
        self.AggregationLayer = Weight(widths[-1], CHANNELS, 1)

    def forward(self, x):
        for stage in self.MainLayers:
            x = stage(x)
        return self.AggregationLayer(x)


class Discriminator(nn.Module):
    def __init__(self, widths, blocks):
        super().__init__()
        widths, blocks = widths[::-1], blocks[::-1]
        tails = [Transition(a, b, False) for a, b in zip(widths, widths[1:])] + [DiscriminativeBasis(widths[-1])]
        self.ExtractionLayer = Weight(CHANNELS, widths[0], 1)
        self.MainLayers = nn.ModuleList(Stage(*(Block(w) for _ in range(n)), t) for t, w, n in zip(tails, widths, blocks))

    def forward(self, x):
        x = self.ExtractionLayer(x)
        for stage in self.MainLayers:
            x = stage(x)
        return x


# ---- what is dumped
def initialise(net, seed):
    """Random everywhere, zero-initialised layers too, so that no gradient vanishes; exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in net.named_parameters():
        fan_in = p[0].numel() if p.dim() > 1 else 1
        if p.dim() == 1:
            mean, std = (1.0 if name.endswith("weight") else 0.0), 0.1
        else:
            mean, std = 0.0, (1.0 if name.endswith("0.Basis") else fan_in**-0.5)
        p.data = (mean + std * torch.randn(p.shape, generator=generator)).float()
    return net.double()


def penalty(logits, x, gamma):
    (g,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gamma / 2 * g.square().sum() / x.shape[0]


class Ns:
    """Non-saturating loss; D sees real and fake in separate passes; G's step reuses the fakes' latents."""

    def __init__(self, g, d):
        self.g, self.d = g["main"], d["main"]

    def phases(self, step):
        return step, step

    def d_loss(self, real, z):
        self.fake = self.g(z[:, :, None, None])
        return F.softplus(-self.d(real)).mean() + F.softplus(self.d(self.fake.detach())).mean()

    def g_loss(self, real, z):
        fake = getattr(self, "fake", None)
        self.fake = None
        fake = self.g(z[:, :, None, None]) if fake is None else fake
        return F.softplus(-self.d(fake)).mean()


class RpR1R2:
    """Relativistic pairing with R1 and R2; fresh reals and latents in both phases."""

    GAMMA = 0.5

    def __init__(self, g, d):
        self.g, self.d = g, d

    def phases(self, step):
        return 2 * step, 2 * step + 1

    def d_loss(self, real, z):
        real, fake = real.clone().requires_grad_(), self.g(z).detach().requires_grad_()
        lr, lf = self.d(real), self.d(fake)
        loss = F.softplus(-(lr - lf)).mean()
        return loss + penalty(lr, real, self.GAMMA) + penalty(lf, fake, self.GAMMA)

    def g_loss(self, real, z):
        return F.softplus(self.d(real) - self.d(self.g(z))).mean()


def make(case, g, d, losses):
    torch.manual_seed(0)
    initialise(g, 1)
    initialise(d, 2)
    out = {}
    for prefix, net in (("G", g), ("D", d)):
        for name, p in net.named_parameters():
            out[f"param {prefix}.{name}"] = p.detach().float().clone()
    generator = torch.Generator().manual_seed(3)
    shape = (case.batches, BATCH, CHANNELS, case.size, case.size)
    out["real"] = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    out["z"] = torch.randn((case.batches, BATCH, case.z), generator=generator)
    real = lambda i: out["real"][i % case.batches].double() / 127.5 - 1
    z = lambda i: out["z"][i % case.batches].double()

    # One evaluation of each phase at the initial parameters; running statistics are put back afterwards.
    before = {prefix: {k: v.clone() for k, v in net.state_dict().items()} for prefix, net in (("G", g), ("D", d))}
    for phase, prefix, net in (("d", "D", d), ("g", "G", g)):
        loss = getattr(losses(g, d), f"{phase}_loss")(real(0), z(0))
        names, params = zip(*net.named_parameters())
        out[f"{phase}.loss"] = loss.detach().reshape(1)
        for name, gradient in zip(names, torch.autograd.grad(loss, params)):
            out[f"{phase}.grad {prefix}.{name}"] = gradient.float()
    g.load_state_dict(before["G"])
    d.load_state_dict(before["D"])

    adam_g, adam_d = (torch.optim.Adam(net.parameters(), case.lr, case.betas, eps=1e-8) for net in (g, d))
    run, rows = losses(g, d), []
    for step in range(STEPS):
        i, j = run.phases(step)
        row = []
        for optimiser, net, phase, index in ((adam_d, d, run.d_loss, i), (adam_g, g, run.g_loss, j)):
            loss = phase(real(index), z(index))
            params = list(net.parameters())
            for p, gradient in zip(params, torch.autograd.grad(loss, params)):
                p.grad = gradient
            optimiser.step()
            row.append(loss.item())
        rows.append(row)
    out["trajectory"] = torch.tensor(rows, dtype=torch.float64)
    for prefix, net in (("G", g), ("D", d)):
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                out[f"final {prefix}.{name}"] = torch.stack([value.sum(), value.norm()])
    path = pathlib.Path(__file__).parent / f"{case.name}.safetensors"
    save_file({k: v.contiguous() for k, v in out.items()}, path)
    print(path, path.stat().st_size, "bytes; losses", rows[0], "to", rows[-1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(Case("dcgan32", 32, 16, 2, 2e-4, (0.5, 0.999)), *dcgan(8, 16), Ns)
    widths, blocks = [16, 8, 8], [2, 1, 1]
    make(Case("r3gan16", 16, 16, 4, 2e-4, (0.0, 0.99)), Generator(16, widths, blocks), Discriminator(widths, blocks), RpR1R2)
