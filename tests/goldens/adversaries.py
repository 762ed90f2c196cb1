"""Makes the golden files adversary_*.safetensors: ten iterations of a small GAN by PyTorch in float64 under each adversary, fed with
the very random numbers of the engine. tests/it/robust_fidelity.rs holds the trainer against them.

usage: python tests/goldens/adversaries.py [NAME ...]      (needs torch and safetensors; made by torch 2.15, CPU)

Written from the papers, as defences.py; random numbers, batches, Adam and what the files hold are those of trainer.py. PGD on reals is
there.
"""
import dataclasses
import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

import trainer
from defences import CLASSES, SIZE, initialise, labels_of, like_images, like_rows
from trainer import ATTACK, DATA_D, DATA_G, PENALTY, STEPS, Z_D, Z_G, normals, summary, uniforms

ATTACK_FAKES, ATTACK_LATENTS, LIPSCHITZ_REALS, LIPSCHITZ_FAKES = 8, 9, 10, 12


@dataclasses.dataclass
class Case:
    """Numbers of one golden; tests/it/robust_fidelity.rs has the same under the names of the configuration, and reads the seed from
    the file."""

    name: str
    seed: int
    loss: str = "ns"
    eps: float = 2 * 12 / 255
    alpha: float = 2 * 5 / 255
    steps: int = 3
    replays: int = 1
    gp: float = 0.0
    weight: float = 0.0
    last: float = 1.0  # Times D's last weights at the start: where fresh networks are too flat for a penalty on slopes.
    d_norm: bool = True
    classes: int = 0
    lr: float = 1e-3
    z: int = 6
    batch: int = 4
    mirror: bool = False
    betas: tuple = (0.5, 0.99)
    adam_eps: float = 1e-2
    half_life: float = 20.0
    ramp: float = 0.5


CASES = [
    Case("both", 11, "rpgan"),
    Case("latents", 2, eps=0.1, alpha=0.25 / 3),
    Case("free", 3, "wgan", eps=2 * 4 / 255, replays=2, gp=10.0, d_norm=False),
    Case("robgan", 4, classes=CLASSES),
    Case("dat", 5, eps=2 * 60 / 255),
    Case("alr", 6, "wgan", weight=10.0, d_norm=False, last=32),
]


# ---- networks
class Generator(nn.Sequential):
    """Numbered like the list of layers of the test: with classes, the rows of a table stand behind the latents."""

    def __init__(self, case):
        told = 4 if case.classes else 0
        layers = [nn.Linear(case.z + told, 128), nn.Unflatten(1, (8, 4, 4)), nn.BatchNorm2d(8), nn.SiLU()]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(8, 3, 3, padding=1), nn.Tanh()]
        super().__init__(*([nn.Embedding(case.classes, told)] if told else []), *layers)

    def forward(self, z, labels):
        for layer in self:
            z = torch.cat([z, layer(labels)], 1) if isinstance(layer, nn.Embedding) else layer(z)
        return z


def discriminator(case):
    """Without the biases whose gradient would be nothing but rounding: before batch norm, and at the end under a Wasserstein loss."""
    layers = [nn.Conv2d(3, 6, 4, 2, 1), nn.SiLU(), nn.Conv2d(6, 8, 3, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(8)] if case.d_norm else []
    return nn.Sequential(*layers, nn.Tanh(), nn.Flatten(), nn.Linear(8 * 16, 1 + case.classes, bias=False))


# ---- adversaries: networks are in evaluation mode, and constants
def rows(x):
    """Euclidean length of each example."""
    return x.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, *[1] * (x.dim() - 1))


def uphill(harm, x, row, name):
    """The gradient of the summed harm at x; logs the mean, and the share of examples without a gradient."""
    x = x.detach().requires_grad_()
    each = harm(x)
    (g,) = torch.autograd.grad(each.sum(), x)
    row |= {f"{name}_loss": each.mean().item(), f"{name}_frozen": (g.flatten(1).abs().sum(1) == 0).double().mean().item()}
    return g


def pgd(case, x0, x, harm, row, name, boxed=True):
    for _ in range(case.steps):
        x = x + case.alpha * uphill(harm, x, row, name).sign()
        x = x0 + (x - x0).clamp(-case.eps, case.eps)
        x = x.clamp(-1, 1) if boxed else x
    return x


def moved(case, step, g, d, real, fake, z, labels, row):
    """Reals, fakes and latents as the adversary leaves them. Generated images lie in the box, being hyperbolic tangents."""
    like = lambda x: like_images if x.dim() == 4 else like_rows
    ball = lambda stream, x: case.eps * (2 * like(x)(uniforms(case.seed, stream, step, x.numel()), x) - 1)
    # Every loss of D rises where D(x) falls on reals, and where it rises on fakes.
    lower, raise_ = (lambda x: -d(x)[:, 0]), (lambda x: d(x)[:, 0])
    [module.eval() for module in (g, d)]
    if case.name == "both":
        start = [(x + ball(stream, x)).clamp(-1, 1) for x, stream in ((real, ATTACK), (fake, ATTACK_FAKES))]
        real = pgd(case, real, start[0], lower, row, "attack")
        fake = pgd(case, fake, start[1], raise_, row, "attack_fake")
    if case.name == "latents":
        z = pgd(case, z, z + ball(ATTACK_LATENTS, z), lambda z: d(g(z, labels))[:, 0], row, "attack", boxed=False)
    if case.name == "robgan":
        # Liu & Hsieh 2019: from the reals themselves, against both heads. Their code halves both losses of reals in D's step, which
        # makes a fake count twice as much as a real; the paper adds the losses as they are.
        harm = lambda x: F.softplus(-d(x)[:, 0]) + F.cross_entropy(d(x)[:, 1:], labels, reduction="none")
        real = pgd(case, real, real, harm, row, "attack")
    if case.name == "dat":
        # Li 2020: one normalised step each that brings D(x) and D(G(z)) closer, kept in the box before D sees it.
        to = lambda x, harm, name: (x + case.eps * (v := uphill(harm, x, row, name)) / rows(v)).clamp(-1, 1)
        real, fake = to(real, lower, "attack"), to(fake, raise_, "attack_fake")
    [module.train() for module in (g, d)]
    return real.detach(), fake.detach(), z.detach()


def steepness(case, step, d, x, stream):
    """Terjek 2020: slope of D over a random length along the direction that one power step finds. Per example. The code of the paper
    clips probe and far end to the box, before the gradient of the one is taken; the paper knows no box."""
    v = like_images(normals(case.seed, stream, step, x.numel()), x)
    probe = (x + 10 * v / rows(v)).detach().requires_grad_()
    (g,) = torch.autograd.grad((d(probe) - d(x).detach()).abs().sum(), probe)
    length = 0.1 + 9.9 * torch.from_numpy(uniforms(case.seed, stream + 1, step, case.batch))
    there = (x + length.view(-1, 1, 1, 1) * g / rows(g)).detach()
    return (d(x) - d(there)).abs()[:, 0] / length, (g.flatten(1).abs().sum(1) == 0).double()


# ---- the iteration
def discriminate(case, step, replay, d, real, fake, labels, row):
    """Loss of the discriminator, and what of it the change of free training follows."""
    of_real, of_fake = d(real), d(fake)
    plain = loss = trainer.D_LOSS[case.loss](of_real[:, :1], of_fake[:, :1])
    row |= {"d_loss": loss.item(), "d_real": of_real[:, 0].mean().item(), "d_fake": of_fake[:, 0].mean().item()}
    if case.classes:
        told = F.cross_entropy(of_real[:, 1:], labels)
        score = (of_real[:, 1:].argmax(1) == labels).double().mean()
        row |= {"class_loss": told.item(), "robust_accuracy": score.item()}
        loss = loss + told
    if case.gp:
        alpha = torch.from_numpy(uniforms(case.seed, PENALTY, step, case.batch, replay)).view(-1, 1, 1, 1)
        between = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
        (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
        penalty = case.gp * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        row["gp"] = penalty.item()
        loss = loss + penalty
    if case.weight:
        parts = [steepness(case, step, d, x, stream) for x, stream in ((real, LIPSCHITZ_REALS), (fake, LIPSCHITZ_FAKES))]
        penalty = case.weight * sum((slopes - 1).relu().square().mean() for slopes, _ in parts) / 2
        row |= {name: sum(part[i].mean().item() for part in parts) / 2 for i, name in enumerate(["attack_loss", "attack_frozen"])}
        row["alr"] = penalty.item()
        loss = loss + penalty
    return loss, plain


def iterate(case, step, images, g, d, adam_g, adam_d, ema, delta):
    row, fresh = {}, case.loss == "rpgan"
    latents = lambda stream: like_rows(normals(case.seed, stream, step, case.batch * case.z), torch.empty(case.batch, case.z))
    clean, labels, z = trainer.batch(case, images, DATA_D, step, step), labels_of(case, DATA_D, step), latents(Z_D)

    # Discriminator. G normalises by the batch here as in its own step, and its running statistics move in that alone.
    statistics = {name: value.clone() for name, value in g.named_buffers()}
    fake = g(z, labels).detach()
    g.load_state_dict(statistics, strict=False)
    real, fake, chosen = moved(case, step, g, d, clean, fake, z, labels, row)
    if case.name == "latents":
        fake = g(chosen, labels).detach()
        g.load_state_dict(statistics, strict=False)
    # Of several steps on one batch the last one's bias correction serves all: the engine's convention.
    corrected = [product * beta**case.replays for product, beta in zip(adam_d.products, case.betas)]
    for replay in range(case.replays):
        seen = (real + delta).clamp(-1, 1).requires_grad_() if case.name == "free" else real
        loss, plain = discriminate(case, step, replay, d, seen, fake, labels, row)
        if case.name == "free":
            # Zhong 2020, after Shafahi 2019: along the gradient at what D saw.
            (slope,) = torch.autograd.grad(plain, seen, retain_graph=True)
            frozen = (slope.flatten(1).abs().sum(1) == 0).double().mean()
            row |= {"attack_loss": plain.item(), "attack_frozen": frozen.item()}
            delta = (delta + case.eps * slope.sign()).clamp(-case.eps, case.eps)
        gradients = torch.autograd.grad(loss, list(d.parameters()))
        row["d_grad_norm"] = sum(v.square().sum() for v in gradients).item()
        adam_d.products = [product / beta for product, beta in zip(corrected, case.betas)]
        adam_d.step(gradients, case.lr, case.betas, case.adam_eps)

    # Generator, on unperturbed fakes, through the discriminator as it now is.
    d_real = d(trainer.batch(case, images, DATA_G, step, step)) if fresh else None
    of_fake = d(g(latents(Z_G) if fresh else z, labels))
    loss = trainer.G_LOSS[case.loss](d_real, of_fake[:, :1])
    row["g_loss"] = loss.item()
    if case.classes:
        told = F.cross_entropy(of_fake[:, 1:], labels)
        row["g_class_loss"] = told.item()
        loss = loss + told
    gradients = torch.autograd.grad(loss, list(g.parameters()))
    row["g_grad_norm"] = sum(v.square().sum() for v in gradients).item()
    adam_g.step(gradients, case.lr, case.betas, case.adam_eps)
    decay = 0.5 ** (case.batch / min(case.half_life, case.ramp * (step + 1) * case.batch))
    for name, p in g.named_parameters():
        ema[name] = decay * ema[name] + (1 - decay) * p.detach()
    return row, delta


def trajectory(case, noise=0.0, draw=0):
    """Rows of the log and the final state; `noise` is the relative error of the initial weights."""
    g, d = Generator(case).double(), discriminator(case).double()
    errors = torch.Generator().manual_seed(draw)
    for letter, net in (("G", g), ("D", d)):
        initialise(case, letter, net)
        if letter == "D":
            net[-1].weight.data *= case.last
        for p in net.parameters():
            p.data *= 1 + noise * torch.randn(p.shape, generator=errors, dtype=torch.float64)
    ema = {name: p.detach().clone() for name, p in g.named_parameters()}
    adams, images = [trainer.Adam(g), trainer.Adam(d)], trainer.data_set(SIZE)
    delta, log = torch.zeros(case.batch, 3, SIZE, SIZE, dtype=torch.float64), []
    for step in range(STEPS):
        row, delta = iterate(case, step, images, g, d, *adams, ema, delta)
        log.append(row)
    end = {f"ema.G.{name}": value for name, value in ema.items()}
    for letter, net, adam in (("G", g, adams[0]), ("D", d, adams[1])):
        end |= {f"{letter}.{name}": value for name, value in net.state_dict().items() if not name.endswith("tracked")}
        for name in adam.params:
            end |= {f"adam.m.{letter}.{name}": adam.m[name], f"adam.v.{letter}.{name}": adam.v[name]}
    if case.name == "free":
        end["D.delta"] = delta.permute(0, 2, 3, 1)
    return log, end


def conditioning(case, log, end, **options):
    def again(noise, draw):
        log, end = trajectory(case, noise, draw)
        return [*log, trainer.ending(end)]

    return trainer.conditioning([*log, trainer.ending(end)], again, **options)


def run(case):
    log, end = trajectory(case)
    out = {f"end {name}": summary(value.contiguous()) for name, value in end.items()}
    for name in {name: None for row in log for name in row}:
        out[f"log {name}"] = torch.tensor([row.get(name, math.nan) for row in log], dtype=torch.float64)
    trainer.save(case, "adversary", out, conditioning(case, log, end))


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer.check_philox()
    trainer.check_adam()
    for case in CASES:
        if not sys.argv[1:] or case.name in sys.argv[1:]:
            run(case)
