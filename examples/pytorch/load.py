"""Loads what `danskin export RUN --safetensors FILE` wrote into plain torch.nn modules.

    python examples/pytorch/load.py FILE.safetensors [NUMBERS.safetensors]

NUMBERS is what `danskin sample RUN --save-latents` or `danskin eval RUN --save-logits` wrote: the network repeats it, and the
largest difference is printed. Needs torch and safetensors, Python 3.11 or newer.
"""
import sys
import tomllib

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Conditional(nn.Module):
    """A generator that is told the class: a learned vector beside the latents."""

    def __init__(self, generator, classes, z):
        super().__init__()
        self.embedding = nn.Embedding(classes, z)
        for name, child in generator.named_children():
            setattr(self, name, child)
        # Not a child: its modules stand under their own names.
        self.generate = generator.forward

    def forward(self, z, classes):
        return self.generate(torch.cat([z, self.embedding(classes)], 1))


class Projection(nn.Module):
    """A discriminator that is told the class (Miyato & Koyama 2018)."""

    def __init__(self, trunk, classes, features):
        super().__init__()
        self.embedding = nn.Embedding(classes, features)
        for name, child in trunk.named_children():
            setattr(self, name, child)
        self.judge = trunk.judge

    def forward(self, x, classes):
        logit, features = self.judge(x)
        return logit + (self.embedding(classes) * pooled(features)).sum(1, keepdim=True)


class ClassHead(nn.Module):
    """A discriminator that tells classes; with `both`, real or fake first."""

    def __init__(self, trunk, classes, features, both):
        super().__init__()
        self.both = both
        for name, child in trunk.named_children():
            setattr(self, name, child)
        setattr(self, "class", nn.Linear(features, classes))
        self.judge = trunk.judge

    def forward(self, x):
        logit, features = self.judge(x)
        told = getattr(self, "class")(pooled(features))
        return torch.cat([logit, told], 1) if self.both else told


def pooled(features):
    """Features summed over pixels."""
    return features.sum((2, 3)) if features.dim() == 4 else features


class DcganG(nn.Module):
    def __init__(self, size, z, width, channels):
        super().__init__()
        layers, last = [], z
        for stage in range((size // 8).bit_length()):
            out = width * (size // 8 >> stage)
            stride, padding = (1, 0) if stage == 0 else (2, 1)
            layers += [nn.ConvTranspose2d(last, out, 4, stride, padding, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            last = out
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(last, channels, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z[:, :, None, None])


class DcganD(nn.Module):
    def __init__(self, size, width, channels, norm):
        super().__init__()
        layers, last = [], channels
        for stage in range((size // 8).bit_length()):
            out = width << stage
            layers.append(nn.Conv2d(last, out, 4, 2, 1, bias=False))
            if norm and stage > 0:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.LeakyReLU(0.2))
            last = out
        self.main = nn.Sequential(*layers, nn.Conv2d(last, 1, 4, 1, 0, bias=False))
        self.features = last

    def judge(self, x):
        features = self.main[:-1](x)
        return self.main[-1](features).flatten(1), features

    def forward(self, x):
        return self.judge(x)[0]


class MlpNetwork(nn.Module):
    def __init__(self, inputs, hidden, layers, outputs):
        super().__init__()
        modules, last = [], inputs
        for _ in range(layers):
            modules += [nn.Linear(last, hidden), nn.LeakyReLU(0.2)]
            last = hidden
        self.main = nn.Sequential(*modules, nn.Linear(last, outputs))
        self.features = last

    def judge(self, x):
        features = self.main[:-1](x)
        return self.main[-1](features), features

    def forward(self, x):
        return self.main(x)


class Named(nn.Module):
    """A module under a name, as R3GAN's checkpoints have it."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)


class Bias(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.Bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.leaky_relu(x + self.Bias[:, None, None], 0.2)


def layer(inputs, outputs, kernel=1, groups=1):
    return Named(Layer=nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False))


class Block(nn.Module):
    """x + three convolutions."""

    def __init__(self, width):
        super().__init__()
        inner = 2 * width
        self.LinearLayer1, self.NonLinearity1 = layer(width, inner), Bias(inner)
        self.LinearLayer2, self.NonLinearity2 = layer(inner, inner, 3, inner // 16), Bias(inner)
        self.LinearLayer3 = layer(inner, width)

    def forward(self, x):
        y = self.NonLinearity1(self.LinearLayer1.Layer(x))
        y = self.NonLinearity2(self.LinearLayer2.Layer(y))
        return x + self.LinearLayer3.Layer(y)


class Resample(nn.Module):
    """The bilinear filter [1,3,3,1], to twice the side or to half of it, with a 1x1 convolution where widths differ."""

    def __init__(self, inputs, outputs, up):
        super().__init__()
        self.up = up
        if inputs != outputs:
            self.LinearLayer = layer(inputs, outputs)

    def forward(self, x):
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
        if self.up:
            x = self.widened(x)
            w = torch.outer(2 * taps, 2 * taps).expand(x.shape[1], 1, 4, 4)
            return F.conv_transpose2d(x, w, stride=2, padding=1, groups=x.shape[1])
        w = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
        return self.widened(F.conv2d(x, w, stride=2, padding=1, groups=x.shape[1]))

    def widened(self, x):
        return self.LinearLayer.Layer(x) if hasattr(self, "LinearLayer") else x


class GenerativeBasis(nn.Module):
    def __init__(self, z, width):
        super().__init__()
        self.Basis = nn.Parameter(torch.zeros(width, 4, 4))
        self.LinearLayer = nn.Linear(z, width, bias=False)

    def forward(self, z):
        return self.Basis[None] * self.LinearLayer(z)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.Basis = nn.Conv2d(width, width, 4, groups=width, bias=False)
        self.LinearLayer = nn.Linear(width, 1, bias=False)

    def forward(self, x):
        features = self.Basis(x).flatten(1)
        return self.LinearLayer(features), features


def r3gan_widths(size, width):
    stages = (size // 4).bit_length()
    return [width << min(stages - 1 - s, max(stages - 2, 0)) for s in range(stages)]


class R3ganG(nn.Module):
    def __init__(self, size, z, width, blocks, channels):
        super().__init__()
        widths, stages = r3gan_widths(size, width), []
        for stage, w in enumerate(widths):
            first = GenerativeBasis(z, w) if stage == 0 else Resample(widths[stage - 1], w, True)
            stages.append(Named(Layers=nn.Sequential(first, *[Block(w) for _ in range(blocks)])))
        self.MainLayers = nn.ModuleList(stages)
        self.AggregationLayer = layer(widths[-1], channels)

    def forward(self, z):
        for stage in self.MainLayers:
            z = stage.Layers(z)
        return self.AggregationLayer.Layer(z)


class R3ganD(nn.Module):
    def __init__(self, size, width, blocks, channels):
        super().__init__()
        widths = r3gan_widths(size, width)[::-1]
        self.ExtractionLayer = layer(channels, widths[0])
        stages = []
        for w, after in zip(widths, widths[1:] + [None]):
            last = Resample(w, after, False) if after else DiscriminativeBasis(w)
            stages.append(Named(Layers=nn.Sequential(*[Block(w) for _ in range(blocks)], last)))
        self.MainLayers = nn.ModuleList(stages)
        self.features = widths[-1]

    def judge(self, x):
        x = self.ExtractionLayer.Layer(x)
        for stage in self.MainLayers:
            x = stage.Layers(x)
        return x

    def forward(self, x):
        return self.judge(x)[0]


class MnistCnn(nn.Module):
    def __init__(self, size, channels, classes, width):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 5, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 5, padding=2)
        side = -(-(-(-size // 2)) // 2)
        self.fc1 = nn.Linear(2 * width * side * side, 32 * width)
        self.fc2 = nn.Linear(32 * width, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2, ceil_mode=True)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Lenet5(nn.Module):
    def __init__(self, size, channels, classes, width):
        super().__init__()
        scaled = lambda published: -(-published * width // 6)
        padding = 2 if size < 32 else 0
        self.conv1 = nn.Conv2d(channels, width, 5, padding=padding)
        self.conv2 = nn.Conv2d(width, scaled(16), 5)
        side = ((size + 2 * padding - 4) // 2 - 4) // 2
        self.fc1 = nn.Linear(scaled(16) * side * side, scaled(120))
        self.fc2 = nn.Linear(scaled(120), scaled(84))
        self.fc3 = nn.Linear(scaled(84), classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class PreactBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x):
        active = F.relu(self.bn1(x))
        around = self.shortcut(active) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(active)))) + around


class PreactResnet18(nn.Module):
    def __init__(self, channels, classes, width):
        super().__init__()
        self.conv1, last = nn.Conv2d(channels, width, 3, 1, 1, bias=False), width
        for stage in range(4):
            out = width << stage
            blocks = nn.Sequential(PreactBlock(last, out, 1 if stage == 0 else 2), PreactBlock(out, out, 1))
            setattr(self, f"layer{stage + 1}", blocks)
            last = out
        self.bn, self.linear = nn.BatchNorm2d(last), nn.Linear(last, classes)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


class EmbeddingLayer(nn.Embedding):
    """Appends the vector of the class."""

    def forward(self, x, classes):
        return torch.cat([x, super().forward(classes)], 1)


class ProjectionLayer(nn.Linear):
    def __init__(self, features, classes):
        super().__init__(features, 1)
        self.embedding = nn.Embedding(classes, features)

    def forward(self, x, classes):
        return super().forward(x) + (self.embedding(classes) * x).sum(1, keepdim=True)


class Told(nn.Sequential):
    """nn.Sequential, in which some layers are told the class."""

    def forward(self, x, classes=None):
        for module in self:
            told = isinstance(module, (EmbeddingLayer, ProjectionLayer))
            x = module(x, classes) if told else module(x)
        return x


def sequential(description, sample):
    """The network of a list of layers on samples [F] or [C, H, W]."""
    modules, shape = [], list(sample)
    for spec in description["layers"]:
        kind, get = spec["type"], spec.get
        if kind == "conv_transpose" and len(shape) == 1:
            # A row is an image of one pixel.
            shape = [shape[0], 1, 1]
        c = shape[0]
        make = {
            "conv": lambda: nn.Conv2d(
                c, get("out"), get("kernel"), get("stride", 1), get("padding", 0), groups=get("groups", 1), bias=get("bias", True)
            ),
            "conv_transpose": lambda: FromRow(
                c, get("out"), get("kernel"), get("stride", 1), get("padding", 0), groups=get("groups", 1), bias=get("bias", True)
            ),
            "linear": lambda: nn.Linear(c, get("out"), get("bias", True)),
            "batch_norm": lambda: (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(c, get("eps", 1e-5), get("momentum", 0.1)),
            "relu": nn.ReLU,
            "leaky_relu": lambda: nn.LeakyReLU(get("slope", 0.01)),
            "tanh": nn.Tanh,
            "sigmoid": nn.Sigmoid,
            "softplus": nn.Softplus,
            "silu": nn.SiLU,
            "max_pool": lambda: nn.MaxPool2d(get("kernel"), get("stride", get("kernel"))),
            "avg_pool": lambda: nn.AvgPool2d(get("kernel"), get("stride", get("kernel"))),
            "global_avg_pool": lambda: nn.AdaptiveAvgPool2d(1),
            "upsample": lambda: nn.Upsample(scale_factor=get("factor"), mode=get("mode", "nearest")),
            "flatten": nn.Flatten,
            "reshape": lambda: nn.Unflatten(1, get("shape")) if len(shape) == 1 else Reshape(get("shape")),
            "dropout": lambda: nn.Dropout(get("p", 0.5)),
            "embedding": lambda: EmbeddingLayer(get("classes"), get("dim")),
            "projection": lambda: ProjectionLayer(c, get("classes")),
        }[kind]
        modules.append(make().eval())
        with torch.no_grad():
            x, classes = torch.zeros(2, *shape), torch.zeros(2, dtype=torch.long)
            shape = list(Told(modules[-1])(x, classes).shape[1:])
    network = Told(*modules)
    if prefix := description.get("prefix"):
        network = Prefixed(prefix.split("."), network)
    return network


class FromRow(nn.ConvTranspose2d):
    def forward(self, x):
        return super().forward(x[:, :, None, None] if x.dim() == 2 else x)


class Reshape(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)


class Prefixed(nn.Module):
    def __init__(self, names, network):
        super().__init__()
        inner = network if len(names) == 1 else Prefixed(names[1:], network)
        setattr(self, names[0], inner)
        self.apply_inner = inner.forward

    def forward(self, *x):
        return self.apply_inner(*x)


def generator(config, z):
    m, data = config["model"], config["data"]
    if m["kind"] == "dcgan":
        return DcganG(data["size"], z, m["g_width"], data["channels"])
    if m["kind"] == "r3gan":
        return R3ganG(data["size"], z, m["g_width"], m["blocks"], data["channels"])
    return MlpNetwork(z, m["hidden"], m["layers"], 2)


def discriminator(config):
    m, data = config["model"], config["data"]
    if m["kind"] == "dcgan":
        return DcganD(data["size"], m["d_width"], data["channels"], m["d_norm"])
    if m["kind"] == "r3gan":
        return R3ganD(data["size"], m["d_width"], m["blocks"], data["channels"])
    return MlpNetwork(2, m["hidden"], m["layers"], 1)


def build(name, config):
    """The network `name` (G, D or C) of a run's settings."""
    m, data = config["model"], config["data"]
    classes, image = m["classes"], [data["channels"], data["size"], data["size"]]
    if m["kind"] == "sequential":
        plane = data["source"] in ("ring8", "grid25")
        return sequential(m[name.lower()], [m["z"]] if name == "G" else [2] if plane else image)
    if name == "G":
        z = m["z"]
        return Conditional(generator(config, 2 * z), classes, z) if classes else generator(config, z)
    if m["kind"] == "mnist-cnn":
        return MnistCnn(data["size"], data["channels"], classes, m.get("width", 32))
    if m["kind"] == "lenet5":
        return Lenet5(data["size"], data["channels"], classes, m.get("width", 6))
    if m["kind"] == "preact-resnet18":
        return PreactResnet18(data["channels"], classes, m.get("width", 64))
    trunk = discriminator(config)
    if name == "C":
        return ClassHead(trunk, classes, trunk.features, False)
    if config["adversary"]["kind"] == "robgan":
        return ClassHead(trunk, classes, trunk.features, True)
    return Projection(trunk, classes, trunk.features) if classes else trunk


def load(path):
    """The network of an exported file, with its weights, ready to be used."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
    network = build(about["network"], tomllib.loads(about["config"]))
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


def main():
    network = load(sys.argv[1])
    print(f"{sum(p.numel() for p in network.parameters())} parameters")
    if len(sys.argv) < 3:
        return
    numbers = load_file(sys.argv[2])
    made = next(name for name in ("logits", "images", "points") if name in numbers)
    given = [numbers["latents"] if "latents" in numbers else numbers["images"]]
    if "classes" in numbers:
        given.append(numbers["classes"].long())
    with torch.no_grad():
        difference = (network(*given).reshape(numbers[made].shape) - numbers[made]).abs().max()
    print(f"{made}: largest difference {difference:.2e}")


if __name__ == "__main__":
    main()
