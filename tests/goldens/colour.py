"""Makes colour/*.png: images with profiles, and beside each what Pillow's ImageCms (lcms2) makes of it in sRGB.

Run from the root of the repository: python tests/goldens/colour.py
"""
import io, struct, pathlib
import numpy as np
from PIL import Image, ImageCms

OUT = pathlib.Path("tests/goldens/colour")
fixed = lambda v: struct.pack(">i", round(v * 65536))
xyz = lambda v: b"XYZ \0\0\0\0" + b"".join(fixed(x) for x in v)
gamma = lambda g: b"curv\0\0\0\0" + struct.pack(">IH", 1, round(g * 256)) + b"\0\0"
D50 = (0.9642, 1.0, 0.8249)
# Bradford-adapted colorants.
SRGB = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]


def profile(space, tags):
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78
    tags = {b"desc": text + b"\0" * (-len(text) % 4), b"wtpt": xyz(D50), b"cprt": b"text\0\0\0\0none\0\0\0\0", **tags}
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = bytearray(128)
    head[8:12] = bytes([2, 0x10, 0, 0])
    head[12:24] = b"mntr" + space + b"XYZ "
    head[24:36] = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    head[68:80] = b"".join(fixed(v) for v in D50)
    whole = bytes(head) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def rgb(colorants, g):
    tags = {n: xyz(c) for n, c in zip([b"rXYZ", b"gXYZ", b"bXYZ"], colorants)}
    return profile(b"RGB ", {**tags, **{n: gamma(g) for n in [b"rTRC", b"gTRC", b"bTRC"]}})


def main():
    OUT.mkdir(exist_ok=True)
    noise = np.random.default_rng(7).integers(0, 256, (16, 16, 4), np.uint8)
    noise[..., 3] = 255
    cases = {
        "swapped": ("RGB", rgb(SRGB[::-1], 2.2)),
        "adobe": ("RGB", rgb(ADOBE, 2.2)),
        "linear-alpha": ("RGBA", rgb(SRGB, 1.0)),
        "grey": ("L", profile(b"GRAY", {b"kTRC": gamma(1.4)})),
    }
    for name, (mode, icc) in cases.items():
        data = {"RGB": noise[..., :3], "RGBA": noise, "L": noise[..., 0]}[mode]
        picture = Image.fromarray(np.ascontiguousarray(data), mode)
        picture.save(OUT / f"{name}.png", icc_profile=icc)
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        plain = picture.convert("RGB") if mode == "RGBA" else picture
        ImageCms.profileToProfile(plain, source, srgb, outputMode="RGB").save(OUT / f"{name}.srgb.png")


main()
