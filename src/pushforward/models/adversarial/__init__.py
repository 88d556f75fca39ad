"""Adversarial models: a generator and a critic, learning from each other. One line a system."""

from .gan import GAN as GAN
from .tabular_gan import TabularGAN as TabularGAN

# Systems that are fields of another, with the hyper-parameters of their papers. Batches are of the whole step: 5 critic steps on 64 examples are 320.
# The papers' numbers of steps are those of images and stand in `about`; averaged weights and schedules that a paper does not have are off.
PRESETS = {
    # Arjovsky, Chintala & Bottou, ICML 2017, algorithm 1: RMSProp, rate 5e-5, clip 0.01, 5 critic steps, batch 64.
    "WGAN": {
        "system": "GAN",
        "fields": {
            "objective": "wasserstein",
            "penalty": "clip",
            "weight": 0.01,
            "lazy": 1,
            "anneal": 1.0,
            "critic_steps": 5,
        },
        "recipe": {"optimizer": "rmsprop", "lr": 5e-5, "beta1": 0.0, "batch": 320, "ema": 0.0, "schedule": "constant"},
        "about": "The Wasserstein GAN with clipped weights (Arjovsky, Chintala & Bottou 2017): the critic's gap is a distance.",
    },
    # Gulrajani et al., NIPS 2017, algorithm 1: Adam 1e-4, betas (0, 0.9), weight 10, 5 critic steps, batch 64; 200,000 steps on CIFAR-10.
    "WGAN-GP": {
        "system": "GAN",
        "fields": {
            "objective": "wasserstein",
            "penalty": "gradient",
            "weight": 10.0,
            "lazy": 1,
            "anneal": 1.0,
            "critic_steps": 5,
        },
        "recipe": {
            "optimizer": "adam",
            "lr": 1e-4,
            "beta1": 0.0,
            "beta2": 0.9,
            "batch": 320,
            "ema": 0.0,
            "schedule": "constant",
        },
        "about": "The Wasserstein GAN with a penalty on the critic's slope (Gulrajani et al. 2017; weight=0.1 in the plane, as there).",
    },
    # Lecture 002 gives the loss and no numbers; the rest is that of Roth et al., NIPS 2017, whose penalty has the same aim: Adam 2e-4, batch 64.
    "GAN-DP": {
        "system": "GAN",
        "fields": {"objective": "minimax", "penalty": "dp", "weight": 2.0, "lazy": 1, "anneal": 1.0},
        "recipe": {
            "optimizer": "adam",
            "lr": 2e-4,
            "beta1": 0.5,
            "beta2": 0.999,
            "batch": 64,
            "ema": 0.0,
            "schedule": "constant",
        },
        "about": "A GAN with a penalty on the slope of its critic's probability at the data (lecture 002, after Roth et al. 2017).",
    },
    # Nowozin, Cseke & Tomioka, NIPS 2016, section 5: Adam 2e-4, beta1 0.5, batch 4096. Any of the six: objective=reverse-kl, pearson, hellinger, js, gan.
    "f-GAN": {
        "system": "GAN",
        "fields": {"objective": "kl", "penalty": "none", "weight": 0.0, "lazy": 1, "anneal": 1.0},
        "recipe": {
            "optimizer": "adam",
            "lr": 2e-4,
            "beta1": 0.5,
            "beta2": 0.999,
            "batch": 4096,
            "ema": 0.0,
            "schedule": "constant",
        },
        "about": "A GAN for an f-divergence, by its variational bound (Nowozin, Cseke & Tomioka 2016); objective= chooses among six.",
    },
    # Huang et al., NeurIPS 2024, CIFAR-10: Adam 2e-4 with betas (0, 0.99), batch 512, noise 64, gamma 0.05 falling to a tenth, weights averaged with
    # a half-life of 5 million images. There the rate falls to a quarter and beta2 rises from 0.9; here both stay.
    "R3": {
        "system": "GAN",
        "fields": {
            "objective": "relativistic",
            "penalty": "r1r2",
            "weight": 0.05,
            "anneal": 0.1,
            "lazy": 1,
            "latent": 64,
        },
        "recipe": {
            "optimizer": "adam",
            "lr": 2e-4,
            "beta1": 0.0,
            "beta2": 0.99,
            "batch": 512,
            "ema": 0.99993,
            "schedule": "constant",
        },
        "about": 'A relativistic GAN with penalties on both sides (Huang et al. 2024, "The GAN is dead; long live the GAN!").',
    },
    # Xu et al., NeurIPS 2019, section 4.4, and the authors' program: WGAN-GP with packs of 10, Adam 2e-4 with betas (0.5, 0.9), decay 1e-6, batch 500,
    # 300 epochs, noise 128, temperature 0.2; half of the critic's units dropped. Here a condition is put in place and not asked for by a loss.
    "CTGAN": {
        "system": "TabularGAN",
        "fields": {
            "objective": "wasserstein",
            "penalty": "gradient",
            "weight": 10.0,
            "lazy": 1,
            "anneal": 1.0,
            "pac": 10,
            "latent": 128,
            "hidden": (256, 256),
            "temperature": 0.2,
            "net": "dense",
            "dropout": 0.5,
        },
        "recipe": {
            "optimizer": "adam",
            "lr": 2e-4,
            "beta1": 0.5,
            "beta2": 0.9,
            "decay": 1e-6,
            "batch": 500,
            "epochs": 300,
            "ema": 0.0,
            "schedule": "constant",
        },
        "about": "The conditional GAN for tables with the hyper-parameters of its paper (Xu et al. 2019).",
    },
}
