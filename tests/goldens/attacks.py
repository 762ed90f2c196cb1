"""Makes attacks_model.safetensors and attacks_*.safetensors beside it: a small trained network, and what independent implementations
of attacks (torchattacks 3.5.1, foolbox 3.3.4) find on it.

usage: python tests/goldens/attacks.py [model] [FAMILY ...]
       (needs torch, torchattacks, foolbox, pillow, safetensors; the files in the repository came from torch 2.15, CPU)

The network tells apart digits drawn with Pillow's built-in font, shifted, turned, scaled and under noise: 12 x 12 grey pixels. It is
trained here in float32 and attacked in float64. Images are x = byte / 127.5 - 1 inside this project; the attacks of these libraries
work on [0, 1], where every length is half as long. `model` trains it anew (and then every family has to be made again); without a
name every family is made.

attacks_model: NAME float32 (weights under nn.Sequential's names), images uint8 [N,1,12,12], labels uint8 [N]
attacks_FAMILY: NAME float32 [COUNT,144]: examples in [-1, 1] of the first COUNT images
                NAME success float64 [1]: share of all N images that an attack with random parts fools
                NAME pixels float64 [1]: pixels that it changes, the mean over examples that fool
                NAME size float64 [M]: sizes, in units of [-1, 1], of the changes of the first M images
"""
import itertools
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
SIDE, IMAGES, COUNT = 12, 64, 12


def digits(count, seed):
    """Images uint8 [count,1,12,12] and their labels."""
    rng = np.random.default_rng(seed)
    font = ImageFont.load_default(size=40)
    images, labels = [], []
    for k in range(count):
        label = k % 10
        page = Image.new("L", (64, 64), 0)
        draw = ImageDraw.Draw(page)
        draw.text((32, 32), str(label), fill=255, font=font, anchor="mm")
        page = page.rotate(rng.uniform(-15, 15), Image.BICUBIC, translate=tuple(rng.integers(-6, 7, 2).tolist()))
        margin = int(rng.integers(8, 15))
        page = page.crop((margin, margin, 64 - margin, 64 - margin)).resize((SIDE, SIDE), Image.BILINEAR)
        pixels = np.asarray(page, dtype=np.float64) * rng.uniform(0.6, 1.0) + rng.normal(20, 12, (SIDE, SIDE))
        images.append(np.clip(pixels.round(), 0, 255).astype(np.uint8))
        labels.append(label)
    return torch.from_numpy(np.stack(images)[:, None]), torch.tensor(labels)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(144, 10),
    )


def train():
    torch.manual_seed(0)
    images, labels = digits(8000, 1)
    x = images.float() / 127.5 - 1
    net = network()
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(1500):
        at = torch.randint(0, len(x), (128,))
        loss = F.cross_entropy(net(x[at]), labels[at])
        adam.zero_grad()
        loss.backward()
        adam.step()
    test, truth = digits(2000, 2)
    right = net(test.float() / 127.5 - 1).argmax(1) == truth
    print(f"accuracy {right.float().mean():.4f}")
    # Every class, and only what it gets right: attacks begin there.
    kept = torch.nonzero(right).flatten()[:IMAGES]
    save("model", {**net.state_dict(), "images": test[kept], "labels": truth[kept].to(torch.uint8)})


class Unit(nn.Module):
    """The network on images in [0, 1], as these libraries want it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(2 * x - 1)


def load():
    """(model on [0, 1], images in [0, 1], labels), in float64."""
    arrays = load_file(HERE / "attacks_model.safetensors")
    net = network()
    net.load_state_dict({k: v for k, v in arrays.items() if "." in k})
    return Unit(net).double().eval(), arrays["images"].double() / 255, arrays["labels"].long()


def save(name, arrays):
    path = HERE / f"attacks_{name}.safetensors"
    save_file({k: v.detach().contiguous() for k, v in arrays.items()}, path)
    print(path.name, path.stat().st_size, "bytes")


def examples(adversarial):
    """Images of [0, 1] as they are stored."""
    return (2 * adversarial - 1).flatten(1).float()


def success(model, adversarial, labels):
    share = (model(adversarial).argmax(1) != labels).double().mean()
    return share.reshape(1)


def gradient():
    """Attacks that follow the gradient: paths of radius 0.1 of [0, 1] (0.2 inside), shares of radius 0.04, or 0.5 in the Euclidean norm."""
    import torchattacks as ta

    model, images, labels = load()
    few, truth = images[:COUNT], labels[:COUNT]
    out = {
        "fgsm": ta.FGSM(model, eps=0.1)(few, truth),
        "bim": ta.BIM(model, eps=0.1, alpha=0.02, steps=7)(few, truth),
        "pgd": ta.PGD(model, eps=0.1, alpha=0.025, steps=8, random_start=False)(few, truth),
        "pgd2": ta.PGDL2(model, eps=1.5, alpha=0.4, steps=8, random_start=False, eps_for_division=1e-30)(few, truth),
        "mifgsm": ta.MIFGSM(model, eps=0.1, alpha=0.02, steps=6, decay=1.0)(few, truth),
    }
    out = {k: examples(v) for k, v in out.items()}
    torch.manual_seed(0)
    eps, length = 0.04, 0.5
    seeds = itertools.count()  # these libraries seed themselves
    chance = {
        "noise": lambda: torch.clamp(images + eps * (2 * torch.rand_like(images) - 1), 0, 1),
        "fgsm": lambda: ta.FGSM(model, eps=eps)(images, labels),
        "rfgsm": lambda: ta.RFGSM(model, eps=eps, alpha=eps / 2, steps=1)(images, labels),
        "ffgsm": lambda: ta.FFGSM(model, eps=eps, alpha=1.25 * eps)(images, labels),
        "pgd": lambda: ta.PGD(model, eps=eps, alpha=eps / 8, steps=20)(images, labels),
        "pgd2": lambda: ta.PGDL2(model, eps=length, alpha=length / 8, steps=20)(images, labels),
        "mifgsm": lambda: ta.MIFGSM(model, eps=eps, alpha=eps / 10, steps=10)(images, labels),
        "apgd-ce": lambda: ta.APGD(model, eps=eps, steps=20, seed=next(seeds))(images, labels),
        "apgd-dlr": lambda: ta.APGD(model, eps=eps, steps=20, loss="dlr", seed=next(seeds))(images, labels),
        "apgd-t": lambda: ta.APGDT(model, eps=eps, steps=20, n_classes=10, seed=next(seeds))(images, labels),
    }
    for name, attack in chance.items():
        shares = [success(model, attack(), labels) for _ in range(20)]
        out[f"{name} success"] = torch.stack(shares).mean(0)
        print(name, float(out[f"{name} success"]))
    save("gradient", out)


class Grey(nn.Module):
    """A network of grey images on three equal channels: tifgsm of torchattacks knows no other number."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.mean(1, keepdim=True))


def tifgsm(model, eps, alpha, steps):
    """The attack without the random resizing that the library adds to it."""
    import torchattacks as ta

    attack = ta.TIFGSM(Grey(model), eps=eps, alpha=alpha, steps=steps, decay=0.0, diversity_prob=0.0)
    kernel = torch.from_numpy(attack.gkern(15, 3))
    attack.stacked_kernel = torch.stack([kernel] * 3)[:, None]
    return lambda images, labels: attack(images.expand(-1, 3, -1, -1), labels)[:, :1]


def shares(chance, runs):
    """Success of attacks with random parts, the mean of some runs."""
    model, images, labels = load()
    torch.manual_seed(0)
    np.random.seed(0)
    out = {}
    for name, attack in chance.items():
        found = [success(model, attack(images, labels), labels) for _ in range(runs)]
        out[f"{name} success"] = torch.stack(found).mean(0)
        print(name, float(out[f"{name} success"]))
    return out


def transfer():
    """Attacks that follow more than one gradient: paths of radius 0.1 of [0, 1], shares of radius 0.04."""
    import torchattacks as ta

    model, images, labels = load()
    few, truth = images[:COUNT], labels[:COUNT]
    path = dict(eps=0.1, alpha=0.02, steps=6)
    out = {
        "nifgsm": ta.NIFGSM(model, **path)(few, truth),
        "sinifgsm": ta.SINIFGSM(model, **path)(few, truth),
        "tifgsm": tifgsm(model, **path)(few, truth),
        "upgd": ta.UPGD(model, **path)(few, truth),
    }
    out = {k: examples(v) for k, v in out.items()}
    eps = 0.04
    even, long = dict(eps=eps, alpha=eps / 10, steps=10), dict(eps=eps, alpha=eps / 4, steps=10)
    chance = {
        "nifgsm": ta.NIFGSM(model, **even),
        "sinifgsm": ta.SINIFGSM(model, **even),
        "vmifgsm": ta.VMIFGSM(model, N=20, **even),
        "vnifgsm": ta.VNIFGSM(model, N=20, **even),
        "difgsm": ta.DIFGSM(model, **even),
        "tifgsm": tifgsm(model, **even),
        "tpgd": ta.TPGD(model, **long),
        "eotpgd": ta.EOTPGD(model, eot_iter=2, **long),
        "upgd": ta.UPGD(model, **long),
        "jitter": ta.Jitter(model, **long),
        "pgd-rs": ta.PGDRS(model, noise_sd=0.12, noise_batch_size=8, **long),
    }
    save("transfer", {**out, **shares(chance, 40)})


def query():
    """Attacks that ask for outputs alone: radius 0.04 of [0, 1] where there is one."""
    import torchattacks as ta

    model, images, labels = load()
    # It seeds torch itself, and with 0 in each run.
    square = lambda seed: ta.Square(model, eps=0.04, n_queries=200, seed=seed, loss="margin")
    seeds = iter(range(10))
    chance = {
        "square": lambda x, y: square(next(seeds))(x, y),
        "spsa": ta.SPSA(model, eps=0.04, nb_iter=5, nb_sample=128),
    }
    out = shares(chance, 10)
    pixels = {
        "onepixel": ta.OnePixel(model, pixels=1, steps=9, popsize=66, inf_batch=1024),
        "pixle": ta.Pixle(model, restarts=20, max_iterations=10),
    }
    save("query", {**out, **shares(pixels, 3)})


def sparse():
    """Attacks that change few pixels: jsma towards the class after the label, and how many pixels sparsefool changes where it fools."""
    import torchattacks as ta

    model, images, labels = load()
    # Untargeted, this one goes for the next class.
    jsma = ta.JSMA(model, theta=1.0, gamma=0.1)(images, labels)
    found = ta.SparseFool(model, steps=10)(images, labels)
    fooled = model(found).argmax(1) != labels
    changed = ((found - images).flatten(1).abs() > 1e-9).sum(1)[fooled].double().mean()
    reached = (model(jsma).argmax(1) == (labels + 1) % 10).double().mean()
    out = {
        "jsma": examples(jsma[:COUNT]),
        "jsma success": reached.reshape(1),
        "sparsefool success": success(model, found, labels),
        "sparsefool pixels": changed.reshape(1),
    }
    print({k: float(v) for k, v in out.items() if v.numel() == 1})
    save("sparse", out)


def sizes(adversarial, images, norm):
    """Sizes of the changes in units of [-1, 1]."""
    change = (adversarial - images).flatten(1).double()
    return 2 * (change.abs().amax(1) if norm == "Linf" else change.norm(dim=1))


def projected_fmn():
    """foolbox's Euclidean FMN with the projection of its paper: the library's divides a length by itself, and so projects nothing."""
    from foolbox.attacks import L2FMNAttack

    class Projected(L2FMNAttack):
        def project(self, x, x0, epsilon):
            change = (x - x0).raw
            length = change.flatten(1).norm(dim=1).clamp(min=1e-12)
            shrink = (epsilon.raw / length).clamp(max=1).view(-1, 1, 1, 1)
            return x0 + (x - x0) * type(x)(shrink)

    return Projected


def fab_sizes(model, images, labels, norm, steps):
    """Smallest changes that torchattacks' FAB finds over the nine classes; it attacks in float32. The library itself stops at the first
    class that succeeds within a radius."""
    import torchattacks as ta

    class Single(nn.Module):
        def forward(self, x):
            return model(x.double()).float()

    fab = ta.FAB(Single(), norm=norm, eps=10.0, steps=steps, multi_targeted=True, n_classes=10)
    best = torch.full((len(images),), float("inf"), dtype=torch.float64)
    for fab.target_class in range(2, 11):
        found = fab.attack_single_run_targeted(images.float(), labels).double()
        fools = model(found).argmax(1) != labels
        best = torch.where(fools, torch.minimum(best, sizes(found, images, norm)), best)
    return best


def fab():
    """Smallest changes of torchattacks' untargeted FAB (the authors' code): one search from the image, and the best of that and two that set
    out from random points half of the radius away. It attacks in float32."""
    import torchattacks as ta

    model, images, labels = load()

    class Single(nn.Module):
        def forward(self, x):
            return model(x.double()).float()

    def search(norm, eps, anew):
        attack = ta.FAB(Single(), norm=norm, eps=eps, steps=50, n_classes=10)
        found = attack.attack_single_run(images.float(), labels, use_rand_start=anew).double()
        fools = model(found).argmax(1) != labels
        return torch.where(fools, sizes(found, images, norm), torch.full_like(fools, float("inf"), dtype=torch.float64))

    torch.manual_seed(0)
    out = {}
    for name, norm, eps in [("inf", "Linf", 0.05), ("2", "L2", 0.5)]:
        once = search(norm, eps, False)
        several = torch.stack([once, search(norm, eps, True), search(norm, eps, True)]).amin(0)
        out |= {f"{name} size": once, f"{name} restarts size": several}
    for name, value in out.items():
        print(name, "median", float(value.median()), "mean", float(value.mean()))
    save("fab", out)


def lbfgs_sizes(model, images, labels):
    """Szegedy's attack image by image with SciPy's L-BFGS-B: towards the nearest other class, c from .01 tenfold up to 1e4, then five
    bisections."""
    from scipy.optimize import minimize

    out = []
    for image, label in zip(images, labels):
        with torch.no_grad():
            logits = model(image[None])[0].clone()
        logits[label] = -1e30
        target = logits.argmax()[None]

        def run(c):
            def objective(flat):
                x = torch.tensor(flat.reshape(image.shape), requires_grad=True)
                loss = c * F.cross_entropy(model(x[None]), target) + ((x - image) ** 2).sum()
                (gradient,) = torch.autograd.grad(loss, x)
                return loss.item(), gradient.numpy().ravel()

            start = image.numpy().ravel()
            end = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * start.size, options={"maxfun": 60})
            x = torch.tensor(end.x.reshape(image.shape))
            fools = (model(x[None]).argmax(1) != label).item()
            return (2 * (x - image).norm().item()) if fools else float("inf")

        lower, upper, best, c, bisections = 0.0, None, float("inf"), 0.01, 0
        while bisections <= 5 and c < 2e4:
            size = run(c)
            best = min(best, size)
            lower, upper = (lower, c) if size < float("inf") else (c, upper)
            # The first success counts as well: five follow it.
            bisections += upper is not None
            c = 10 * c if upper is None else (lower + upper) / 2
        out.append(best)
    return torch.tensor(out, dtype=torch.float64)


def minimal():
    """Attacks that look for the smallest change."""
    import foolbox as fb
    import torchattacks as ta

    model, images, labels = load()
    few, truth = images[:COUNT], labels[:COUNT]
    box = fb.PyTorchModel(model, bounds=(0, 1), device="cpu")

    def foolbox(attack, x=few, y=truth, target=None):
        criterion = fb.criteria.Misclassification(y) if target is None else fb.criteria.TargetedMisclassification(target)
        found = attack.run(box, x, criterion)
        # Where nothing is found, some of them give back zeros: here it is the image.
        fools = criterion(found, model(found)).view(-1, 1, 1, 1)
        return torch.where(fools, found, x)

    carlini = fb.attacks.L2CarliniWagnerAttack
    net = {"binary_search_steps": 9, "abort_early": False, "regularization": 1e-3}
    adversarial = {
        "deepfool": foolbox(fb.attacks.L2DeepFoolAttack()),
        "cw2": foolbox(carlini(steps=40, abort_early=False)),
        "cw2 targeted": foolbox(carlini(steps=40, abort_early=False), target=(truth + 3) % 10),
        "ead": foolbox(fb.attacks.EADAttack(steps=40, decision_rule="EN", **net)),
        "ead-l1": foolbox(fb.attacks.EADAttack(steps=40, decision_rule="L1", **net)),
        "ddn": foolbox(fb.attacks.DDNAttack(steps=30)),
        "ddn targeted": foolbox(fb.attacks.DDNAttack(steps=30), target=(truth + 3) % 10),
        "fmn-inf": foolbox(fb.attacks.LInfFMNAttack(steps=30)),
        "fmn-2": foolbox(projected_fmn()(steps=30)),
    }
    for name, found in adversarial.items():
        size = sizes(found, few, "Linf" if name == "fmn-inf" else "L2")
        print(name, "fooled", float((model(found).argmax(1) != truth).double().mean()), "median", float(size.median()))
    size = {
        "deepfool": sizes(ta.DeepFool(model)(images, labels), images, "L2"),
        "cw2": sizes(ta.CW(model, c=1, steps=200)(images, labels), images, "L2"),
        "fmn-2": sizes(foolbox(fb.attacks.L2FMNAttack(steps=100), images, labels), images, "L2"),
        "fab-inf": fab_sizes(model, images, labels, "Linf", 50),
        "fab-2": fab_sizes(model, images, labels, "L2", 50),
        "lbfgs": lbfgs_sizes(model, few, truth),
    }
    for name, value in size.items():
        print(name, "sizes: median", float(value.median()), "mean", float(value.mean()), "none", int((value == 0).sum()))
    out = {name: examples(found) for name, found in adversarial.items()}
    save("minimal", out | {f"{name} size": value for name, value in size.items()})


FAMILIES = {"gradient": gradient, "transfer": transfer, "query": query, "sparse": sparse, "minimal": minimal, "fab": fab}

if __name__ == "__main__":
    torch.set_num_threads(1)
    asked = sys.argv[1:]
    if "model" in asked or not (HERE / "attacks_model.safetensors").exists():
        train()
    for family in [name for name in asked if name != "model"] or FAMILIES:
        FAMILIES[family]()
