"""Laws of every interaction: linear in the probe, and steps that are its adjoint derivatives."""

import pytest
import torch

from ptycho.experiment import Experiment
from ptycho.physics import INTERACTIONS
from ptycho.physics.interaction import Interaction, ThinSample
from ptycho.physics.probe import probe_intensity


class Differentiated(Interaction):
    """A thin sample that leaves its derivatives to the base class."""

    def exit_waves(self, patches, probe):
        return probe * patches.unsqueeze(-3)


class Thick(Interaction):
    """One bounce more than a thin sample, and not holomorphic: probe (o + |o|^2 / 4 + o^2 / 3)."""

    def exit_waves(self, patches, probe):
        several = patches + patches * patches.conj() / 4 + patches.square() / 3
        return probe * several.unsqueeze(-3)


BUILT = {name: build(Experiment(interaction=name)) for name, build in INTERACTIONS.items()}
ALL = BUILT | {"differentiated": Differentiated(), "thick": Thick()}


@pytest.fixture(params=ALL.values(), ids=ALL)
def interaction(request):
    return request.param


@pytest.fixture
def parts(noise):
    """Patches, a probe for each, and a change of their exit waves."""
    return noise(3, 6, 6), noise(3, 2, 6, 6, seed=1), noise(3, 2, 6, 6, seed=2)


def real_product(one, other):
    return torch.vdot(one.flatten(), other.flatten()).real


def slope(function, at, direction, step=1e-4):
    """The derivative along a direction; exact to step^2 for what is curved thrice."""
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


def test_the_exit_wave_is_linear_in_the_probe(interaction, parts):
    patches, probe, other = parts
    together = interaction.exit_waves(patches, (2 - 1j) * probe + other)
    each = [interaction.exit_waves(patches, p) for p in (probe, other)]
    torch.testing.assert_close(together, (2 - 1j) * each[0] + each[1])


def test_the_patch_step_is_the_adjoint_of_the_derivative(interaction, parts, noise):
    patches, probe, change = parts
    direction = noise(3, 6, 6, seed=3)
    left = real_product(
        slope(lambda o: interaction.exit_waves(o, probe), patches, direction), change
    )
    right = real_product(direction, interaction.patch_step(patches, probe, change))
    torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-7)


def test_the_probe_step_is_the_adjoint_of_the_exit_wave(interaction, parts, noise):
    patches, probe, change = parts
    other = noise(3, 2, 6, 6, seed=3)
    left = real_product(interaction.exit_waves(patches, other), change)
    right = real_product(other, interaction.probe_step(patches, probe, change))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)  # float64, 216 terms


def test_one_probe_serves_all_patches(interaction, parts):
    patches, probe, change = parts
    each = probe[:1].expand(probe.shape)
    torch.testing.assert_close(
        interaction.exit_waves(patches, probe[0]), interaction.exit_waves(patches, each)
    )
    torch.testing.assert_close(
        interaction.patch_step(patches, probe[0], change),
        interaction.patch_step(patches, each, change),
    )


def test_further_axes_belong_to_the_batch(interaction, parts):
    patches, probe, _ = parts
    nested = [values.unflatten(0, (1, 3)) for values in parts]
    for method, flat, deep in (
        (interaction.exit_waves, (patches, probe), nested[:2]),
        (interaction.patch_step, parts, nested),
        (interaction.probe_step, parts, nested),
        (interaction.patch_weight, (probe,), nested[1:2]),
    ):
        torch.testing.assert_close(method(*deep), method(*flat)[None])


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_steps_are_the_same_in_whatever_mode_the_caller_runs(interaction, parts, mode):
    expected = [step(*parts) for step in (interaction.patch_step, interaction.probe_step)]
    with mode():
        given = [values.clone() for values in parts]
        found = [step(*given) for step in (interaction.patch_step, interaction.probe_step)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
        assert not one.requires_grad


def test_the_weight_is_the_power_of_the_derivative_at_a_transparent_object(parts):
    """|J d|^2 = sum weight |d|^2 for every thin sample."""
    patches, probe, _ = parts
    for thin in (ThinSample(), Differentiated()):
        seen = thin.exit_waves(patches, probe).abs().square().sum()
        torch.testing.assert_close((thin.patch_weight(probe) * patches.abs().square()).sum(), seen)
        torch.testing.assert_close(thin.patch_weight(probe), probe_intensity(probe))


def test_derivatives_by_differentiation_are_those_in_closed_form(parts):
    for name in ("patch_step", "probe_step"):
        closed, automatic = (getattr(kind(), name)(*parts) for kind in (ThinSample, Differentiated))
        torch.testing.assert_close(automatic, closed)


def test_a_thin_sample_by_hand():
    """o = i; P = (2, 1 + i); change = (1, 1): P o, conj(P) . change, conj(o) change."""
    patch = torch.full((1, 1), 1j, dtype=torch.complex128)
    probe = torch.tensor([2, 1 + 1j], dtype=torch.complex128).reshape(2, 1, 1)
    change = torch.ones(2, 1, 1, dtype=torch.complex128)
    thin = ThinSample()
    assert thin.exit_waves(patch, probe).flatten().tolist() == [2j, -1 + 1j]
    assert thin.patch_step(patch, probe, change).item() == 3 - 1j
    assert thin.probe_step(patch, probe, change).flatten().tolist() == [-1j, -1j]
    assert thin.patch_weight(probe).item() == pytest.approx(6.0)
