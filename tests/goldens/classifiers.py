"""Makes classifier_*.safetensors beside it: small classifiers, their outputs and gradients, by PyTorch in float64.

usage: python tests/goldens/classifiers.py      (needs torch and safetensors; the files in the repository came from torch 2.15, CPU)

Arrays as in sequential.py; tests/it/classifiers.rs describes the same networks.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

import sequential


class MnistCnn(nn.Module):
    """The network of the MNIST challenge: extents are kept, windows reach over an odd border (SAME)."""

    def __init__(self, pixels, width, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, width, 5, padding=2), nn.Conv2d(width, 2 * width, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(2 * width * pixels, 32 * width), nn.Linear(32 * width, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2, ceil_mode=True)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Lenet5(nn.Module):
    """A third as wide as published."""

    def __init__(self, pixels, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 2, 5, padding=2), nn.Conv2d(2, 6, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(6 * pixels, 40), nn.Linear(40, 28), nn.Linear(28, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(cout), nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False))

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class PreactResnet18(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.conv1, cin = nn.Conv2d(3, width, 3, 1, 1, bias=False), width
        for stage in range(4):
            cout = width << stage
            blocks = Block(cin, cout, 1 if stage == 0 else 2), Block(cout, cout, 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            cin = cout
        self.bn, self.linear = nn.BatchNorm2d(cin), nn.Linear(cin, classes)

    def forward(self, x):
        x = self.conv1(x)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


class ClassHead(nn.Module):
    """DCGAN's discriminator of 16 x 16 with a second head; its output is both, the real/fake logit first."""

    def __init__(self, width, classes):
        super().__init__()
        trunk = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        trunk += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*trunk, nn.Conv2d(2 * width, 1, 4, 1, 0, bias=False))
        setattr(self, "class", nn.Linear(2 * width, classes))

    def forward(self, x):
        features = self.main[:-1](x)
        return torch.cat([self.main[-1](features).flatten(1), getattr(self, "class")(features.sum((2, 3)))], 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(6)
    pictures = lambda *shape: torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    make = lambda name, net, x: sequential.make(name, net, x, lambda net, x: net(x), "classifier")
    make("mnist_cnn", MnistCnn(4 * 3, 2, 10), pictures(3, 1, 14, 10))
    make("lenet5", Lenet5(1, 7), pictures(2, 3, 12, 13))
    make("preact_resnet18", PreactResnet18(2, 5), pictures(4, 3, 16, 16))
    make("class_head", ClassHead(3, 6), pictures(3, 3, 16, 16))
