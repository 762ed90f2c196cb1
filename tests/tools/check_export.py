"""Compares what `danskin export` writes with the program itself: every kind of network, trained for a moment, loaded into PyTorch
(`examples/pytorch/load.py`, strict) and into onnxruntime (batches of 1, 3 and 64), against `danskin sample` and `danskin eval`.

    python tests/tools/check_export.py [PROGRAM] [NAME ...]

PROGRAM is target/release/danskin unless given; NAMEs choose among the runs. Needs torch, safetensors, numpy, onnx, onnxruntime and
pillow. Exit code 1 where a number differs by more than 1e-3, and by more than a thousandth of how large values are.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "pytorch"))
import load  # noqa: E402

TOLERANCE = 1e-3

SEQUENTIAL_GAN = """
preset = "digits32"
[data]
channels = 3
[model]
kind = "sequential"
z = 16
classes = 5
[model.g]
prefix = "main"
layers = [
    { type = "embedding", classes = 5, dim = 7 }, { type = "linear", out = 96 }, { type = "batch_norm" }, { type = "silu" },
    { type = "reshape", shape = [6, 4, 4] }, { type = "conv_transpose", out = 8, kernel = 3, stride = 2, padding = 1, groups = 2 },
    { type = "batch_norm", eps = 1e-3 }, { type = "leaky_relu", slope = 0.1 }, { type = "upsample", factor = 3, mode = "bilinear" },
    { type = "conv", out = 6, kernel = 4, groups = 2 }, { type = "softplus" }, { type = "upsample", factor = 2 },
    { type = "dropout", p = 0.2 }, { type = "conv", out = 4, kernel = 5, padding = 0 }, { type = "sigmoid" },
    { type = "conv_transpose", out = 3, kernel = 1, stride = 1 }, { type = "tanh" },
]
[model.d]
layers = [
    { type = "conv", out = 8, kernel = 3, stride = 2 }, { type = "relu" }, { type = "max_pool", kernel = 3, stride = 2 },
    { type = "conv", out = 6, kernel = 1 }, { type = "avg_pool", kernel = 2 }, { type = "flatten" }, { type = "linear", out = 12 },
    { type = "tanh" }, { type = "projection", classes = 5 },
]
"""
SEQUENTIAL_C = """
preset = "mnist"
[data]
channels = 3
[model]
kind = "sequential"
[model.c]
layers = [
    { type = "conv", out = 8, kernel = 5, stride = 2, padding = 2 }, { type = "batch_norm" }, { type = "relu" },
    { type = "max_pool", kernel = 3, stride = 1 }, { type = "conv", out = 12, kernel = 3, groups = 4, bias = false },
    { type = "leaky_relu", slope = 0.2 }, { type = "upsample", factor = 2, mode = "bilinear" }, { type = "avg_pool", kernel = 3, stride = 2 },
    { type = "dropout" }, { type = "conv_transpose", out = 6, kernel = 4, stride = 2, padding = 1 }, { type = "softplus" },
    { type = "global_avg_pool" }, { type = "flatten" }, { type = "linear", out = 5 },
]
"""

# name: (preset and settings, network)
SMALL = "--set data.count=300 --set model.g_width=8 --set model.d_width=8 --batch 16 --kimg 0.128"
RUNS = {
    "faces32": (f"faces32 {SMALL}", "g"),
    "faces32-d": (f"faces32 {SMALL}", "d"),
    "faces64": ("faces64 --set data.count=100 --set model.g_width=8 --set model.d_width=8 --batch 8 --kimg 0.032", "g"),
    "faces64-d": ("faces64 --set data.count=100 --set model.g_width=8 --set model.d_width=8 --batch 8 --kimg 0.032", "d"),
    "digits32": (f"digits32 --data DATA --set model.classes=5 {SMALL}", "g"),
    "digits32-d": (f"digits32 --data DATA --set model.classes=5 {SMALL}", "d"),
    "ring8": ("ring8 --kimg 5", "g"),
    "robgan-d": (f"digits32 --data DATA --adversary robgan --set model.classes=5 {SMALL}", "d"),
    "sequential": ("--config gan.toml --data DATA --batch 16 --kimg 0.128", "g"),
    "sequential-d": ("--config gan.toml --data DATA --batch 16 --kimg 0.128", "d"),
    "classifier": ("classifier --set data.count=300 --set model.width=8 --batch 32 --kimg 0.256", "c"),
    "class-head": ("classifier --set data.count=300 --set model.kind=r3gan --set model.d_norm=off --set model.d_width=8 --batch 16 --kimg 0.064", "c"),
    "mnist-cnn": ("mnist --data DATA --set model.width=8 --kimg 0.25", "c"),
    "lenet5": ("mnist --data DATA --set model.kind=lenet5 --kimg 0.5", "c"),
    "lenet5-32": ("mnist --data DATA --set model.kind=lenet5 --set data.size=37 --kimg 0.25", "c"),
    "sequential-c": ("--config classifier.toml --data DATA --kimg 0.25", "c"),
}


def pictures(folder):
    """100 random pictures in five classes."""
    random = np.random.default_rng(0)
    for k in range(100):
        path = folder / f"class{k % 5}" / f"{k:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        spot = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(spot).resize((37, 37), Image.BILINEAR).save(path)


def compare(name, what, found, wanted):
    difference = float(np.abs(np.asarray(found).reshape(wanted.shape) - np.asarray(wanted)).max())
    size = float(np.sqrt(np.square(np.asarray(wanted)).mean()))
    good = difference <= TOLERANCE * min(1.0, size)
    verdict = "ok" if good else "DIFFERS"
    print(f"{name:14} {what:22} {difference:.1e} of values of {size:.1e}  {verdict}", flush=True)
    return good


def check(program, folder, name):
    words, network = RUNS[name]
    run = folder / name

    def danskin(*words):
        subprocess.run([program, *map(str, words)], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    danskin("train", *words.split(), "--device", "host", "--out", run)
    weights, model = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    danskin("export", run, "--network", network, "--safetensors", weights, "--onnx", model)
    numbers = folder / f"{name}-numbers.safetensors"
    if network == "c":
        danskin("eval", run, "--device", "host", "--save-logits", numbers)
    else:
        danskin("sample", run, "--device", "host", "--seeds", "0-63", "--save-latents", numbers, "--out", folder / "grid.png")
    numbers = load_file(numbers)
    torch_network = load.load(weights)
    given = {"g": "latents", "d": "images" if "images" in numbers else "points", "c": "images"}[network]
    rows = {given: numbers[given][:64]}
    if "classes" in numbers and network != "c":
        rows["classes"] = numbers["classes"][:64].long()
    if network == "d":
        # Samples of a generator that has hardly learned are all alike.
        rows[given] = 2 * torch.rand(rows[given].shape, generator=torch.Generator().manual_seed(0)) - 1
    if name == "robgan-d":
        del rows["classes"]
    with torch.no_grad():
        answer = torch_network(*rows.values())
    # The program shows no logits of a GAN's discriminator: there PyTorch and onnxruntime are compared with each other.
    wanted = {"g": lambda: numbers["images" if "images" in numbers else "points"], "d": lambda: answer, "c": lambda: numbers["logits"]}
    wanted = wanted[network]()[:64]
    good = compare(name, "pytorch", answer, wanted) if network != "d" else True
    onnx.checker.check_model(onnx.load(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for batch in (1, 3, 64):
        feed = {key: value[:batch].numpy() for key, value in rows.items()}
        (found,) = session.run(None, feed)
        good &= compare(name, f"onnxruntime, batch {batch}", found, wanted[:batch])
    operators = {}
    for node in onnx.load(model).graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    print(f"{name:14} {operators}")
    return good


def main():
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/danskin").resolve()
    names = sys.argv[2:] or list(RUNS)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pictures(folder / "DATA")
        (folder / "gan.toml").write_text(SEQUENTIAL_GAN)
        (folder / "classifier.toml").write_text(SEQUENTIAL_C)
        good = [check(program, folder, name) for name in names]
    print("all within 1e-3" if all(good) else "some differ")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
