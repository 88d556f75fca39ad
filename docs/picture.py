"""Draw docs/demo.svg, the picture of the README: one set of points and one of digits, as systems of several families see them.

Run by hand from the root of the project: `python docs/picture.py` (about two minutes on two cores).
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

import pushforward as pf
from pushforward.data import toys

SEED = 0


def main() -> None:
    x = toys.pinwheel(4000, seed=SEED)
    axis = np.linspace(-4.5, 4.5, 160)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.7), layout="constrained")
    mixture = pf.GaussianMixture(components=16).fit(x, seed=SEED, quiet=True)
    flow = pf.MAF(transforms=4, hidden=(64, 64), scalar="spline", reach=4.0).fit(x, steps=1500, seed=SEED, quiet=True)
    gan = pf.GAN().fit(x, steps=3000, seed=SEED, quiet=True)
    vae = pf.VAE(latent=8, hidden=(256,)).fit(pf.data.load("digits"), steps=2500, seed=SEED, quiet=True)
    for place, (title, model) in zip(axes[1:3], (("GaussianMixture", mixture), ("MAF", flow)), strict=True):
        place.imshow(
            np.exp(model.log_prob(grid)).reshape(160, 160) ** 0.5,
            origin="lower",
            extent=(-4.5, 4.5, -4.5, 4.5),
            cmap="cividis",
        )
        place.set_title(f"{title}: density")
    for place, title, points in ((axes[0], "data", x[:1500]), (axes[3], "GAN: samples", gan.sample(1500, seed=SEED))):
        place.scatter(*points.T, s=1.5, color="#0072b2" if place is axes[0] else "#d55e00", rasterized=True)
        place.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal", title=title)
    codes = np.random.default_rng(SEED).normal(size=(36, 8))
    framed = np.pad(np.asarray(vae.decode(codes)), ((0, 0), (1, 1), (1, 1)))
    digits = framed.reshape(6, 6, 10, 10).transpose(0, 2, 1, 3).reshape(60, 60)
    axes[4].imshow(digits, cmap="gray")
    axes[4].set_title("VAE: decoded noise")
    for place in axes:
        place.set(xticks=[], yticks=[])
    figure.savefig(Path(__file__).parent / "demo.svg", dpi=110, metadata={"Date": None})


if __name__ == "__main__":
    main()
