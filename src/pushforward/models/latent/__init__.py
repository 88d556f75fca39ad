"""Explicit latent variables: p(x) = ∫ p(x | z) p(z) dz. One line a system; below, systems with the settings of a paper."""

from .vae import VAE as VAE

PRESETS = {
    # Xu et al., NeurIPS 2019, section 4.6, and the authors' program: the fit weighs twice as much as the KL, Adam 1e-3 with decay 1e-5, batch 500,
    # 300 epochs, codes of 128. Here a number has a mixture of Gaussians given z; there one is chosen beforehand and told apart by a code.
    "TVAE": {
        "system": "VAE",
        "fields": {"latent": 128, "hidden": (128, 128), "net": "mlp", "beta": 0.5, "number": "mixture"},
        "recipe": {
            "optimizer": "adam",
            "lr": 1e-3,
            "decay": 1e-5,
            "batch": 500,
            "epochs": 300,
            "ema": 0.0,
            "schedule": "constant",
            "patience": 0,
        },
        "about": "The autoencoder for tables with the hyper-parameters of its paper (Xu et al. 2019): closer samples for a looser bound.",
    },
}
