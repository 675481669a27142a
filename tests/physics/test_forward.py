"""Laws of the forward model, whatever it is built of, and values worked by hand."""

import math
from dataclasses import replace

import pytest
import torch

from ptycho.errors import ConfigError
from ptycho.experiment import Experiment
from ptycho.physics import INTERACTIONS
from ptycho.physics.detector import BlurredDetector, Detector, Measured
from ptycho.physics.forward import ForwardModel, forward_model, update_step
from ptycho.physics.interaction import Interaction, ThinSample
from ptycho.physics.patches import cut_patches, place_patches
from ptycho.physics.probe import orthogonal_modes, probe_intensity, scale_probe, shift_probe
from ptycho.physics.propagation import FarField, NearField

SIZE = 8
AT_ZERO = torch.zeros(1, 2, dtype=torch.int64)
CORNERS = torch.tensor([[0, 0], [2, 3], [4, 1]])

NEAR = Experiment(propagation="near", fresnel_number=0.6)
EXPERIMENTS = {
    "far": Experiment(),
    "near": NEAR,
    "far, blurred": Experiment(blur=0.7),
    "near, blurred": replace(NEAR, blur=0.7),
}


class Squared(Interaction):
    """An interaction without derivatives of its own, not linear in the object."""

    def exit_waves(self, patches, probe):
        return probe * (patches + patches.square() / 3).unsqueeze(-3)


MODELS = {name: forward_model(experiment, SIZE) for name, experiment in EXPERIMENTS.items()}
MODELS["near, blurred, not linear"] = replace(MODELS["near, blurred"], interaction=Squared())


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param


@pytest.fixture(params=EXPERIMENTS.values(), ids=EXPERIMENTS)
def thin(request):
    """The forward model of a thin sample."""
    return forward_model(request.param, SIZE)


def positive(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=g) + 0.1


def test_empty_space_keeps_the_photons(thin, noise):
    probe = scale_probe(noise(3, SIZE, SIZE), 500.0)
    counted = thin.intensity(torch.ones(SIZE, SIZE, dtype=torch.complex128), probe)
    torch.testing.assert_close(counted.sum(), torch.tensor(500.0, dtype=torch.float64))


def test_a_pure_phase_object_keeps_the_photons(thin, noise):
    probe, phase = scale_probe(noise(3, SIZE, SIZE), 500.0), 3 * positive(SIZE, SIZE)
    counted = thin.intensity(torch.polar(torch.ones_like(phase), phase), probe)
    torch.testing.assert_close(counted.sum(), torch.tensor(500.0, dtype=torch.float64))


def test_modes_add_in_intensity(model, noise):
    probe, patch = noise(2, SIZE, SIZE), noise(SIZE, SIZE, seed=3)
    each = [model.intensity(patch, probe[m : m + 1]) for m in range(2)]
    torch.testing.assert_close(model.intensity(patch, probe), each[0] + each[1])


def test_orthogonal_modes_give_the_same_frames(model, noise):
    probe, patches = noise(3, SIZE, SIZE), noise(5, SIZE, SIZE, seed=3)
    torch.testing.assert_close(
        model.intensity(patches, orthogonal_modes(probe)), model.intensity(patches, probe)
    )


def test_a_global_phase_is_invisible(thin, noise):
    probe, patch = noise(2, SIZE, SIZE), noise(SIZE, SIZE, seed=3)
    turned = torch.polar(torch.tensor(1.0).double(), torch.tensor(0.7).double()) * patch
    torch.testing.assert_close(thin.intensity(turned, probe), thin.intensity(patch, probe))


def test_the_detector_sees_what_interaction_and_propagator_make(model, noise):
    probe, patches = noise(3, 2, SIZE, SIZE), noise(3, SIZE, SIZE, seed=3)
    waves = model.waves(patches, probe)
    exit_waves = model.interaction.exit_waves(patches, probe)
    torch.testing.assert_close(waves, model.propagator.to_detector(exit_waves))
    torch.testing.assert_close(model.intensity(patches, probe), model.detector.intensity(waves))


def test_shifting_the_exit_wave_leaves_the_far_field(noise):
    """A shift of probe and object together is a phase ramp on the detector."""
    far = MODELS["far"]
    wave, empty = noise(2, SIZE, SIZE), torch.ones(SIZE, SIZE, dtype=torch.complex128)
    moved = shift_probe(wave, torch.tensor([0.3, -0.4], dtype=torch.float64))
    torch.testing.assert_close(far.intensity(empty, moved), far.intensity(empty, wave))


def test_shifting_the_exit_wave_shifts_the_near_field(noise):
    near = MODELS["near, blurred"]
    wave, empty = noise(2, SIZE, SIZE), torch.ones(SIZE, SIZE, dtype=torch.complex128)
    moved = near.intensity(empty, wave.roll((2, -1), dims=(-2, -1)))
    torch.testing.assert_close(moved, near.intensity(empty, wave).roll((2, -1), dims=(-2, -1)))


@pytest.mark.parametrize("modes", [1, 2])
def test_back_projection_does_not_change_the_true_object(model, noise, modes):
    probe, patch = noise(modes, SIZE, SIZE), noise(SIZE, SIZE, seed=4)
    background = positive(SIZE, SIZE)
    amplitude = (model.intensity(patch, probe) + background).sqrt()
    measured = Measured(amplitude[None], background=background)
    found = model.back_project(patch, AT_ZERO, probe[None], measured)
    torch.testing.assert_close(found.step, torch.zeros_like(patch), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.change, torch.zeros_like(found.change), rtol=0, atol=1e-12)


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("with_background", [False, True])
def test_the_step_is_minus_the_gradient_of_the_amplitude_misfit(
    model, noise, with_background, excluding
):
    probe, obj = noise(3, 2, SIZE, SIZE), noise(12, 12, seed=5).requires_grad_()
    background = positive(SIZE, SIZE) if with_background else None
    excluded = positive(3, SIZE, SIZE, seed=1) > 0.9 if excluding else None
    amplitude = 2 * positive(3, SIZE, SIZE, seed=6)
    modelled = model.intensity(cut_patches(obj, CORNERS, SIZE), probe)
    modelled = modelled if background is None else modelled + background
    misfit = (modelled.sqrt() - amplitude).square()
    misfit = misfit if excluded is None else misfit[~excluded]
    (gradient,) = torch.autograd.grad(misfit.sum(), obj)  # torch's is twice that by conj(o)
    found = model.back_project(
        obj.detach(), CORNERS, probe, Measured(amplitude, excluded, background)
    )
    torch.testing.assert_close(found.step, -gradient / 2)


def test_the_probe_step_is_minus_the_gradient_too(model, noise):
    probe, obj = noise(3, 2, SIZE, SIZE).requires_grad_(), noise(12, 12, seed=5)
    amplitude = 2 * positive(3, SIZE, SIZE, seed=6)
    modelled = model.intensity(cut_patches(obj, CORNERS, SIZE), probe).sqrt()
    (gradient,) = torch.autograd.grad((modelled - amplitude).square().sum(), probe)
    found = model.back_project(obj, CORNERS, probe.detach(), Measured(amplitude))
    step = model.interaction.probe_step(found.patches, probe.detach(), found.change)
    torch.testing.assert_close(step, -gradient / 2)


def test_a_small_step_lowers_the_misfit(model, noise):
    probe, obj = noise(3, 2, SIZE, SIZE), noise(12, 12, seed=5)
    measured = Measured(2 * positive(3, SIZE, SIZE, seed=6))

    def misfit(obj):
        modelled = model.intensity(cut_patches(obj, CORNERS, SIZE), probe).sqrt()
        return float((modelled - measured.amplitude).square().sum())

    found = model.back_project(obj, CORNERS, probe, measured)
    assert misfit(obj + 1e-3 * found.step) < misfit(obj)


def test_intermediate_results_are_what_they_are_called(model, noise):
    probe, obj = noise(3, 2, SIZE, SIZE), noise(12, 12, seed=5)
    found = model.back_project(obj, CORNERS, probe, Measured(positive(3, SIZE, SIZE)))
    torch.testing.assert_close(found.patches, cut_patches(obj, CORNERS, SIZE))
    torch.testing.assert_close(found.on_detector, model.waves(found.patches, probe))
    # By hand: the derivative at o = 1 is P for the thin sample, and P (1 + 2 / 3) for `Squared`.
    curvature = 25 / 9 if isinstance(model.interaction, Squared) else 1.0
    weight = curvature * probe_intensity(probe)
    torch.testing.assert_close(
        found.illumination, place_patches(weight, CORNERS, (12, 12)), rtol=1e-6, atol=1e-6
    )
    assert found.change.shape == probe.shape


def test_several_canvases_are_each_on_its_own(model, noise):
    obj, probe = noise(2, 12, 12), noise(2, 3, 1, SIZE, SIZE, seed=1)
    corners, amplitude = torch.stack([CORNERS, CORNERS.flip(1)]), positive(2, 3, SIZE, SIZE)
    both = model.back_project(obj, corners, probe, Measured(amplitude))
    for one in range(2):
        alone = model.back_project(obj[one], corners[one], probe[one], Measured(amplitude[one]))
        for found, expected in zip(both, alone, strict=True):
            torch.testing.assert_close(found[one], expected)


def test_a_known_illumination_is_used_as_it_is(model, noise):
    probe, obj = noise(3, 1, SIZE, SIZE), noise(12, 12, seed=5)
    measured, known = Measured(positive(3, SIZE, SIZE)), positive(12, 12)
    found = model.back_project(obj, CORNERS, probe, measured, illumination=known)
    assert found.illumination is known
    plain = model.back_project(obj, CORNERS, probe, measured)
    torch.testing.assert_close(found.step, plain.step)


def test_back_projection_survives_dark_frames(model, noise):
    probe, dark = noise(1, 1, SIZE, SIZE), torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    for obj in (dark[0].to(torch.complex128), noise(SIZE, SIZE)):
        found = model.back_project(obj, AT_ZERO, probe, Measured(dark))
        assert torch.isfinite(torch.view_as_real(found.step)).all()


def test_one_full_step_of_one_far_frame_explains_it(noise):
    """A flat probe: o + step has the measured modulus, and the model's own where excluded."""
    far, patch = MODELS["far"], noise(SIZE, SIZE)
    probe = torch.ones(1, 1, SIZE, SIZE, dtype=torch.complex128)
    amplitude, excluded = positive(1, SIZE, SIZE), positive(SIZE, SIZE, seed=1) > 0.8
    found = far.back_project(patch, AT_ZERO, probe, Measured(amplitude, excluded))
    after = far.propagator.to_detector(
        patch + update_step(found.step, found.illumination, damping=0.0)
    )
    before = far.propagator.to_detector(patch)
    torch.testing.assert_close(after[excluded], before[excluded])
    torch.testing.assert_close(after[~excluded].abs(), amplitude[0, ~excluded])


@pytest.mark.parametrize("name", ["far", "near", "near, blurred"])
def test_the_update_on_a_uniform_absorber_by_hand(name):
    """Flat probe 1, truth 0.5, start 1: psi' - psi = -0.5, so the update is -0.5 / (1 + 0.1).

    A flat wave stays flat in the near field, and a blurred flat frame too; in the far field it is
    one point, which a blur spreads, so that case is not worked by hand.
    """
    model = MODELS[name]
    probe = torch.ones(1, SIZE, SIZE, dtype=torch.complex128)
    truth = torch.full((SIZE, SIZE), 0.5, dtype=torch.complex128)
    measured = Measured(model.intensity(truth, probe).sqrt()[None])
    found = model.back_project(torch.ones_like(truth), AT_ZERO, probe[None], measured)
    update = update_step(found.step, found.illumination, damping=0.1)
    torch.testing.assert_close(update, torch.full_like(update, -0.5 / 1.1))


def test_an_update_step_by_hand():
    """Illumination 4 at most, damping 1/2: divided by 4 + 2 and 1 + 2; each canvas on its own."""
    step = torch.tensor([[6.0, 3.0j]], dtype=torch.complex128)
    illumination = torch.tensor([[4.0, 1.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1.0j]], dtype=torch.complex128)
    torch.testing.assert_close(update_step(step, illumination, damping=0.5), expected)
    two = update_step(
        torch.stack([step, step]), torch.stack([illumination, 2 * illumination]), damping=0.5
    )
    torch.testing.assert_close(two, torch.stack([expected, expected / 2]))


def test_a_flat_probe_in_the_far_field_by_hand():
    """16 photons through empty space: all on the centre, or blurred around it."""
    probe, empty = torch.ones(1, 4, 4, dtype=torch.complex64), torch.ones(4, 4).to(torch.complex64)
    expected = torch.zeros(4, 4)
    expected[2, 2] = 16.0
    torch.testing.assert_close(ForwardModel().intensity(empty, probe), expected)
    # exp(-r^2 / 2 s^2) = 1/2, 1/16 for r = 1, 2: over a period of 4, (1/16, 1/2, 1, 1/2) * 16 / 33.
    along = torch.tensor([1.0, 8.0, 16.0, 8.0]) / 33
    blurred = forward_model(Experiment(blur=1 / math.sqrt(2 * math.log(2))), 4)
    torch.testing.assert_close(blurred.intensity(empty, probe), 16 * along[:, None] * along)


@pytest.mark.parametrize(
    ("experiment", "propagator", "detector"),
    [
        (Experiment(), FarField, Detector),
        (NEAR, NearField, Detector),
        (Experiment(blur=0.5), FarField, BlurredDetector),
    ],
)
def test_a_model_is_built_of_the_parts_named(experiment, propagator, detector):
    built = forward_model(experiment, SIZE)
    assert type(built.interaction) is ThinSample
    assert type(built.propagator) is propagator
    assert type(built.detector) is detector


def test_a_new_interaction_is_one_row(monkeypatch, noise):
    monkeypatch.setitem(INTERACTIONS, "squared", lambda experiment: Squared())
    built = forward_model(replace(NEAR, interaction="squared"), SIZE)
    patch, probe = noise(SIZE, SIZE), noise(2, SIZE, SIZE, seed=1)
    expected = replace(MODELS["near"], interaction=Squared())
    torch.testing.assert_close(built.waves(patch, probe), expected.waves(patch, probe))


def test_the_usual_experiment_is_the_usual_model(noise):
    patch, probe = noise(SIZE, SIZE), noise(2, SIZE, SIZE, seed=1)
    torch.testing.assert_close(
        forward_model(Experiment(), SIZE).waves(patch, probe), ForwardModel().waves(patch, probe)
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"interaction": "thick"}, r"^interaction: 'thick'; expected one of thin"),
        ({"propagation": "middle"}, r"^propagation: 'middle'; expected one of far, near"),
        ({"propagation": "near"}, r"^propagation near: no fresnel_number"),
        ({"propagation": "near", "fresnel_number": 0.01}, r"^fresnel_number: 0.01 in frames of 8"),
    ],
)
def test_what_cannot_be_built_is_refused(changed, expected):
    with pytest.raises(ConfigError, match=expected):
        forward_model(Experiment(**changed), SIZE)


def test_a_model_moves_as_a_whole(model):
    """To the one other device that is always there."""
    moved = model.to("meta")
    patch = torch.ones(SIZE, SIZE, dtype=torch.complex64, device="meta")
    assert moved.intensity(patch, patch[None]).device.type == "meta"
    assert type(moved.interaction) is type(model.interaction)
