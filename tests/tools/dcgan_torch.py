"""The DCGAN of the preset faces32, trained by PyTorch for a number of seconds, for comparison at equal time.

    python tests/tools/dcgan_torch.py faces.zip SECONDS out.safetensors [SEED]

needs torch, numpy, pillow, safetensors. The averaged generator and the discriminator are written under the names that `danskin import`
reads; `danskin eval` measures them as it does its own.
"""

import io
import sys
import time
import zipfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

SIZE, WIDTH, Z, BATCH = 32, 32, 100, 32
LR, BETAS, HALF_LIFE, RAMP = 2e-4, (0.5, 0.999), 10_000, 0.05


def images(path):
    archive = zipfile.ZipFile(path)
    names = sorted(n for n in archive.namelist() if n.endswith((".jpg", ".jpeg", ".png")))
    load = lambda n: np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB").resize((SIZE, SIZE), Image.BOX))
    return torch.from_numpy(np.stack([load(n) for n in names])).permute(0, 3, 1, 2).contiguous()


def generator():
    w = WIDTH
    up = lambda i, o, s, p: nn.ConvTranspose2d(i, o, 4, s, p, bias=False)
    return nn.Sequential(
        up(Z, 4 * w, 1, 0), nn.BatchNorm2d(4 * w), nn.ReLU(True),
        up(4 * w, 2 * w, 2, 1), nn.BatchNorm2d(2 * w), nn.ReLU(True),
        up(2 * w, w, 2, 1), nn.BatchNorm2d(w), nn.ReLU(True),
        up(w, 3, 2, 1), nn.Tanh(),
    )


def discriminator():
    w = WIDTH
    down = lambda i, o, s, p: nn.Conv2d(i, o, 4, s, p, bias=False)
    return nn.Sequential(
        down(3, w, 2, 1), nn.LeakyReLU(0.2, True),
        down(w, 2 * w, 2, 1), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.2, True),
        down(2 * w, 4 * w, 2, 1), nn.BatchNorm2d(4 * w), nn.LeakyReLU(0.2, True),
        down(4 * w, 1, 1, 0),
    )


def initial(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def main():
    path, seconds, out = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    torch.manual_seed(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    data = images(path)
    g, d, ema = generator().apply(initial), discriminator().apply(initial), generator()
    ema.load_state_dict(g.state_dict())
    g, d = g.to(memory_format=torch.channels_last), d.to(memory_format=torch.channels_last)
    optim = [torch.optim.Adam(n.parameters(), LR, BETAS) for n in (g, d)]
    seen, start = 0, time.perf_counter()
    order = torch.randperm(len(data))
    while time.perf_counter() - start < seconds:
        at = seen % (len(data) - BATCH)
        if at < BATCH:
            order = torch.randperm(len(data))
        real = data[order[at : at + BATCH]].float().div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)
        fake = g(torch.randn(BATCH, Z, 1, 1))
        loss = F.softplus(-d(real)).mean() + F.softplus(d(fake.detach())).mean()
        optim[1].zero_grad(set_to_none=True)
        loss.backward()
        optim[1].step()
        loss = F.softplus(-d(fake)).mean()
        optim[0].zero_grad(set_to_none=True)
        loss.backward()
        optim[0].step()
        seen += BATCH
        beta = 0.5 ** (BATCH / max(min(HALF_LIFE, RAMP * seen), 1e-8))
        with torch.no_grad():
            for a, p in zip(ema.parameters(), g.parameters()):
                a.lerp_(p, 1 - beta)
            for a, b in zip(ema.buffers(), g.buffers()):
                a.copy_(b)
    took = time.perf_counter() - start
    tensors = {f"G.main.{k}": v for k, v in ema.state_dict().items() if v.is_floating_point()}
    tensors |= {f"D.main.{k}": v for k, v in d.state_dict().items() if v.is_floating_point()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, out)
    print(f"{seen / 1000:.1f} kimg in {took:.1f} s: {seen / took:.0f} images per second on {torch.get_num_threads()} threads")


main()
