"""What PGD costs in torchattacks on this machine's processor, for the networks that `danskin bench attack` measures.

usage: python tests/tools/attack_speed.py [mnist | w5] [--steps 40] [--batch 50] [--threads 2]
       (needs torch and torchattacks; prints medians and minima in milliseconds per batch)

Both sides keep the same protocol: one call apart, two warm-ups, then at least five calls and two seconds.
"""
import argparse
import time

import torch
import torch.nn as nn
import torchattacks


def mnist():
    """The network of the MNIST challenge, on images of 28 x 28."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, 1024),
        nn.ReLU(),
        nn.Linear(1024, 10),
    ), (1, 28, 28)


def w5():
    """A DCGAN's discriminator of 32 x 32 with 32 channels, in evaluation mode; its one logit as two."""

    class Two(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            logit = self.net(x).flatten(1)
            return torch.cat([-logit, logit], 1)

    layers, channels = [nn.Conv2d(3, 32, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)], 32
    for width in [64, 128]:
        layers += [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        channels = width
    layers.append(nn.Conv2d(channels, 1, 4, 1, 0, bias=False))
    return Two(nn.Sequential(*layers)), (3, 32, 32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?", default="mnist", choices=["mnist", "w5"])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net, shape = {"mnist": mnist, "w5": w5}[args.network]()
    net.eval()
    images = torch.rand(args.batch, *shape)
    labels = torch.randint(0, 2, (args.batch,))
    attack = torchattacks.PGD(net, eps=0.05, alpha=0.05 / 16, steps=args.steps)
    for _ in range(3):
        attack(images, labels)
    times = []
    while len(times) < 5 or sum(times) < 2:
        begin = time.perf_counter()
        attack(images, labels)
        times.append(time.perf_counter() - begin)
    times.sort()
    print(f"torchattacks {args.network} batch {args.batch} steps {args.steps}: {1e3 * times[len(times) // 2]:.2f} ms (min {1e3 * times[0]:.2f})")


main()
