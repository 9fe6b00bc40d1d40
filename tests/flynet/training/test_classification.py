"""Training learns, repeats itself, and leaves BN statistics that fit the weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from flynet_tiny.errors import BadCheckpoint, BadData, Diverged, UsageError
from flynet_tiny.flynet.data.images import ImageSet, digits
from flynet_tiny.flynet.networks.blocks import EcaSoftmax
from flynet_tiny.flynet.networks.bn_statistics import estimate_bn_statistics
from flynet_tiny.flynet.networks.flynet import build
from flynet_tiny.flynet.networks.flynet_config import FlyNetConfig
from flynet_tiny.flynet.training import loop
from flynet_tiny.flynet.training.classification import Teacher, evaluate_classifier, train_classifier
from flynet_tiny.flynet.training.recipe import Distillation, Recipe
from flynet_tiny.flynet.training.settings import TrainingSettings
from flynet_tiny.flynet.training.state import TrainingState

CONFIG = FlyNetConfig(width=0.3, heads=2, resolution=16, classes=10, channels=1)


@pytest.fixture(scope="module")
def small_digits():
    train_set, held_out = digits(16, 1)
    return train_set.first(512), held_out.first(200)


def test_a_short_training_learns_and_reports_every_step(small_digits):
    seen = []
    model, metrics = train_classifier(CONFIG, *small_digits, TrainingSettings(Recipe(epochs=3), seed=0, on_step=seen.append))
    assert [(step.epoch, step.step) for step in seen] == [(epoch, step) for epoch in range(1, 4) for step in range(1, 9)]
    assert {(step.epochs, step.steps) for step in seen} == {(3, 8)}
    assert seen[-1].loss < 0.7 * seen[7].loss
    assert metrics.accuracy > 0.5
    assert metrics.accuracy == evaluate_classifier(model, small_digits[1])
    assert metrics.images == 200
    assert not model.training


def test_the_same_seed_gives_the_same_weights(small_digits):
    recipe = Recipe(epochs=2, batch=32)
    few = small_digits[0].first(64), small_digits[1].first(20)
    settings = TrainingSettings(recipe, seed=3)
    first, second = (train_classifier(CONFIG, *few, settings)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_dropout_draws_anew_in_every_epoch_and_repeats_itself(small_digits):
    """The seed that Dropout draws from, at every step's end: one for each epoch of a training, again the same for the same."""

    def seeds(seed):
        found = {}
        few = small_digits[0].first(64), small_digits[1].first(10)
        settings = TrainingSettings(
            Recipe(epochs=3, batch=32), seed, on_step=lambda s: found.setdefault(s.epoch, torch.initial_seed())
        )
        train_classifier(CONFIG, *few, settings)
        return found

    first = seeds(3)
    assert len(set(first.values())) == len(first) == 3
    assert seeds(3) == first
    assert not set(seeds(4).values()) & set(first.values())


def test_the_temperature_falls_to_the_configurations(small_digits):
    temperatures = []

    def note(module, _):
        if isinstance(module, EcaSoftmax) and module.training:
            temperatures.append(module.temperature)

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        few = small_digits[0].first(128), small_digits[1].first(10)
        model, _ = train_classifier(CONFIG, *few, TrainingSettings(Recipe(epochs=2, batch=32, temperature_start=10.0), seed=0))
    finally:
        handle.remove()
    distinct = list(dict.fromkeys(temperatures))
    assert distinct == sorted(distinct, reverse=True)
    assert len(distinct) == 8
    assert distinct[0] > 9
    assert {module.temperature for module in model.modules() if isinstance(module, EcaSoftmax)} == {1.0}


@pytest.mark.parametrize("recipe", [Recipe(epochs=1, batch=64), Recipe(epochs=9, batch=64)])
def test_weights_that_are_no_numbers_are_no_result(small_digits, recipe):
    """The very last step is followed by no loss that would tell."""
    few = small_digits[0].first(64), small_digits[1].first(20)
    with pytest.raises(Diverged, match=r"diverged in epoch 1 .*lower learning rate"):
        train_classifier(CONFIG, *few, TrainingSettings(replace(recipe, learning_rate=1e30)))


def test_training_starts_from_given_weights(small_digits):
    """The second stage with quantization noise: a learning rate of almost nothing leaves the first stage's weights."""
    few = small_digits[0].first(64), small_digits[1].first(20)
    first = build(CONFIG, seed=9)
    noisy = replace(CONFIG, quantization_levels=6)
    settings = TrainingSettings(Recipe(epochs=1, learning_rate=1e-12, weight_decay=0.0), start=first)
    model, _ = train_classifier(noisy, *few, settings)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, first.get_parameter(name))
    assert model.config.quantization_levels == 6


@pytest.mark.parametrize("images", [2, 40])
def test_data_smaller_than_a_batch_is_one_batch(small_digits, images):
    seen = []
    train_classifier(
        CONFIG, small_digits[0].first(images), small_digits[1].first(5), TrainingSettings(Recipe(epochs=1), on_step=seen.append)
    )
    assert len(seen) == 1


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}])
def test_impossible_recipes_are_usage_errors(options):
    with pytest.raises(UsageError):
        Recipe(**options)


def test_estimated_statistics_are_the_means_over_the_images():
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.25), nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, momentum=0.25)).train()
    model[0].running_mean.fill_(100.0)
    random = np.random.default_rng(0)
    batches = [random.normal(2.0, 3.0, size=(size, 3, 5, 5)).astype(np.float32) for size in (4, 4, 2, 1)]
    estimate_bn_statistics(model, batches)
    counted = batches[:3]  # the last holds a single image
    means = np.average([batch.mean((0, 2, 3)) for batch in counted], 0, weights=[4, 4, 2])
    variances = np.average([batch.var((0, 2, 3), ddof=1) for batch in counted], 0, weights=[4, 4, 2])
    np.testing.assert_allclose(model[0].running_mean, means, rtol=1e-4)
    np.testing.assert_allclose(model[0].running_var, variances, rtol=1e-4)
    assert not any(module.training for module in model.modules())
    assert [module.momentum for module in model if isinstance(module, nn.BatchNorm2d)] == [0.25, 0.25]


def test_the_last_statistics_do_not_depend_on_the_recipes_batch(small_digits, monkeypatch):
    """In batches of few images the variance is too small."""
    sizes = []
    monkeypatch.setattr(loop, "estimate_bn_statistics", lambda model, batches: sizes.extend(len(batch) for batch in batches))
    train_classifier(CONFIG, small_digits[0].first(100), small_digits[1].first(5), TrainingSettings(Recipe(epochs=1, batch=4)))
    assert sizes == [64, 36]


def test_estimation_gives_an_untrained_network_a_signal(small_digits):
    """Without it the first networks' logits are lost in the shrinking of three gates in each block."""
    model = build(CONFIG, seed=0).eval()
    images = torch.from_numpy(small_digits[1].images[:32])
    with torch.no_grad():
        before = model(images).std(0).mean()
        estimate_bn_statistics(model, small_digits[0].first(128).batches(64))
        after = model(images).std(0).mean()
    assert after > 10 * before


def test_estimation_from_nothing_is_refused():
    with pytest.raises(BadData, match="no image"):
        estimate_bn_statistics(build(CONFIG, 0), [])
    with pytest.raises(BadData, match="at least 2"):
        estimate_bn_statistics(build(CONFIG, 0), [np.zeros((1, 1, 16, 16), np.float32)])


def test_images_that_do_not_fit_the_network_are_refused(small_digits):
    good, held_out = small_digits
    settings = TrainingSettings(Recipe())
    with pytest.raises(BadData, match=r"takes \[3, 16, 16\]"):
        train_classifier(FlyNetConfig(width=0.3, resolution=16, classes=10), good, held_out, settings)
    with pytest.raises(BadData, match="classes"):
        train_classifier(FlyNetConfig(width=0.3, resolution=16, classes=4, channels=1), good, held_out, settings)
    with pytest.raises(BadData, match="labelled"):
        train_classifier(CONFIG, ImageSet(good.images, None), held_out, settings)
    with pytest.raises(BadData, match="at least 2 images"):
        train_classifier(CONFIG, good.first(1), held_out, settings)
    with pytest.raises(BadData, match="no labels"):
        evaluate_classifier(build(CONFIG, 0), ImageSet(good.images, None))


def test_a_student_that_agrees_with_its_teacher_has_only_the_labels_loss(small_digits):
    model = build(CONFIG, 0).eval()
    images = torch.from_numpy(small_digits[0].images[:4])
    logits = model(images)
    hard = torch.tensor(2.0)
    assert float(Teacher(model, Distillation(alpha=0.25)).loss(images, logits, hard).detach()) == pytest.approx(1.5, abs=1e-5)
    logits = torch.arange(40.0).reshape(4, 10)
    other = Teacher(lambda _: logits.roll(1, dims=1) * 9, Distillation(temperature=1.0, alpha=1.0)).loss(images, logits, hard)
    assert float(other.detach()) > 1e-3


def lagging(images, count):
    """Few steps with a momentum that needs hundreds: running averages say nothing about the weights yet."""
    return images.first(count), Recipe(epochs=3, batch=64, bn_momentum=0.01)


def test_each_epochs_figure_is_of_the_network_that_would_be_saved(small_digits):
    """As if training had ended there: statistics that fit the weights, and the configuration's temperature."""
    few, recipe = lagging(small_digits[0], 256)
    recipe = replace(recipe, temperature_start=5.0)
    states, models = [], []

    def keep(model, state):
        states.append(state)
        models.append(copy.deepcopy(model))

    trained, metrics = train_classifier(CONFIG, few, small_digits[1], TrainingSettings(recipe, on_epoch=keep))
    for state, model in zip(states, models, strict=True):
        temperatures = {module.temperature for module in model.modules() if isinstance(module, EcaSoftmax)}
        assert (temperatures == {1.0}) == (state.epoch == 3)  # it is measured with the one of inference all the same
        under_way = {name: values.clone() for name, values in model.state_dict().items()}
        model.set_temperature(1.0)
        order = np.random.default_rng((0, 0)).permutation(len(few))
        estimate_bn_statistics(
            model, [few.training_batch(order[i : i + 64], slice(None), 0, 0) for i in range(0, len(order), 64)]
        )
        figure = state.history[-1]["held_out_accuracy"]
        assert figure == evaluate_classifier(model, small_digits[1])
        if state.best.epoch == state.epoch:
            assert figure == state.best.score
            assert all(torch.equal(values, state.best.weights[name]) for name, values in model.state_dict().items())
        model.load_state_dict(under_way)  # with the averages that lag, it would have been another
        assert evaluate_classifier(model, small_digits[1]) < figure
    for name, parameter in trained.named_parameters():
        assert torch.equal(parameter, models[-1].get_parameter(name))
    assert metrics.accuracy == states[-1].history[-1]["held_out_accuracy"] == evaluate_classifier(trained, small_digits[1])


def test_the_best_epoch_is_kept_the_later_of_equals(small_digits, monkeypatch):
    scores = iter([0.2, 0.9, 0.5, 0.9, 0.1])
    monkeypatch.setattr("flynet_tiny.flynet.training.classification.evaluate_classifier", lambda *_: next(scores))
    few = small_digits[0].first(64), small_digits[1].first(5)
    best = []
    train_classifier(CONFIG, *few, TrainingSettings(Recipe(epochs=5), on_epoch=lambda _, state: best.append(state.best)))
    assert [(one.epoch, one.score) for one in best] == [(1, 0.2), (2, 0.9), (2, 0.9), (4, 0.9), (4, 0.9)]
    assert best[1].weights is best[2].weights
    assert not torch.equal(best[1].weights["stem.conv.weight"], best[4].weights["stem.conv.weight"])


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_resumed_training_has_the_best_epoch_of_an_uninterrupted_one(small_digits, stopped):
    """Measuring changes nothing of what trains on; also where the interruption came after the last epoch."""
    few, recipe = lagging(small_digits[0], 128)
    kept = []

    def keep(model, state):
        kept.append((copy.deepcopy(model), TrainingState.from_dict(copy.deepcopy(state.as_dict()))))

    whole, metrics = train_classifier(CONFIG, few, small_digits[1], TrainingSettings(recipe, on_epoch=keep))
    start, resume = kept[stopped - 1]
    settings = TrainingSettings(recipe, start=start, resume=resume, on_epoch=keep)
    resumed, again = train_classifier(CONFIG, few, small_digits[1], settings)
    assert again == metrics
    assert all(torch.equal(resumed.state_dict()[name], values) for name, values in whole.state_dict().items())
    first, last = kept[2][1].best, kept[-1][1].best
    assert (first.epoch, first.score) == (last.epoch, last.score)
    assert all(torch.equal(last.weights[name], values) for name, values in first.weights.items())


def test_a_best_epoch_of_another_network_is_refused(small_digits):
    few, recipe = lagging(small_digits[0], 64)
    kept = []
    settings = TrainingSettings(recipe, on_epoch=lambda m, s: kept.append(s.as_dict()))
    model, _ = train_classifier(CONFIG, few, small_digits[1], settings)
    for damage in (
        lambda best: best["weights"].pop("stem.conv.weight"),
        lambda best: best["weights"].update({"stem.conv.weight": torch.zeros(1)}),
        lambda best: best["weights"].update({"stem.conv.weight": 3}),
    ):
        values = copy.deepcopy(kept[0])
        damage(values["best"])
        with pytest.raises(BadCheckpoint, match="best epoch is of another network"):
            resumed = TrainingSettings(recipe, start=model, resume=TrainingState.from_dict(values))
            train_classifier(CONFIG, few, small_digits[1], resumed)
    for best in (None, {}, {"epoch": "x", "score": 1, "weights": {}}, {"epoch": 1, "score": 0.5, "weights": 7}):
        with pytest.raises(BadCheckpoint, match="state is damaged"):
            TrainingState.from_dict({**kept[0], "best": best})
