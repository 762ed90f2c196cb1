"""Makes the golden files defence_*.safetensors: ten iterations of a small classifier by PyTorch in float64 under each optimiser of
torch.optim and each defence, fed with the very random numbers of the engine. tests/it/robust_fidelity.rs holds the trainer against them.

usage: python tests/goldens/defences.py [NAME ...]      (needs torch and safetensors; made by torch 2.15, CPU)

Attacks and losses are written from the papers. Where their authors' code does otherwise, a comment says what and why not. Random
numbers, batches and what the files hold are those of trainer.py.
"""
import dataclasses
import math
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import trainer
from trainer import DATA_D, IMAGES, STEPS, normals, summary, uniforms

SIZE, CLASSES = 8, 3
ADVERSARY = 1000  # The stream of an attack inside a defence.
ATTACK_STEPS = 3


@dataclasses.dataclass
class Case:
    """Numbers of one golden; tests/it/robust_fidelity.rs has the same under the names of the configuration, and reads the seed from
    the file."""

    name: str
    seed: int
    optimiser: str = "sgd"
    lr: float = 0.1
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    defence: str = "none"
    eps: float = 2 * 12 / 255
    alpha: float = 2 * 5 / 255
    warmup: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0
    replays: int = 1
    dropout: float = 0.0
    half_life: float = 20.0
    ramp: float = 0.5
    batch: int = 4
    mirror: bool = False
    rounding: float = 0.0  # Relative errors of what an attack compares: see trajectory.


CASES = [
    Case("sgd", 1, weight_decay=0.02, schedule="steps"),
    Case("nesterov", 2, "nesterov", weight_decay=0.02, schedule="triangle"),
    Case("adam", 3, "adam", lr=3e-3, weight_decay=0.05, schedule="steps"),
    Case("adamw", 4, "adamw", lr=3e-3, weight_decay=0.2, schedule="triangle"),
    Case("pgd", 5, defence="pgd", warmup=24.0),
    Case("fast", 6, defence="fast", schedule="triangle"),
    Case("trades", 27, lr=0.02, defence="trades", beta=6.0, eps=2 * 4 / 255, alpha=2 * 8 / 255),
    Case("mart", 8, defence="mart", beta=5.0),
    Case("free", 17, defence="free", replays=3, dropout=0.25),
    Case("awp", 10, defence="awp", gamma=0.05, weight_decay=0.02),
]


# ---- network
class Dropout(nn.Module):
    """Drops by the engine's random numbers: its stream is the FNV-1a hash of the layer's name with the top bit set."""

    def __init__(self, case, name):
        super().__init__()
        self.case, self.stream, self.step, self.round = case, fnv(f"{name}.dropout") | 1 << 31, 0, 0

    def forward(self, x):
        if not self.training:
            return x
        u = uniforms(self.case.seed, self.stream, self.step, x.numel(), self.round).reshape(x.shape)
        return x * torch.from_numpy((u > self.case.dropout) / (1 - self.case.dropout))


def network(case):
    """Activations and pooling are smooth: no kink of theirs may fall either way by rounding. No bias stands before batch norm: its
    gradient would be nothing but rounding."""
    layers = [nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.SiLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(6, 8, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(8 * 16, 12), nn.Tanh()]
    layers += [Dropout(case, f"C.{len(layers)}")] if case.dropout else []
    return nn.Sequential(*layers, nn.Linear(12, CLASSES)).double()


def fnv(text):
    hash = 0x811C9DC5
    for byte in text.encode():
        hash = (hash ^ byte) * 0x01000193 & 0xFFFFFFFF
    return hash


def initialise(case, letter, net):
    """PyTorch's defaults from numbers of the stream that FNV-1a makes of the name, in the engine's layout, rounded to float32."""
    for layer, module in net.named_modules():
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                continue  # 1 and 0
            stream = fnv(f"{letter}.{layer}.{name}")
            if isinstance(module, nn.Embedding):
                values = normals(case.seed, stream, 0xFFFFFFFF, p.numel())
            else:
                values = (2 * uniforms(case.seed, stream, 0xFFFFFFFF, p.numel()) - 1) * module.weight[0].numel() ** -0.5
            values = values.astype(np.float32).astype(np.float64)
            if p.dim() == 4:  # [Kh, Kw, in, out] there
                values = values.reshape(*p.shape[2:], p.shape[1], p.shape[0]).transpose(3, 2, 0, 1)
            elif isinstance(module, nn.Linear) and p.dim() == 2:  # [in, out] there
                values = values.reshape(p.shape[1], p.shape[0]).T
            p.data = torch.from_numpy(np.ascontiguousarray(values).reshape(p.shape))


def like_images(numbers, x):
    """Numbers in the engine's order, [N, H, W, C], as a tensor like the images."""
    n, c, h, w = x.shape
    return torch.from_numpy(np.ascontiguousarray(numbers.reshape(n, h, w, c).transpose(0, 3, 1, 2)))


def like_rows(numbers, x):
    return torch.from_numpy(numbers.reshape(x.shape).copy())


def labels_of(case, stream, run):
    picks = [trainer.permuted(case.seed, stream, run * case.batch + j, IMAGES) for j in range(case.batch)]
    return torch.tensor([pick % CLASSES for pick in picks])


# ---- optimisers
def optimiser(case, net):
    """Of torch.optim, with its schedule. Nothing is known of the engine's but the places of drops and peak, in iterations."""
    made = {
        "sgd": lambda p: torch.optim.SGD(p, case.lr, case.momentum, weight_decay=case.weight_decay),
        "nesterov": lambda p: torch.optim.SGD(p, case.lr, case.momentum, weight_decay=case.weight_decay, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, case.lr, (0.9, 0.99), 1e-3, case.weight_decay),
        "adamw": lambda p: torch.optim.AdamW(p, case.lr, (0.9, 0.99), 1e-3, case.weight_decay),
    }[case.optimiser](net.parameters())
    # Wong 2020: from 0 up to the peak at iteration 4, down to a tenth of it at the last.
    triangle = lambda step: np.interp(step, [0, 4, STEPS], [0, 1, 0.1])
    schedule = {
        "constant": lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0),
        "steps": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 7], 0.3),
        "triangle": lambda o: torch.optim.lr_scheduler.LambdaLR(o, triangle),
    }[case.schedule](made)
    return made, schedule


# ---- attacks: the network is in evaluation mode, and a constant
def ascend(net, harm, x, x0, eps, alpha):
    """A step along the sign of the gradient of the summed harm, into the ball and the box (Madry 2018)."""
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(harm(net(x)), x)
    moved = x.detach() + alpha * g.sign()
    return (x0 + (moved - x0).clamp(-eps, eps)).clamp(-1, 1)


def attacked(case, net, x0, y, step):
    """What the network learns from, and the radius. None where there is no attack before the step."""
    eps = case.eps * min(1, step * case.batch / case.warmup) if case.warmup else case.eps
    random = lambda of: like_images(of(case.seed, ADVERSARY, step, x0.numel()), x0)
    cross_entropy = lambda z: F.cross_entropy(z, y, reduction="sum")
    net.eval()
    x = None
    if case.defence in ("pgd", "mart", "awp"):
        # A random point of the ball, as Madry 2018; the code of MART and AWP starts a thousandth of [0, 1] away.
        x = (x0 + eps * (2 * random(uniforms) - 1)).clamp(-1, 1)
        # A step is 2.5 radii over the number of steps where none is given: with a warm-up it grows, too.
        alpha = 2.5 * eps / ATTACK_STEPS if case.warmup else case.alpha
        for _ in range(ATTACK_STEPS):
            x = ascend(net, cross_entropy, x, x0, eps, alpha)
    if case.defence == "fast":
        # Wong 2020. Their code for CIFAR-10 moves the start into the box and looks in training mode; that for MNIST does neither.
        x = ascend(net, cross_entropy, x0 + eps * (2 * random(uniforms) - 1), x0, eps, 1.25 * eps)
    if case.defence == "trades":
        # Zhang 2019: a thousandth of [0, 1] away. Their code leaves the start where it is, here it is in the ball and the box.
        p = net(x0).softmax(1).detach()
        # Near the image the gradient is a small difference from p, of which rounding is a large part.
        p *= 1 + case.rounding * like_rows(normals(1, 1, step, p.numel()), p)
        divergence = lambda z: F.kl_div(z.log_softmax(1), p, reduction="sum")
        x = (x0 + (2e-3 * random(normals)).clamp(-eps, eps)).clamp(-1, 1)
        for _ in range(ATTACK_STEPS):
            x = ascend(net, divergence, x, x0, eps, case.alpha)
    net.train()
    return x, eps


# ---- losses
def trades(case, clean, moved, y):
    """Zhang 2019, equation 5 with their batch mean."""
    apart = F.kl_div(moved.log_softmax(1), clean.softmax(1), reduction="batchmean")
    return F.cross_entropy(clean, y) + case.beta * apart


def mart(case, clean, moved, y):
    """Wang 2020, equation 11. The 1.0001 is their code's; there each of the other logarithms has a 1e-12 and 1 - p a 1e-7."""
    p, q = clean.softmax(1), moved.softmax(1)
    of_label = lambda p: p[torch.arange(len(y)), y]
    wrong = q.masked_fill(F.one_hot(y, CLASSES).bool(), 0).max(1).values
    boosted = -of_label(q).log() - (1.0001 - wrong).log()
    apart = (p * (p / q).log()).sum(1)
    return (boosted + case.beta * apart * (1 - of_label(p))).mean()


def perturbed(case, net, x, y):
    """Moves the weights by gamma |w| / |g| g per layer (Wu 2020, equation 10), and returns by what. A proxy looks for it, as in
    their code: its running statistics are nobody's."""
    kept = {name: value.clone() for name, value in net.named_buffers()}
    weights = [p for p in net.parameters() if p.dim() > 1]
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), weights)
    net.load_state_dict(kept, strict=False)
    by = [case.gamma * w.detach().norm() / g.norm() * g for w, g in zip(weights, gradients)]
    with torch.no_grad():
        [w.add_(v) for w, v in zip(weights, by)]
    return list(zip(weights, by))


# ---- the iteration
def iterate(case, step, images, net, made, ema, delta):
    row, score = {}, lambda z: (z.argmax(1) == y).double().mean().item()
    x0, y = trainer.batch(case, images, DATA_D, step, step), labels_of(case, DATA_D, step)
    x, eps = attacked(case, net, x0, y, step)
    for replay in range(case.replays):
        for layer in net:
            if isinstance(layer, Dropout):
                layer.step, layer.round = step, replay
        moved_by = []
        if case.defence in ("trades", "mart"):
            clean, moved = net(x0), net(x)
            loss = {"trades": trades, "mart": mart}[case.defence](case, clean, moved, y)
            row |= {"accuracy": score(clean), "robust_accuracy": score(moved)}
        elif case.defence == "free":
            # Shafahi 2019: one backward pass for weights and images. Their PyTorch code looks through the box, so that pixels at its
            # border stand still; the paper's algorithm has none there, and the change does not wait for a pixel to come back.
            x = (x0 + delta).clamp(-1, 1).requires_grad_()
            moved = net(x)
            loss = F.cross_entropy(moved, y)
            row["robust_accuracy"] = score(moved)
        else:
            if case.defence == "awp":
                moved_by = perturbed(case, net, x, y)
            moved = net(x0 if x is None else x)
            loss = F.cross_entropy(moved, y)
            row["accuracy" if x is None else "robust_accuracy"] = score(moved)
        row["loss"] = loss.item()
        made.zero_grad()
        loss.backward()
        if case.defence == "free":
            delta = (delta + eps * x.grad.sign()).clamp(-eps, eps)
        # Wu 2020, algorithm 1: back before the step is the same as after it; their weight decay is of the moved weights.
        with torch.no_grad():
            [w.sub_(v) for w, v in moved_by]
        if case.defence in ("pgd", "awp"):
            net.eval()
            row["accuracy"] = score(net(x0))
            net.train()
        row["c_grad_norm"] = sum(p.grad.square().sum().item() for p in net.parameters())
        made.step()
        span = min(case.half_life, case.ramp * (step + 1) * case.batch)
        decay = 0.5 ** (case.batch / case.replays / span)
        for name, p in net.named_parameters():
            ema[name] = decay * ema[name] + (1 - decay) * p.detach()
    return row, delta


MOMENTS = {"sgd": {"momentum_buffer": "sgd.m"}, "adam": {"exp_avg": "adam.m", "exp_avg_sq": "adam.v"}}
MOMENTS |= {"nesterov": MOMENTS["sgd"], "adamw": MOMENTS["adam"]}


def trajectory(case, noise=0.0, draw=0):
    """Rows of the log and the final state; `noise` is the relative error of the initial weights."""
    case = dataclasses.replace(case, rounding=0.2 * noise * (-1) ** draw)
    net = network(case)
    initialise(case, "C", net)
    errors = torch.Generator().manual_seed(draw)
    for p in net.parameters():
        p.data *= 1 + noise * torch.randn(p.shape, generator=errors, dtype=torch.float64)
    ema = {name: p.detach().clone() for name, p in net.named_parameters()}
    made, schedule = optimiser(case, net)
    delta, rows = torch.zeros(case.batch, 3, SIZE, SIZE, dtype=torch.float64), []
    for step in range(STEPS):
        row, delta = iterate(case, step, trainer.data_set(SIZE), net, made, ema, delta)
        rows.append(row)
        schedule.step()
    end = {f"C.{name}": value for name, value in net.state_dict().items() if not name.endswith("tracked")}
    for name, p in net.named_parameters():
        end |= {f"{ours}.C.{name}": made.state[p][theirs] for theirs, ours in MOMENTS[case.optimiser].items()}
        end[f"ema.C.{name}"] = ema[name]
    if case.defence == "free":
        end["C.delta"] = delta.permute(0, 2, 3, 1)
    return rows, end


def conditioning(case, log, end, **options):
    def again(noise, draw):
        log, end = trajectory(case, noise, draw)
        return [*log, trainer.ending(end)]

    return trainer.conditioning([*log, trainer.ending(end)], again, **options)


def run(case):
    rows, end = trajectory(case)
    out = {f"end {name}": summary(value.contiguous()) for name, value in end.items()}
    for name in {name: None for row in rows for name in row}:
        out[f"log {name}"] = torch.tensor([row.get(name, math.nan) for row in rows], dtype=torch.float64)
    trainer.save(case, "defence", out, conditioning(case, rows, end))


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer.check_philox()
    for case in CASES:
        if not sys.argv[1:] or case.name in sys.argv[1:]:
            run(case)
