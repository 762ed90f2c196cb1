"""Makes the golden files trainer_*.safetensors: ten iterations of six small GANs by PyTorch in float64, fed with the very
random numbers of the engine. tests/it/fidelity.rs holds the whole trainer against them.

usage: python tests/goldens/trainer.py      (needs torch and safetensors; made by torch 2.15, CPU)

Written from the papers and from what the engine's documentation promises, not from its code: Philox4x32-10 (Salmon 2011),
initial weights, latents, batches, mirror images, schedules, lazy regularisation, the attack, Adam, the moving average.
Networks come from make.py.

  log NAME   float64 [10]: a logged scalar, NaN where the iteration makes none; norms of gradients are squares
  end NAME   float64 [4]: sum, Euclidean norm and two random projections of a tensor after the last iteration, in PyTorch's
             layout; names as in a checkpoint: weights, adam.m., adam.v., ema., running statistics
  header     seed
"""
import dataclasses
import math
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import make

STEPS, IMAGES = 10, 40
# Streams of randomness in an iteration.
Z_D, Z_G, PENALTY, ATTACK, DATA_D, DATA_G = 1, 2, 3, 4, 5, 6


@dataclasses.dataclass
class Case:
    """Numbers of one golden; tests/it/fidelity.rs has the same under the names of the configuration, and reads the seed from
    the file."""

    name: str
    kind: str
    loss: str
    size: int
    seed: int
    z: int = 8
    width: int = 4
    batch: int = 4
    d_norm: bool = False
    mirror: bool = False
    r1: float = 0.0
    r2: float = 0.0
    gp: float = 0.0
    gamma_final: float | None = None
    n_critic: int = 1
    penalty_every: int = 1
    lr: float = 2e-3
    lr_final: float | None = None
    linear: float = 0.0
    beta1: float = 0.5
    beta2: float = 0.99
    beta2_final: float | None = None
    eps: float = 1e-4
    lr_d_scale: float = 1.0
    burn_in: float = 0.0
    half_life: float = 20.0
    ramp: float = 0.5
    attack_steps: int = 0
    attack_eps: float = 0.0
    attack_alpha: float = 0.0


CASES = [
    Case("dcgan", "dcgan", "ns", 32, 9, d_norm=True, mirror=True, beta2=0.999, eps=0.1),
    Case("r3gan", "r3gan", "rpgan", 16, 2**40 + 11, width=8, mirror=True, r1=1.0, r2=0.5, gamma_final=0.1, lr_final=2e-4,
         beta1=0.0, beta2=0.9, beta2_final=0.99, lr_d_scale=0.5, burn_in=26.0),
    Case("lazy", "dcgan", "ns", 32, 7, width=8, r1=100.0, penalty_every=4, lr=3e-3, lr_d_scale=1.5),
    Case("attack", "dcgan", "ns", 32, 40, d_norm=True, mirror=True, lr=5e-4, eps=0.1, attack_steps=3, attack_eps=2 * 8 / 255,
         attack_alpha=2 * 3 / 255),
    Case("wgan", "dcgan", "wgan", 32, 9, width=8, gp=10.0, n_critic=3, beta1=0.0, beta2=0.9, ramp=0.25, half_life=50.0),
    Case("sngan", "sngan", "hinge", 32, 5, n_critic=2, beta1=0.0, beta2=0.9, eps=0.1, linear=50.0, half_life=0.0),
]


# ---- random numbers
def philox(seed, counters):
    """Philox4x32-10 of counters [..., 4] as words [..., 4]."""
    c = [np.asarray(counters, np.uint64)[..., i] for i in range(4)]
    key, low, word = [seed & 0xFFFFFFFF, seed >> 32], np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> word) ^ c[1] ^ np.uint64(key[0]), p1 & low, (p0 >> word) ^ c[3] ^ np.uint64(key[1]), p0 & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1)


def check_philox():
    """Known answers of the Random123 distribution."""
    for seed, counter, words in [
        (0, [0] * 4, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**64 - 1, [0xFFFFFFFF] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (0x299F31D0A4093822, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
         [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]:
        assert philox(seed, counter).tolist() == words


def blocks(seed, step, stream, page, n):
    """The first n words of (step, stream, page), four per block, in whole blocks of the shape [blocks, 4]."""
    count = -(-n // 4)
    counters = np.empty((count, 4), np.uint64)
    counters[:, 0], counters[:, 1], counters[:, 2], counters[:, 3] = np.arange(count), step, stream, page
    return philox(seed, counters)


def uniforms(seed, stream, step, n, round=0):
    """In (0, 1): the top 23 bits of a word and a half. The round counts runs of what draws and runs several times per step; the
    fourth word of a counter is four times that, for pages 1 to 3 are of batches."""
    return ((blocks(seed, step, stream, 4 * round, n) >> np.uint64(9)).astype(np.float64) + 0.5).reshape(-1)[:n] / 2**23


def normals(seed, stream, step, n):
    """Box-Muller: words 0 and 1 of a block give numbers 0 and 1, words 2 and 3 the others."""
    u = uniforms(seed, stream, step, 4 * -(-n // 4)).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0])), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(-1)[:n]


# ---- images
def data_set(size):
    """[40, 3, size, size] bytes: image k is block i of (seed 2024, stream 9, step k), bytes from the low end, as [H, W, C]."""
    words = np.stack([blocks(2024, k, 9, 0, size * size * 3 // 4) for k in range(IMAGES)])
    octets = words.astype("<u4").view(np.uint8).reshape(IMAGES, size, size, 3)
    return torch.from_numpy(octets.transpose(0, 3, 1, 2).copy())


def permuted(seed, stream, position, count):
    """Image at a position of the endless sequence that shows every image once per epoch: a four-round Feistel network on the
    smallest even number of bits with room for the set, walked until it lands inside."""
    epoch, place = divmod(position, count)
    keys = philox(seed, [epoch, 0, stream, 2]).tolist()
    bits = next(b for b in range(2, 66, 2) if 2**b >= count)
    half, mask = bits // 2, 2 ** (bits // 2) - 1

    def mix(v):
        v = ((v ^ v >> 16) * 0x7FEB352D) & 0xFFFFFFFF
        v = ((v ^ v >> 15) * 0x846CA68B) & 0xFFFFFFFF
        return v ^ v >> 16

    x = place
    while True:
        left, right = x >> half, x & mask
        for key in keys:
            left, right = right, left ^ (mix(right ^ key) & mask)
        x = left << half | right
        if x < count:
            return x


def batch(case, images, stream, step, run):
    """The reals of an iteration, [N, 3, H, W] in [-1, 1]; `run` counts the draws of this stream before it."""
    word = lambda page: blocks(case.seed, step, stream, page, case.batch).reshape(-1)
    picks = [permuted(case.seed, stream, run * case.batch + j, IMAGES) for j in range(case.batch)]
    reals = []
    for pick, w in zip(picks, word(1)):
        image = images[pick].double() / 127.5 - 1
        reals.append(image.flip(-1) if case.mirror and int(w) >> 31 else image)
    return torch.stack(reals)


# ---- networks
def networks(case):
    if case.kind == "dcgan":
        g, d = (net["main"] for net in make.dcgan(case.width, case.z))
        if not case.d_norm:
            d = nn.Sequential(*(layer for layer in d if not isinstance(layer, nn.BatchNorm2d)))
        return nn.ModuleDict({"main": g}).double(), nn.ModuleDict({"main": d}).double()
    if case.kind == "sngan":
        return make.SnganGenerator(case.z, case.width, 0).double(), make.SnganDiscriminator(case.width, 0).double()
    widths, blocks_ = [2 * case.width, 2 * case.width, case.width], [1, 1, 1]
    return make.Generator(case.z, widths, blocks_).double(), make.Discriminator(widths, blocks_).double()


def spread(case, name, p):
    """Mean and standard deviation of a fresh parameter."""
    if name.endswith("ias"):
        return 0.0, 0.0
    if case.kind == "dcgan":  # Radford 2015
        return (1.0 if p.dim() == 1 else 0.0), 0.02
    if case.kind == "sngan":
        return (1.0 if p.dim() == 1 else 0.0), 0.0
    fan_in = p[0].numel()
    if ".LinearLayer3." in name:  # Huang 2024: a block starts as the identity
        return 0.0, 0.0
    if ".LinearLayer1." in name or ".LinearLayer2." in name:
        return 0.0, math.sqrt(2 / 1.04) * 3**-0.25 / math.sqrt(fan_in)
    return 0.0, (1.0 if name.endswith("Basis") else fan_in**-0.5)


def fnv(name):
    """FNV-1a."""
    stream = 0x811C9DC5
    for byte in name.encode():
        stream = (stream ^ byte) * 0x01000193 & 0xFFFFFFFF
    return stream


def initialise(case, letter, net):
    """Normal numbers of the stream that FNV-1a makes of the name, in the engine's layout, rounded to float32."""
    for name, p in net.named_parameters():
        stream = fnv(f"{letter}.{name}")
        mean, std = spread(case, name, p)
        values = mean + std * normals(case.seed, stream, 0xFFFFFFFF, p.numel())
        if case.kind == "sngan" and p.dim() > 1:  # Glorot & Bengio 2010; two convolutions of a block with a gain of the root of 2
            window = p[0, 0].numel()
            bound = math.sqrt(6 / (window * (p.shape[0] + p.shape[1])))
            bound *= math.sqrt(2) if name.rsplit(".", 2)[-2] in ("c1", "c2") else 1
            values = bound * (2 * uniforms(case.seed, stream, 0xFFFFFFFF, p.numel()) - 1)
        values = values.astype(np.float32).astype(np.float64)
        if p.dim() == 4:  # [Kh, Kw, in, out] there
            values = values.reshape(*p.shape[2:], p.shape[1], p.shape[0]).transpose(3, 2, 0, 1)
        elif p.dim() == 2:  # [in, out] there
            values = values.reshape(p.shape[1], p.shape[0]).T
        p.data = torch.from_numpy(np.ascontiguousarray(values).reshape(p.shape))
    for name, b in net.named_buffers():
        if name.endswith("weight_u"):  # about of length 1
            values = normals(case.seed, fnv(f"{letter}.{name}"), 0xFFFFFFFF, b.numel()) / math.sqrt(b.numel())
            b.data = torch.from_numpy(values.astype(np.float32).astype(np.float64))
        if name.endswith("weight_v"):
            b.zero_()


# ---- optimisation
class Adam:
    """Kingma & Ba 2015 where the betas may change: the bias is corrected by the products of those used so far."""

    def __init__(self, net):
        self.params = dict(net.named_parameters())
        self.m = {k: torch.zeros_like(p) for k, p in self.params.items()}
        self.v = {k: torch.zeros_like(p) for k, p in self.params.items()}
        self.products = [1.0, 1.0]

    def step(self, gradients, lr, betas, eps):
        self.products = [product * beta for product, beta in zip(self.products, betas)]
        c1, c2 = (1 - product for product in self.products)
        with torch.no_grad():
            for (k, p), g in zip(self.params.items(), gradients):
                self.m[k].mul_(betas[0]).add_((1 - betas[0]) * g)
                self.v[k].mul_(betas[1]).add_((1 - betas[1]) * g * g)
                p -= lr * (self.m[k] / c1) / ((self.v[k] / c2).sqrt() + eps)


def check_adam():
    """The same as PyTorch's while the betas stay."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 4).double(), nn.Linear(5, 4).double()
    theirs.load_state_dict(ours.state_dict())
    adam, reference = Adam(ours), torch.optim.Adam(theirs.parameters(), 3e-3, (0.5, 0.99), eps=1e-4)
    for _ in range(7):
        gradients = [torch.randn_like(p) for p in ours.parameters()]
        for p, g in zip(theirs.parameters(), gradients):
            p.grad = g.clone()
        adam.step(gradients, 3e-3, (0.5, 0.99), 1e-4)
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(a, b, rtol=1e-13, atol=0), (a, b)


def cosine(start, end, t):
    """From start at t = 0 to end at t = 1, and end from there on."""
    end = start if end is None else end
    return end if t >= 1 else end + (start - end) * (1 + math.cos(math.pi * t)) / 2


# ---- the iteration
D_LOSS = {
    "hinge": lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    "ns": lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    "wgan": lambda real, fake: fake.mean() - real.mean(),
    "rpgan": lambda real, fake: F.softplus(-(real - fake)).mean(),
}
G_LOSS = {
    "hinge": lambda real, fake: -fake.mean(),
    "ns": lambda real, fake: F.softplus(-fake).mean(),
    "wgan": lambda real, fake: -fake.mean(),
    "rpgan": lambda real, fake: F.softplus(real - fake).mean(),
}


def attacked(case, d, real, step, row):
    """PGD (Madry 2018) from a random point of the ball, against D in evaluation mode."""
    nhwc = [case.batch, case.size, case.size, 3]
    u = uniforms(case.seed, ATTACK, step, real.numel()).reshape(nhwc).transpose(0, 3, 1, 2)
    x = (real + case.attack_eps * (2 * torch.from_numpy(u.copy()) - 1)).clamp(-1, 1)
    for module in d.modules():
        module.training = False
    for _ in range(case.attack_steps):
        x = x.requires_grad_()
        logits = d(x)
        harm = -logits
        row["attack_loss"] = harm.mean().item()
        (g,) = torch.autograd.grad(harm.sum(), x)
        row["attack_frozen"] = (g.flatten(1).abs().sum(1) == 0).double().mean().item()
        moved = x.detach() + case.attack_alpha * g.sign()
        x = (real + (moved - real).clamp(-case.attack_eps, case.attack_eps)).clamp(-1, 1)
    for module in d.modules():
        module.training = True
    return x.detach()


def iterate(case, step, images, g, d, adam_g, adam_d, ema):
    """One iteration; returns what it logs."""
    row = {}
    paired = case.loss == "rpgan"
    latents = lambda stream: torch.from_numpy(
        normals(case.seed, stream, step, case.batch * case.z).reshape(case.batch, case.z)
    )
    # Progress is counted in real images shown before this iteration; the burn-in is given in images too.
    t = step * case.batch / case.burn_in if case.burn_in else 0.0
    lr, beta2 = cosine(case.lr, case.lr_final, t), cosine(case.beta2, case.beta2_final, t)
    if case.linear:  # down to 0 after so many images
        lr = case.lr * (1 - step * case.batch / case.linear)
    r1, r2 = cosine(case.r1, case.gamma_final, t), cosine(case.r2, case.gamma_final, t)

    # Discriminator.
    real = batch(case, images, DATA_D, step, step)
    if case.attack_steps:
        real = attacked(case, d, real, step, row)
    # The engine's convention: G normalises by the batch here as in its own step, and its running statistics move in that alone.
    statistics = {name: value.clone() for name, value in g.named_buffers()}
    made = g(latents(Z_D))
    real, fake = real.requires_grad_(), made.detach().requires_grad_()
    d_real, d_fake = d(real), d(fake)
    loss = D_LOSS[case.loss](d_real, d_fake)
    row |= {"d_loss": loss.item(), "d_real": d_real.mean().item(), "d_fake": d_fake.mean().item()}
    k = case.penalty_every
    if step % k == 0:
        penalties = {}
        if case.r1:
            penalties["r1"] = make.penalty(d_real, real, k * r1)
        if case.r2:
            penalties["r2"] = make.penalty(d_fake, fake, k * r2)
        if case.gp:
            alpha = torch.from_numpy(uniforms(case.seed, PENALTY, step, case.batch)).view(-1, 1, 1, 1)
            between = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
            (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
            penalties["gp"] = k * case.gp * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        row |= {name: value.item() for name, value in penalties.items()}
        loss = loss + sum(penalties.values())
    gradients = torch.autograd.grad(loss, list(d.parameters()))
    row["d_grad_norm"] = sum(v.square().sum() for v in gradients).item()
    c = k / (k + 1) if k > 1 else 1.0  # StyleGAN2's lazy regularisation
    adam_d.step(gradients, lr * c * case.lr_d_scale, (case.beta1**c, beta2**c), case.eps)

    # Generator, through the discriminator as it now is.
    if (step + 1) % case.n_critic:
        g.load_state_dict(statistics, strict=False)
        return row
    d_real = None
    if paired:
        made, d_real = g(latents(Z_G)), d(batch(case, images, DATA_G, step, step // case.n_critic))
    loss = G_LOSS[case.loss](d_real, d(made))
    gradients = torch.autograd.grad(loss, list(g.parameters()))
    row |= {"g_loss": loss.item(), "g_grad_norm": sum(v.square().sum() for v in gradients).item()}
    adam_g.step(gradients, lr, (case.beta1, beta2), case.eps)
    # Half of the average goes in min(half-life, ramp x images seen) images; this step stands for n_critic batches.
    span = min(case.half_life, case.ramp * (step + 1) * case.batch)
    decay = 0.5 ** (case.n_critic * case.batch / span) if span else 0.0
    for name, p in g.named_parameters():
        ema[name] = decay * ema[name] + (1 - decay) * p.detach()
    return row


class Dcgan(nn.Module):
    """Reads latents [N, Z] and gives logits [N, 1]; names stay those of the Sequential inside."""

    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, x):
        y = self.main(x if x.dim() == 4 else x[:, :, None, None])
        return y.flatten(1) if y.shape[-1] == 1 else y


def summary(tensor):
    """Sum, norm, and projections on two vectors of uniform numbers around 0."""
    flat = tensor.detach().flatten()
    u = uniforms(77, 1, 0, 2 * flat.numel()).reshape(2, -1) - 0.5
    return torch.cat([torch.stack([flat.sum(), flat.norm()]), torch.from_numpy(u) @ flat])


def trajectory(case, noise=0.0, draw=0):
    """Rows of the log and the final state; `noise` is the relative error of the initial weights."""
    nets = networks(case)
    g, d = (Dcgan(net["main"]) for net in nets) if case.kind == "dcgan" else nets
    initialise(case, "G", g)
    initialise(case, "D", d)
    errors = torch.Generator().manual_seed(draw)
    for p in [*g.parameters(), *d.parameters()]:
        p.data *= 1 + noise * torch.randn(p.shape, generator=errors, dtype=torch.float64)
    ema = {name: p.detach().clone() for name, p in g.named_parameters()}
    adams, images = [Adam(g), Adam(d)], data_set(case.size)
    rows = [iterate(case, step, images, g, d, *adams, ema) for step in range(STEPS)]
    return rows, g, d, adams, ema


def ending(end):
    """Summaries of final tensors as a row of a log, in units of the tensors' sizes: what the last iteration moves shows there alone."""
    row = {}
    for name, value in end.items():
        total, norm, *projections = summary(value.contiguous()).tolist()
        parts = [total / value.numel() ** 0.5, *projections]
        row |= {f"{name} {i}": 1 + part / max(norm, 1e-300) for i, part in enumerate(parts)} | {f"{name} norm": norm}
    return row


def conditioning(rows, again, noise=1e-6, draws=6):
    """How far rounding moves the log: the largest change by errors of a few units in the last place of float32. `again` gives the
    log of initial weights with such errors, of (their relative size, which draw of them).

    A kink that lies within rounding (an activation or a gradient's sign near 0) may fall either way, and ten steps later all
    numbers differ in the third place: such a seed makes no golden."""
    worst = 0.0
    for draw in range(draws):
        moved = again(noise, draw)
        for name in {name: None for row in rows for name in row}:
            pairs = [(a[name], b[name]) for a, b in zip(rows, moved) if name in a]
            mean = sum(abs(a) for a, _ in pairs) / len(pairs) or 1.0  # a count of nothing stays nothing
            worst = max([worst, *(abs(a - b) / max(abs(a), mean) for a, b in pairs)])
    return worst


def run(case):
    rows, g, d, adams, ema = trajectory(case)
    out = {}
    for name in {name: None for row in rows for name in row}:
        out[f"log {name}"] = torch.tensor([row.get(name, math.nan) for row in rows], dtype=torch.float64)
    for letter, net, adam in (("G", g, adams[0]), ("D", d, adams[1])):
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                out[f"end {letter}.{name}"] = summary(value)
        for name in adam.params:
            out[f"end adam.m.{letter}.{name}"] = summary(adam.m[name])
            out[f"end adam.v.{letter}.{name}"] = summary(adam.v[name])
    for name, value in ema.items():
        out[f"end ema.G.{name}"] = summary(value)
    save(case, "trainer", out, conditioning(rows, lambda noise, draw: trajectory(case, noise, draw)[0]))


def save(case, stem, out, moved):
    """Writes a golden file, unless rounding moves its log."""
    assert moved < 5e-5, f"{case.name}: rounding moves the log by {moved:.1e}; choose another seed"
    path = pathlib.Path(__file__).parent / f"{stem}_{case.name}.safetensors"
    save_file({k: v.contiguous() for k, v in out.items()}, path, {"seed": str(case.seed)})
    print(f"{path}: {path.stat().st_size} bytes; rounding moves the log by {moved:.1e}")
    for name in sorted(k for k in out if k.startswith("log ")):
        print(f"  {name[4:]:12}", " ".join(f"{v:.4g}" for v in out[name].tolist()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    check_philox()
    check_adam()
    for count in (1, 2, 3, 17, IMAGES, 1000):
        assert sorted(permuted(5, 6, p, count) for p in range(count, 2 * count)) == list(range(count))
    for case in CASES:
        run(case)
