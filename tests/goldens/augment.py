"""Augmentation, against PyTorch: every transform of DiffAugment (Zhao 2020) and of the pipe of ADA (Karras 2020), from the published
formulas, with raw random numbers that the file holds, and gradients of a random projection of each.

The warp is that of the publication: mirrored margin, symlet filters around a grid twice as fine, affine_grid and grid_sample. Two things are
pinned here that the publication leaves to the batch or to other draws: the margin is the largest it may choose (side - 1), and an angle is
that of two normal numbers instead of a uniform one. What the margin changes is printed. Alone, `blit` copies pixels as they are, as its
definition says; the published code sends it through the filters too.

    python tests/goldens/augment.py      # writes tests/goldens/augment.safetensors
"""

import numpy as np
import pywt
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
N, SIDE = 4, 24
rng = np.random.default_rng(7)


def upfirdn(x, taps, up, down, pad, flip):
    """A separable filter on [N,C,H,W]: zeros inserted, padded or cropped, convolved (correlated where `flip`), decimated."""
    n, c, h, w = x.shape
    spread = torch.zeros(n, c, h, up, w, up)
    spread[:, :, :, 0, :, 0] = x
    x = F.pad(spread.reshape(n, c, h * up, w * up), [max(pad[0], 0), max(pad[1], 0)] * 2)
    x = x[:, :, max(-pad[0], 0) : x.shape[2] - max(-pad[1], 0), max(-pad[0], 0) : x.shape[3] - max(-pad[1], 0)]
    f = torch.as_tensor(taps)
    f = (f if flip else f.flip(0)).reshape(1, 1, -1)
    x = F.conv2d(x, f.unsqueeze(2).repeat(c, 1, 1, 1), groups=c)
    x = F.conv2d(x, f.unsqueeze(3).repeat(c, 1, 1, 1), groups=c)
    return x[:, :, ::down, ::down]


def matrix(*rows):
    """A batch of matrices of rows of tensors and numbers."""
    size = next(v for row in rows for v in row if isinstance(v, torch.Tensor)).shape[0]
    full = [[v if isinstance(v, torch.Tensor) else torch.full([size], float(v)) for v in row] for row in rows]
    return torch.stack([torch.stack(row, -1) for row in full], -2)


def translate(x, y):
    return matrix([1, 0, x], [0, 1, y], [0, 0, 1])


def scale(x, y):
    return matrix([x, 0, 0], [0, y, 0], [0, 0, 1])


def rotate(angle):
    return matrix([angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1])


def of(v):
    return torch.full([N], float(v))


def inverse_map(on, u, v, p, width, height):
    """The map from output to input in pixels from the middle, published order."""
    g = torch.eye(3).repeat(N, 1, 1)
    fires = lambda column, p=p: u[:, column] < p
    angle = lambda a, b: torch.atan2(v[:, b], v[:, a])
    if "blit" in on:
        i = torch.where(fires(1), torch.floor(u[:, 0] * 2), of(0))
        g = g @ scale(1 / (1 - 2 * i), of(1))
        i = torch.where(fires(3), torch.floor(u[:, 2] * 4), of(0))
        g = g @ rotate(np.pi / 2 * i)
        t = torch.where(fires(6)[:, None], (u[:, 4:6] * 2 - 1) * 0.125, torch.zeros(N, 2))
        g = g @ translate(-torch.round(t[:, 0] * width), -torch.round(t[:, 1] * height))
    if "geom" in on:
        s = torch.where(fires(7), torch.exp2(v[:, 0] * 0.2), of(1))
        g = g @ scale(1 / s, 1 / s)
        p_rot = 1 - np.sqrt(np.clip(1 - p, 0, 1))
        g = g @ rotate(torch.where(fires(8, p_rot), angle(1, 2), of(0)))
        s = torch.where(fires(9), torch.exp2(v[:, 3] * 0.2), of(1))
        g = g @ scale(1 / s, s)
        g = g @ rotate(torch.where(fires(10, p_rot), angle(4, 5), of(0)))
        t = torch.where(fires(11)[:, None], v[:, 6:8] * 0.125, torch.zeros(N, 2))
        g = g @ translate(-t[:, 0] * width, -t[:, 1] * height)
    return g


def warp(x, g, margin):
    """`margin` [x0, y0, x1, y1], or None for the published choice by the corners of the whole batch."""
    n, c, height, width = x.shape
    f = np.array(pywt.Wavelet("sym6").dec_lo)
    f = f / f.sum()
    reach = len(f) // 4
    if margin is None:
        cx, cy = (width - 1) / 2, (height - 1) / 2
        corners = torch.tensor([[-cx, -cy, 1.0], [cx, -cy, 1], [cx, cy, 1], [-cx, cy, 1]])
        seen = (g @ corners.T)[:, :2].permute(1, 0, 2).flatten(1)
        m = torch.cat([-seen, seen]).max(dim=1).values + torch.tensor([reach * 2 - cx, reach * 2 - cy] * 2)
        m = m.clamp(min=0).min(torch.tensor([width - 1.0, height - 1.0] * 2))
        margin = [int(v) for v in m.ceil()]
    x0, y0, x1, y1 = margin
    x = F.pad(x, [x0, x1, y0, y1], mode="reflect")
    g = translate(of((x0 - x1) / 2), of((y0 - y1) / 2)) @ g
    x = upfirdn(x, f * 2, 2, 1, [(len(f) + 1) // 2, (len(f) - 2) // 2], False)
    g = scale(of(2), of(2)) @ g @ scale(of(0.5), of(0.5))
    g = translate(of(-0.5), of(-0.5)) @ g @ translate(of(0.5), of(0.5))
    shape = [n, c, (height + reach * 2) * 2, (width + reach * 2) * 2]
    g = scale(of(2 / x.shape[3]), of(2 / x.shape[2])) @ g @ scale(of(shape[3] / 2), of(shape[2] / 2))
    grid = F.affine_grid(g[:, :2], shape, align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return upfirdn(x, f, 1, 2, [-reach * 2 + (len(f) - 1) // 2, -reach * 2 + (len(f) - 2) // 2], True)


def colours(x, u, v, p):
    c = torch.eye(4).repeat(N, 1, 1)
    fires = lambda column: u[:, column] < p
    axis = torch.tensor([1.0, 1, 1, 0]) / np.sqrt(3)
    eye, outer = torch.eye(4), torch.outer(axis, axis)
    b = torch.where(fires(12), v[:, 8] * 0.2, of(0))
    c = matrix([1, 0, 0, b], [0, 1, 0, b], [0, 0, 1, b], [0, 0, 0, 1]) @ c
    s = torch.where(fires(13), torch.exp2(v[:, 9] * 0.5), of(1))
    c = matrix([s, 0, 0, 0], [0, s, 0, 0], [0, 0, s, 0], [0, 0, 0, 1]) @ c
    i = torch.where(fires(15), torch.floor(u[:, 14] * 2), of(0))[:, None, None]
    c = (eye - 2 * outer * i) @ c
    channels = x.shape[1]
    if channels > 1:
        angle = torch.where(fires(16), torch.atan2(v[:, 11], v[:, 10]), of(0))
        (vx, vy, vz), s, k = axis[:3].tolist(), angle.sin(), angle.cos()
        cc = 1 - k
        c = matrix(
            [vx * vx * cc + k, vx * vy * cc - vz * s, vx * vz * cc + vy * s, 0],
            [vy * vx * cc + vz * s, vy * vy * cc + k, vy * vz * cc - vx * s, 0],
            [vz * vx * cc - vy * s, vz * vy * cc + vx * s, vz * vz * cc + k, 0],
            [0, 0, 0, 1],
        ) @ c
        s = torch.where(fires(17), torch.exp2(v[:, 12]), of(1))[:, None, None]
        c = (outer + (eye - outer) * s) @ c
    flat = x.reshape(N, channels, -1)
    if channels == 3:
        return (c[:, :3, :3] @ flat + c[:, :3, 3:]).reshape(x.shape)
    c = c[:, :3].mean(dim=1, keepdim=True)
    return (flat * c[:, :, :3].sum(dim=2, keepdim=True) + c[:, :, 3:]).reshape(x.shape)


def filter_bank():
    lo = np.array(pywt.Wavelet("sym2").dec_lo)
    hi = lo * (-1.0) ** np.arange(lo.size)
    lo2, hi2 = np.convolve(lo, lo[::-1]) / 2, np.convolve(hi, hi[::-1]) / 2
    bank = np.eye(4, 1)
    for i in range(1, 4):
        bank = np.dstack([bank, np.zeros_like(bank)]).reshape(4, -1)[:, :-1]
        bank = np.stack([np.convolve(row, lo2) for row in bank])
        bank[i, (bank.shape[1] - hi2.size) // 2 : (bank.shape[1] + hi2.size) // 2] += hi2
    return torch.as_tensor(bank)


def bands(x, u, v, p):
    bank = filter_bank()
    power = torch.tensor([10.0, 1, 1, 1]) / 13
    g = torch.ones(N, 4)
    for i in range(4):
        t = torch.ones(N, 4)
        t[:, i] = torch.where(u[:, 18 + i] < p, torch.exp2(v[:, 13 + i]), of(1))
        g = g * t / (power * t.square()).sum(dim=-1, keepdim=True).sqrt()
    c = x.shape[1]
    taps = (g @ bank).unsqueeze(1).repeat(1, c, 1).reshape(N * c, 1, -1)
    reach = bank.shape[1] // 2
    y = F.pad(x.reshape(1, N * c, *x.shape[2:]), [reach] * 4, mode="reflect")
    y = F.conv2d(y, taps.unsqueeze(2), groups=N * c)
    y = F.conv2d(y, taps.unsqueeze(3), groups=N * c)
    return y.reshape(x.shape)


def corrupted(x, on, u, v, noise, p):
    fires = lambda column: (u[:, column] < p).reshape(N, 1, 1, 1)
    if "noise" in on:
        x = x + noise * torch.where(fires(22), v[:, 17].abs().reshape(N, 1, 1, 1) * 0.1, torch.zeros(N, 1, 1, 1))
    if "cutout" in on:
        size = torch.where(fires(23), torch.full([N, 1, 1, 1], 0.5), torch.zeros(N, 1, 1, 1))
        cx, cy = u[:, 24].reshape(N, 1, 1, 1), u[:, 25].reshape(N, 1, 1, 1)
        height, width = x.shape[2:]
        far_x = ((torch.arange(width).reshape(1, 1, 1, -1) + 0.5) / width - cx).abs() >= size / 2
        far_y = ((torch.arange(height).reshape(1, 1, -1, 1) + 0.5) / height - cy).abs() >= size / 2
        x = x * torch.logical_or(far_x, far_y).to(x.dtype)
    return x


SETS = {name: [name] for name in ["blit", "geom", "color", "filter", "noise", "cutout"]}
for n, name in enumerate(["bg", "bgc", "bgcf", "bgcfn", "bgcfnc"], 2):
    SETS[name] = list(SETS)[:n]


def copied(x, u, p):
    """Flips, quarter turns and whole shifts without any resampling: pixels are copied as they are (Karras 2020, section 2.2)."""
    out = []
    for image, u in zip(x, u, strict=True):
        down, right = [int(torch.round((2 * u[k] - 1) * 0.125 * SIDE)) if u[6] < p else 0 for k in [5, 4]]
        image = F.pad(image[None], [SIDE - 1] * 4, mode="reflect")[0]
        image = image.flip(2) if u[1] < p and u[0] >= 0.5 else image
        image = torch.rot90(image, int(torch.floor(4 * u[2])) if u[3] < p else 0, [1, 2])
        image = torch.roll(image, [down, right], [1, 2])
        out.append(image[:, SIDE - 1 : 2 * SIDE - 1, SIDE - 1 : 2 * SIDE - 1])
    return torch.stack(out)


def pipe(name, x, u, v, noise, p, margin="largest"):
    on = SETS[name]
    if on == ["blit"]:
        x = copied(x, u, p)
    elif "blit" in on or "geom" in on:
        height, width = x.shape[2:]
        largest = [width - 1, height - 1, width - 1, height - 1]
        x = warp(x, inverse_map(on, u, v, p, width, height), largest if margin == "largest" else None)
    x = colours(x, u, v, p) if "color" in on else x
    x = bands(x, u, v, p) if "filter" in on else x
    return corrupted(x, on, u, v, noise, p)


def diffaugment(name, x, u):
    for word in name.split(","):
        n, _, height, width = x.shape
        one = lambda column: u[:, column].reshape(n, 1, 1, 1)
        whole = lambda column, count: torch.floor(u[:, column] * count).long()
        if word == "color":
            x = x + (one(0) - 0.5)
            grey = x.mean(dim=1, keepdim=True)
            x = (x - grey) * (one(1) * 2) + grey
            mean = x.mean(dim=[1, 2, 3], keepdim=True)
            x = (x - mean) * (one(2) + 0.5) + mean
        if word == "translation":
            most = int(height * 0.125 + 0.5), int(width * 0.125 + 0.5)
            down, right = whole(3, 2 * most[0] + 1) - most[0], whole(4, 2 * most[1] + 1) - most[1]
            batch, rows, columns = torch.meshgrid(torch.arange(n), torch.arange(height), torch.arange(width), indexing="ij")
            rows = torch.clamp(rows + down[:, None, None] + 1, 0, height + 1)
            columns = torch.clamp(columns + right[:, None, None] + 1, 0, width + 1)
            x = F.pad(x, [1, 1, 1, 1]).permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)
        if word == "cutout":
            size = int(height * 0.5 + 0.5), int(width * 0.5 + 0.5)
            down, right = whole(5, height + 1 - size[0] % 2), whole(6, width + 1 - size[1] % 2)
            batch, rows, columns = torch.meshgrid(torch.arange(n), torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
            rows = torch.clamp(rows + down[:, None, None] - size[0] // 2, 0, height - 1)
            columns = torch.clamp(columns + right[:, None, None] - size[1] // 2, 0, width - 1)
            mask = torch.ones(n, height, width)
            mask[batch, rows, columns] = 0
            x = x * mask.unsqueeze(1)
    return x


def numbers(shape, kind):
    """Numbers that 32 bits hold exactly."""
    raw = rng.random(shape) if kind == "uniform" else rng.standard_normal(shape)
    return torch.as_tensor(raw.astype(np.float32).astype(np.float64))


def smooth(channels):
    """Images with something to see: a few waves."""
    y, x = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
    a = numbers([N, channels, 4], "normal")[..., None, None] * 2
    image = torch.sin(a[:, :, 0] * 3 * x + a[:, :, 1] * 3 * y + a[:, :, 2]) * torch.cos(a[:, :, 3] * 2 * (x - y))
    return torch.as_tensor((0.9 * image).numpy().astype(np.float32).astype(np.float64))


def main():
    u, v = numbers([N, 26], "uniform"), numbers([N, 18], "normal")
    file = {"uniform": u, "normal": v}
    for channels in [3, 1]:
        x, noise = smooth(channels), numbers([N, channels, SIDE, SIDE], "normal")
        weights = numbers([N, channels, SIDE, SIDE], "normal")
        nhwc = lambda t: t.detach().permute(0, 2, 3, 1)
        if channels == 3:
            file |= {"x3": nhwc(x), "noise3": nhwc(noise), "weights3": nhwc(weights)}
        else:
            file |= {"x1": nhwc(x), "noise1": nhwc(noise), "weights1": nhwc(weights)}
        cases = [(name, 1.0) for name in SETS] + [("bgcfnc", 0.5)] if channels == 3 else [("bgcfnc", 1.0), ("bgcfnc", 0.6)]
        made = {f"{name} {p}": (lambda x, name=name, p=p: pipe(name, x, u, v, noise, p)) for name, p in cases}
        words = ["color", "translation", "cutout", "color,translation,cutout"]
        made |= {f"diff {name}": (lambda x, name=name: diffaugment(name, x, u)) for name in words}
        for name, f in made.items():
            image = x.clone().requires_grad_()
            out = f(image)
            (gradient,) = torch.autograd.grad((out * weights).sum(), image)
            # One image whole, and of all what adds up.
            key = f"{name} {channels}"
            file[f"{key} out"] = nhwc(out)[:1]
            file[f"{key} gradient"] = nhwc(gradient)[:1]
            file[f"{key} sums"] = torch.stack([out.sum(dim=[1, 2, 3]), (out * weights).sum(dim=[1, 2, 3]), (gradient * weights).sum(dim=[1, 2, 3])])
        if channels == 3:
            for name in ["blit", "geom", "bg"]:
                chosen, largest = (pipe(name, x, u, v, noise, 1.0, margin) for margin in ["published", "largest"])
                off = (chosen - largest).abs()
                print(f"{name}: the margin changes {off.mean():.2e} a pixel, {(off > 1e-3).double().mean():.2%} of pixels by over 1e-3")
    save_file({k: np.ascontiguousarray(t.detach().numpy().astype(np.float32)) for k, t in file.items()}, "tests/goldens/augment.safetensors")


if __name__ == "__main__":
    main()
