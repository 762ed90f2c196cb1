"""Makes the golden files beside it: losses, every gradient and ten training steps of small GANs, by PyTorch in float64.

usage: python tests/goldens/make.py      (needs torch and safetensors; the files in the repository came from torch 2.15, CPU)

Arrays are in PyTorch's layouts and under PyTorch's names, prefixed G. or D.:
  param NAME            float32  initial value
  state NAME            float32  initial value of what persists and starts at random
  real, z, labels       uint8 [B,N,C,H,W] (x = byte / 127.5 - 1), float32 [B,N,Z], float32 [B,N] where there are classes: batches
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

    def __init__(self, name, size, z, batches, lr, betas, classes=0, eps=1e-8):
        self.name, self.size, self.z, self.batches, self.lr, self.betas = name, size, z, batches, lr, betas
        self.classes, self.eps = classes, eps


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
    def __init__(self, width, expansion=2, group_width=16):
        super().__init__()
        inner = expansion * width
        self.LinearLayer1 = Weight(width, inner, 1)
        self.LinearLayer2 = Weight(inner, inner, 3, groups=inner // group_width)
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
    def __init__(self, width, out=1):
        super().__init__()
        self.Basis = nn.Conv2d(width, width, 4, groups=width, bias=False)
        self.LinearLayer = nn.Linear(width, out, bias=False)

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
    def __init__(self, z, widths, blocks, classes=0, **numbers):
        super().__init__()
        heads = [GenerativeBasis(z + (z if classes else 0), widths[0])] + [Transition(a, b, True) for a, b in zip(widths, widths[1:])]
        self.MainLayers = nn.ModuleList(Stage(h, *(Block(w, **numbers) for _ in range(n))) for h, w, n in zip(heads, widths, blocks))
        self.AggregationLayer = Weight(widths[-1], CHANNELS, 1)
        if classes:
            self.EmbeddingLayer = nn.Linear(classes, z, bias=False)

    def forward(self, x, y=None):
        x = x if y is None else torch.cat([x, self.EmbeddingLayer(y)], 1)
        for stage in self.MainLayers:
            x = stage(x)
        return self.AggregationLayer(x)


class Discriminator(nn.Module):
    def __init__(self, widths, blocks, classes=0, stddev=0, **numbers):
        super().__init__()
        widths, blocks, self.stddev = widths[::-1], blocks[::-1], stddev
        basis = DiscriminativeBasis(widths[-1] + (1 if stddev else 0), widths[-1] if classes else 1)
        tails = [Transition(a, b, False) for a, b in zip(widths, widths[1:])] + [basis]
        self.ExtractionLayer = Weight(CHANNELS, widths[0], 1)
        self.MainLayers = nn.ModuleList(Stage(*(Block(w, **numbers) for _ in range(n)), t) for t, w, n in zip(tails, widths, blocks))

        if classes:
            self.EmbeddingLayer = nn.Linear(classes, widths[-1], bias=False)

    def forward(self, x, y=None):
        x = self.ExtractionLayer(x)
        for stage in self.MainLayers[:-1]:
            x = stage(x)
        *blocks, basis = self.MainLayers[-1].Layers
        for block in blocks:
            x = block(x)
        x = basis(minibatch_stddev(x, self.stddev) if self.stddev else x)
        return x if y is None else (x * self.EmbeddingLayer(y)).sum(1, keepdim=True)


def minibatch_stddev(x, group):
    """One more channel (Karras 2018): members of a group are N / group apart."""
    n, _, h, w = x.shape
    y = x.reshape(group, n // group, -1)
    deviation = (y.var(0, unbiased=False) + 1e-8).sqrt().mean(1)
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(n, 1, h, w)], 1)


# ---- residual SNGAN (Miyato 2018; Miyato & Koyama 2018), 32x32, with and without classes, written from the papers; names as published
def normal(module):
    """Spectral normalisation; u and v exact in float32."""
    module = nn.utils.spectral_norm(module)
    for name in ("weight_u", "weight_v"):
        setattr(module, name, getattr(module, name).float().double())
    return module


class ClassNorm(nn.Module):
    """Batch norm with a scale and a shift per class."""

    def __init__(self, channels, classes):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.weights, self.biases = nn.Embedding(classes, channels), nn.Embedding(classes, channels)

    def forward(self, x, y):
        return self.bn(x) * self.weights(y)[:, :, None, None] + self.biases(y)[:, :, None, None]


class PlainNorm(nn.BatchNorm2d):
    """Batch norm that is told no class."""

    def forward(self, x, y):
        return super().forward(x)


class UpBlock(nn.Module):
    def __init__(self, cin, cout, classes):
        super().__init__()
        norm = (lambda channels: ClassNorm(channels, classes)) if classes else PlainNorm
        self.b1, self.b2 = norm(cin), norm(cout)
        self.c1, self.c2 = nn.Conv2d(cin, cout, 3, 1, 1), nn.Conv2d(cout, cout, 3, 1, 1)
        self.c_sc = nn.Conv2d(cin, cout, 1)

    def forward(self, x, y):
        up = lambda t: F.interpolate(t, scale_factor=2, mode="nearest")
        h = self.c2(F.relu(self.b2(self.c1(up(F.relu(self.b1(x, y)))), y)))
        return h + self.c_sc(up(x))


class DownBlock(nn.Module):
    def __init__(self, cin, cout, halves, first=False):
        super().__init__()
        hidden = cout if first else cin
        self.c1, self.c2 = normal(nn.Conv2d(cin, hidden, 3, 1, 1)), normal(nn.Conv2d(hidden, cout, 3, 1, 1))
        if halves or cin != cout:
            self.c_sc = normal(nn.Conv2d(cin, cout, 1))
        self.halves, self.first = halves, first

    def forward(self, x):
        half = (lambda t: F.avg_pool2d(t, 2)) if self.halves else (lambda t: t)
        h = half(self.c2(F.relu(self.c1(x if self.first else F.relu(x)))))
        return h + (half(self.c_sc(x)) if hasattr(self, "c_sc") else x)


class SnganGenerator(nn.Module):
    def __init__(self, z, width, classes):
        super().__init__()
        self.width, self.l1 = width, nn.Linear(z, 16 * width)
        for i in (2, 3, 4):
            setattr(self, f"block{i}", UpBlock(width, width, classes))
        self.b5, self.conv5 = nn.BatchNorm2d(width), nn.Conv2d(width, CHANNELS, 3, 1, 1)

    def forward(self, z, y=None):
        x = self.l1(z).view(-1, self.width, 4, 4)
        for block in (self.block2, self.block3, self.block4):
            x = block(x, y)
        return torch.tanh(self.conv5(F.relu(self.b5(x))))


class SnganDiscriminator(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.block1 = DownBlock(CHANNELS, width, True, first=True)
        self.block2, self.block3, self.block4 = (DownBlock(width, width, halves) for halves in (True, False, False))
        self.l5 = normal(nn.Linear(width, 1))
        if classes:
            self.l_y = normal(nn.Embedding(classes, width))

    def forward(self, x, y=None):
        for block in (self.block1, self.block2, self.block3, self.block4):
            x = block(x)
        x = F.relu(x).sum((2, 3))
        return self.l5(x) if y is None else self.l5(x) + (self.l_y(y) * x).sum(1, keepdim=True)


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


class Hinge:
    """Hinge loss with classes; D makes a power iteration at each pass in training mode, in G's step too."""

    def __init__(self, g, d):
        self.g, self.d = g, d

    def phases(self, step):
        return step, step

    def d_loss(self, real, z, y):
        self.fake = self.g(z, y)
        return F.relu(1 - self.d(real, y)).mean() + F.relu(1 + self.d(self.fake.detach(), y)).mean()

    def g_loss(self, real, z, y):
        fake = getattr(self, "fake", None)
        self.fake = None
        return -self.d(self.g(z, y) if fake is None else fake, y).mean()


class RpR1R2:
    """Relativistic pairing with R1 and R2; fresh reals and latents in both phases."""

    GAMMA, CLASSES = 0.5, 3

    def __init__(self, g, d):
        self.g, self.d = g, d

    def phases(self, step):
        return 2 * step, 2 * step + 1

    def d_loss(self, real, z, *y):
        y = [F.one_hot(labels, self.CLASSES).double() for labels in y]
        real, fake = real.clone().requires_grad_(), self.g(z, *y).detach().requires_grad_()
        lr, lf = self.d(real, *y), self.d(fake, *y)
        loss = F.softplus(-(lr - lf)).mean()
        return loss + penalty(lr, real, self.GAMMA) + penalty(lf, fake, self.GAMMA)

    def g_loss(self, real, z, *y):
        y = [F.one_hot(labels, self.CLASSES).double() for labels in y]
        return F.softplus(self.d(real, *y) - self.d(self.g(z, *y), *y)).mean()


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
    if case.classes:
        labels = torch.randint(0, case.classes, (case.batches, BATCH), generator=generator)
        out["labels"] = labels.float()
    for prefix, net in (("G", g), ("D", d)):
        for name, value in net.named_buffers():
            if name.endswith("weight_u"):
                out[f"state {prefix}.{name}"] = value.float().clone()
            if name.endswith("weight_v"):
                value.zero_()

    def batch(i):
        i %= case.batches
        real, z = out["real"][i].double() / 127.5 - 1, out["z"][i].double()
        return (real, z, labels[i]) if case.classes else (real, z)

    # One evaluation of each phase at the initial parameters; running statistics are put back afterwards.
    before = {prefix: {k: v.clone() for k, v in net.state_dict().items()} for prefix, net in (("G", g), ("D", d))}
    for phase, prefix, net in (("d", "D", d), ("g", "G", g)):
        g.load_state_dict(before["G"])
        d.load_state_dict(before["D"])
        loss = getattr(losses(g, d), f"{phase}_loss")(*batch(0))
        names, params = zip(*net.named_parameters())
        out[f"{phase}.loss"] = loss.detach().reshape(1)
        for name, gradient in zip(names, torch.autograd.grad(loss, params)):
            out[f"{phase}.grad {prefix}.{name}"] = gradient.float()
    g.load_state_dict(before["G"])
    d.load_state_dict(before["D"])

    adam_g, adam_d = (torch.optim.Adam(net.parameters(), case.lr, case.betas, eps=case.eps) for net in (g, d))
    run, rows = losses(g, d), []
    for step in range(STEPS):
        i, j = run.phases(step)
        row = []
        for optimiser, net, phase, index in ((adam_d, d, run.d_loss, i), (adam_g, g, run.g_loss, j)):
            loss = phase(*batch(index))
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
                out[f"final {prefix}.{name.replace('.bn.', '.')}"] = torch.stack([value.sum(), value.norm()])
    path = pathlib.Path(__file__).parent / f"{case.name}.safetensors"
    save_file({k: v.contiguous() for k, v in out.items()}, path)
    print(path, path.stat().st_size, "bytes; losses", rows[0], "to", rows[-1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(Case("dcgan32", 32, 16, 2, 2e-4, (0.5, 0.999)), *dcgan(8, 16), Ns)
    widths, blocks = [16, 8, 8], [2, 1, 1]
    make(Case("r3gan16", 16, 16, 4, 2e-4, (0.0, 0.99)), Generator(16, widths, blocks), Discriminator(widths, blocks), RpR1R2)
    widths, blocks, numbers = [8, 4, 4], [1, 1, 2], dict(classes=3, expansion=3, group_width=2)
    case = Case("r3gan16_classes", 16, 6, 4, 2e-4, (0.0, 0.99), classes=3)
    make(case, Generator(6, widths, blocks, **numbers), Discriminator(widths, blocks, stddev=2, **numbers), RpR1R2)
    # Biases before a normalisation have no gradient but rounding, which a small eps would make a step of.
    case = Case("sngan32_classes", 32, 8, 2, 2e-4, (0.0, 0.9), classes=3, eps=1e-3)
    make(case, SnganGenerator(8, 6, 3), SnganDiscriminator(6, 3), Hinge)
