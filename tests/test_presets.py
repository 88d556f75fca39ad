"""Presets: systems with the hyper-parameters of papers, under their names."""

import numpy as np
import pytest
from sklearn.base import clone

import pushforward as pf
from pushforward import catalogue
from pushforward.data import toys


@pytest.mark.parametrize("name", catalogue.presets())
def test_a_preset_is_its_system_with_other_fields_and_another_recipe(name):
    preset = catalogue.find(name.lower())
    assert preset is getattr(pf, name.replace("-", "_")) and name not in catalogue.names()
    model = preset(**catalogue.find(preset.system).small)
    assert type(model).__name__ == preset.system and preset.about.endswith(".")
    for field, value in preset.fields_.items():
        assert getattr(model, field) == value or field in catalogue.find(preset.system).small
    for knob, value in preset.recipe_.items():
        assert getattr(model.recipe, knob) == value
    twin = clone(model)
    assert twin.get_params() == model.get_params() and twin.recipe == model.recipe
    model.fit(toys.moons(200), steps=3, quiet=True)
    assert model.sample(4, seed=0).shape == (4, 2) and model._recipe.lr == preset.recipe.lr


def test_a_field_of_a_preset_can_be_changed_and_the_recipe_at_fit():
    name = next(iter(catalogue.presets()))
    model = catalogue.find(name)(latent=3)
    assert model.latent == 3
    model.fit(np.random.default_rng(0).normal(size=(50, 2)), steps=2, lr=0.5, quiet=True)
    assert model._recipe.lr == 0.5


def test_presets_are_suggested():
    (name, *_) = catalogue.presets()
    with pytest.raises(pf.Problem, match="Did you mean"):
        catalogue.find(name[:-1] + "q" if len(name) > 3 else name + "q")
