"""The learned step: laws that hold for any weights, and its use on whole scans."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, away, problem_of, simulated, start_of, truth_on_canvas

from ptycho.engines import learned as module
from ptycho.engines.ending import Ending
from ptycho.engines.held_out import held_out_patterns
from ptycho.engines.learned import learned_steps
from ptycho.engines.problem import Solution
from ptycho.networks import learned_step
from ptycho.networks.learned_step import LearnedStep
from ptycho.physics.forward import update_step
from ptycho.scan.scaling import scaled_probe


def step_of_random_weights():
    torch.manual_seed(0)
    step = LearnedStep(width=8)
    torch.nn.init.normal_(step.body.head.weight, std=0.1)
    return step.double()


def something_lit(height=32, width=24):
    g = torch.Generator().manual_seed(1)
    obj, asked = (torch.randn(2, height, width, dtype=torch.complex128, generator=g) for _ in "ab")
    rows, cols = torch.arange(height) - height / 2, torch.arange(width) - width / 2
    light = 1e4 * torch.exp(-(rows[:, None] ** 2 + cols**2) / 30).double().expand(2, -1, -1)
    return 1 + 0.1 * obj, 10 * asked * light.sqrt(), light


def test_untrained_it_is_the_plain_step():
    obj, asked, light = something_lit()
    lit = light > 2e-3 * light.max()
    out = LearnedStep(width=8).double()(obj, asked, light)
    expected = torch.where(lit, obj + update_step(asked, light, damping=0.05), obj)
    torch.testing.assert_close(out, expected)


def test_a_global_phase_passes_through():
    step = step_of_random_weights()
    obj, asked, light = something_lit()
    turn = torch.exp(torch.tensor(2.5j, dtype=torch.complex128))
    with torch.no_grad():
        torch.testing.assert_close(
            step(turn * obj, turn * asked, light), turn * step(obj, asked, light)
        )


@pytest.mark.parametrize("margin", [(8, 0), (0, 16), (24, 8)])
def test_a_larger_canvas_changes_nothing(margin):
    step = step_of_random_weights()
    obj, asked, light = something_lit()

    def grown(values, fill=0.0):
        return torch.nn.functional.pad(values, (margin[0], margin[1]) * 2, value=fill)

    with torch.no_grad():
        inside = step(obj, asked, light)
        outside = step(grown(obj, 1.0), grown(asked), grown(light))
    torch.testing.assert_close(outside, grown(inside, 1.0), rtol=1e-6, atol=1e-8)


def test_tiles_of_a_large_canvas_change_nothing(monkeypatch):
    step = step_of_random_weights()
    for weights in step.body.parameters():  # so that what is far away would be seen if it could be
        torch.nn.init.normal_(weights, std=0.2)
    g = torch.Generator().manual_seed(1)
    obj, asked = (torch.randn(1, 300, 260, dtype=torch.complex128, generator=g) for _ in "ab")
    light = 1e3 * torch.rand(1, 300, 260, dtype=torch.float64, generator=g)
    light[:, :13], light[..., :21] = 0, 0
    with torch.no_grad():
        whole = step(obj, asked, light)
        monkeypatch.setattr(learned_step, "_TILE", 64)
        torch.testing.assert_close(step(obj, asked, light), whole, rtol=1e-9, atol=1e-9)
        monkeypatch.setattr(learned_step, "_MARGIN", 48)
        assert (step(obj, asked, light) - whole).abs().max() > 1e-6


def test_nothing_lit_is_nothing_changed():
    obj = torch.ones(1, 16, 16, dtype=torch.complex64)
    dark = torch.zeros(1, 16, 16)
    out = LearnedStep(width=8)(obj, torch.zeros_like(obj), dark)
    torch.testing.assert_close(out, obj)


# Whole scans


def stepped(raw, obj, canvas, step, *, iterations=None, batch_size=8):
    problem = problem_of(raw, canvas, batch_size=batch_size)
    start = Solution(*start_of(raw, obj), [0.5], 7)
    return learned_steps(problem, start, step, Ending(iterations=iterations))


def test_the_true_object_stays_under_an_untrained_step():
    raw = simulated(25)
    truth, canvas = truth_on_canvas(raw)
    found = stepped(raw, truth, canvas, LearnedStep(width=8), iterations=3)
    assert away(found.obj, truth, raw) < 1e-3
    assert found.kept == 7 + 3
    assert len(found.free_residual) == 1 + 3


def test_untrained_steps_lead_towards_the_truth():
    raw = simulated(49)
    truth, canvas = truth_on_canvas(raw)
    flat = torch.ones_like(truth)
    found = stepped(raw, flat, canvas, LearnedStep(width=8))
    assert away(found.obj, truth, raw) < 0.9 * away(flat, truth, raw)
    assert found.kept == 7 + module._PATIENCE.most


class Spoiler(LearnedStep):
    """A step that has learned nonsense."""

    def forward(self, obj, step, illumination):
        return 0.5j * torch.ones_like(obj)


def test_a_step_that_predicts_worse_is_not_taken():
    raw = simulated(25)
    truth, canvas = truth_on_canvas(raw)
    found = stepped(raw, truth, canvas, Spoiler(width=8))
    torch.testing.assert_close(found.obj, truth)
    assert found.kept == 7
    asked_for = stepped(raw, truth, canvas, Spoiler(width=8), iterations=1)
    assert away(asked_for.obj, truth, raw) > 0.5


def test_the_batch_size_changes_nothing():
    raw = simulated(25)
    truth, canvas = truth_on_canvas(raw)
    found = [
        stepped(
            raw, torch.ones_like(truth), canvas, LearnedStep(width=8), batch_size=n, iterations=2
        )
        for n in (1, 25)
    ]
    torch.testing.assert_close(found[0].obj, found[1].obj, rtol=1e-3, atol=1e-4)


def test_held_out_pixels_have_no_influence():
    raw = simulated(16)
    held_out = held_out_patterns(SIDE, 0)[:16].numpy()
    spoiled = replace(raw, frames=np.where(held_out, 7.0 * raw.frames + 100.0, raw.frames))
    truth, canvas = truth_on_canvas(raw)
    probe = scaled_probe(raw).probe
    objects = []
    for each in (raw, spoiled):
        start = Solution(*start_of(each, torch.ones_like(truth), probe), [], 0)
        step, ending = LearnedStep(width=8), Ending(iterations=2)
        objects.append(learned_steps(problem_of(each, canvas), start, step, ending).obj)
    assert held_out.any()
    torch.testing.assert_close(objects[0], objects[1])


def test_the_noise_scale_by_hand():
    """No pull, 3 photons everywhere: s^2 = 1 / 4, so a change of 1 moves the object by 0.5."""
    step = LearnedStep(width=8)
    with torch.no_grad():
        step.body.head.bias[:4] = 1.0  # the four pixels of channel 0, the real part of the change
    obj = torch.ones(1, 48, 48, dtype=torch.complex64)
    light = torch.full((1, 48, 48), 3.0)
    with torch.no_grad():
        out = step(obj, torch.zeros_like(obj), light)
    assert out[0, 24, 24].item() == pytest.approx(1 + math.sqrt(1 / 4), rel=1e-5)
