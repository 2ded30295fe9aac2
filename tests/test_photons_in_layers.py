"""Photons in plane layers: lengths and absorption are exact, and modules see what tables and independent photons say."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import programs_built
from jax.scipy.special import gammainc

from evgen_jax.measurement.detector import load_detector
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.physics.media import load_medium
from evgen_jax.physics.medium import Medium, coefficients_at, mean_coefficients
from evgen_jax.physics.transport.emission import Cone, Shower
from evgen_jax.physics.transport.in_layers import SMALLEST_WEIGHT, PointSource, advance, launch
from evgen_jax.physics.transport.layers import (
    Layers,
    anisotropy_of,
    depth_of,
    layers_of,
    level_at,
    scattering_of,
    shift_at,
    tilt_of,
)
from evgen_jax.physics.transport.light_table import table_light
from evgen_jax.physics.transport.photon_by_photon import Seen, propagate
from evgen_jax.physics.transport.random_numbers import stream
from evgen_jax.physics.transport.scattering import SEA_WATER, SOUTH_POLE_ICE
from evgen_jax.physics.transport.spheres import module_at, radii_from, spheres_around
from evgen_jax.physics.transport.table_file import load_table

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "photon" / "layered_cascades.npz"
AXIS = np.array([0.48, 0.36, 0.8])
WORDS = stream(jax.random.key(5))
LATE = np.array([[[5.0, 20.0, 60.0, 150.0, 300.0, 600.0, 1500.0]]])
"""Delays in ns up to which light is compared."""


@pytest.fixture(scope="module")
def ice() -> Layers:
    return layers_of(load_medium())


@pytest.fixture(scope="module")
def icecube():
    return load_detector()


@pytest.fixture(scope="module")
def small_spheres():
    """Modules in a dust layer of South Pole ice and above it."""
    x, y, z = np.meshgrid([-40.0, 30.0], [-20.0, 50.0], np.arange(-160.0, 0.0, 17.0), indexing="ij")
    return spheres_around(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1), 6.0)


def of_lengths(scattering: float, absorption: float, points: int = 1, **changes: float) -> Medium:
    """A medium of equal layers with the scattering of South Pole ice."""
    medium = load_medium()
    lengths = {"scattering": np.full(points, 1 / scattering), "absorption": np.full(points, 1 / absorption)}
    return medium.replace(**lengths, first_z=np.asarray(-45.0), step=np.asarray(10.0), **changes)


def followed(layers: Layers, source: PointSource, photons: int, steps: int):
    """States before and after each step, and collisions, of photons that all take as many steps."""
    launched = launch(layers, Shower(), source, WORDS, photons, 1)
    state, out = launched.photons, []
    move = jax.jit(advance)
    for step in range(1, steps + 1):
        after, collision = move(layers, source, WORDS, launched.photon, jnp.uint32(step), state)
        out.append((state, after, np.asarray(collision, np.float64)))
        state = after
    return out


def sums(seen: Seen, modules: int) -> np.ndarray:
    return np.bincount(seen.module, seen.fluence, modules)


def test_one_set_of_constants():
    """Transport for tables and transport in layers scatter and emit as the media say."""
    ice, water = load_medium(), load_medium("mediterranean_water")
    assert scattering_of(ice) == SOUTH_POLE_ICE and scattering_of(water) == SEA_WATER
    assert Shower() == Shower(float(ice.phase_index)) and Cone() == Cone(float(ice.phase_index))


def test_layers_have_the_integrals_of_the_medium(ice):
    """Optical depths between any heights, also beyond the ends of the table, are those of the medium's spline."""
    rng = np.random.default_rng(1)
    low, high = rng.uniform(-700, 700, (2, 200))
    with jax.enable_x64(True):
        coefficients = [np.asarray(value) for value in jax.jit(mean_coefficients)(load_medium(), low, high)]
    places = [level_at(ice, depth_of(ice, jnp.asarray(z, jnp.float32))) for z in (low, high)]
    collisions = (places[1].depth - places[0].depth) / ice.per_layer
    absorbed = places[1].absorbed - places[0].absorbed
    np.testing.assert_allclose(collisions, (high - low) * coefficients[0] / (1 - 0.9), rtol=2e-3, atol=0.05)
    np.testing.assert_allclose(absorbed, (high - low) * coefficients[1], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(places[0].z, low, atol=2e-3)
    assert float(jnp.max(ice.thickness)) < 2.001


def test_absorption_is_exact_and_track_lengths_are_whole(ice):
    """What all photons lose is what they had: collisions times collision length over absorption length sum up to 1."""
    photons, steps = 2000, 900
    places = followed(ice, PointSource(np.array([0.0, 0.0, -60.0]), AXIS), photons, steps)
    collision = np.stack([collision for *_, collision in places])
    absorption = jax.jit(coefficients_at)(load_medium(), collision[..., 2].astype(np.float32))[1]
    total = np.sum(collision[..., 7] * absorption, axis=0)
    left = np.exp(-np.stack([np.asarray(after.lost, np.float64) for _, after, _ in places]))
    assert np.all(np.diff(left, axis=0) <= 0), "nothing is gained"
    assert left[-1].max() < 10 * SMALLEST_WEIGHT
    error = total.std() / np.sqrt(photons)
    assert abs(total.mean() - 1) < 4 * error + 1e-3 and error < 0.01


def test_total_track_length_in_a_homogeneous_medium():
    layers = layers_of(of_lengths(25.0, 40.0))
    places = followed(layers, PointSource(np.zeros(3), AXIS), 4000, 300)
    total = np.sum([collision[:, 7] for *_, collision in places], axis=0)
    assert abs(total.mean() - 40.0) < 4 * total.std() / np.sqrt(len(total))
    last = places[-1][1]
    np.testing.assert_allclose(last.lost, last.path / 40.0, rtol=1e-4)


@pytest.mark.parametrize("kind", ["level", "tilted", "anisotropic"])
def test_steps_are_straight_and_stay_in_their_layers(ice, kind):
    """Positions, heights, depths and path lengths of each step agree, whatever angle it has to the layers."""
    tilt = tilt_of(0.3, np.array([-2000.0, 2000.0]), np.array([-100.0, 140.0])) if kind == "tilted" else None
    anisotropy = anisotropy_of(0.3, 0.7) if kind == "anisotropic" else None
    layers = layers_of(load_medium(), tilt=tilt, anisotropy=anisotropy)
    for before, after, collision in followed(layers, PointSource(np.array([10.0, 20.0, -40.0]), AXIS), 3000, 30)[::6]:
        length = np.asarray(after.path - before.path, np.float64)
        direction = collision[:, 3:6]
        shifts = [0.0 if tilt is None else np.asarray(shift_at(tilt, p.x, p.y)[0]) for p in (before, after)]
        start = np.stack([before.x, before.y, before.level.z + shifts[0]], axis=1)
        np.testing.assert_allclose(collision[:, :3], start + length[:, None] * direction, atol=0.03)
        height = collision[:, 2] - shifts[1]
        np.testing.assert_allclose(depth_of(layers, jnp.asarray(height, jnp.float32)), after.level.depth, atol=0.02)


def test_a_shift_by_a_constant_is_a_medium_that_lies_higher(small_spheres):
    """Tilt, once a shift that is everywhere the same, and the origin of a detector move the layers."""
    medium, photons = load_medium(), 3000
    higher = medium.replace(first_z=medium.first_z + 30.0)
    tilt = tilt_of(1.0, np.array([0.0, 50.0]), np.array([30.0, 30.0]))
    ways = [layers_of(higher), layers_of(medium, tilt=tilt), layers_of(medium, (0.0, 0.0, -30.0))]
    source = PointSource(np.array([0.0, 0.0, -80.0]), AXIS)
    seen = [propagate(layers, small_spheres, Shower(), source, 0.22, photons, jax.random.key(2)) for layers in ways]
    lit = sums(seen[0], len(small_spheres.centre))
    for other in seen[1:]:
        np.testing.assert_allclose(sums(other, len(lit)).sum(), lit.sum(), rtol=0.02)
    unmoved = propagate(layers_of(medium), small_spheres, Shower(), source, 0.22, photons, jax.random.key(2))
    assert abs(sums(unmoved, len(lit)).sum() / lit.sum() - 1) > 0.05


def test_anisotropic_lengths():
    """Along the axis light goes further than across it, by as much as the lengths say; the mean over azimuths stays."""
    medium = of_lengths(25.0, 100.0)
    source = PointSource(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    (_, after, collision), *_ = followed(layers_of(medium, anisotropy=anisotropy_of(0.2, 0.5)), source, 200_000, 1)
    (_, plain, _), *_ = followed(layers_of(medium), source, 200_000, 1)
    u, v = collision[:, 3], collision[:, 4]
    expected = 1 + 0.2 * (u**2 + v**2) * np.cos(2 * (np.arctan2(v, u) - 0.5))
    np.testing.assert_allclose(np.asarray(after.path / plain.path), expected, rtol=1e-4)
    np.testing.assert_allclose(after.lost, plain.lost, rtol=1e-4)  # longer ways through what absorbs less
    np.testing.assert_allclose(collision[:, 7] * np.exp(np.asarray(after.lost)), 2.5 * expected, rtol=1e-4)


def test_one_layer_is_ten_equal_ones(small_spheres):
    """The same photons in one layer and in layers that differ in nothing see the same modules at the same times."""
    source = PointSource(np.array([0.0, 5.0, -70.0]), AXIS, 1.1, 0.9)
    one, ten = (
        propagate(layers_of(of_lengths(25.0, 60.0, n)), small_spheres, Shower(), source, 0.22, 2000, jax.random.key(1))
        for n in (1, 10)
    )
    modules = len(small_spheres.centre)
    np.testing.assert_allclose(sums(one, modules).sum(), sums(ten, modules).sum(), rtol=0.02)
    assert abs(len(one.module) - len(ten.module)) < 0.01 * len(one.module)
    np.testing.assert_allclose(np.sort(one.delay)[::50], np.sort(ten.delay)[::50], rtol=0.05, atol=1.0)
    scaled = propagate(
        layers_of(of_lengths(25.0 / 1.1, 60.0 / 0.9)), small_spheres, Shower(), PointSource(*source[:2]), 0.22, 2000,
        jax.random.key(1),
    )  # fmt: skip
    np.testing.assert_allclose(sums(scaled, modules).sum(), sums(one, modules).sum(), rtol=0.02)


def test_photons_are_the_same_however_many_fly_at_once(ice, small_spheres):
    source, found = PointSource(np.array([0.0, 0.0, -80.0]), AXIS), []
    for lanes in (64, 512, 1024):
        seen = propagate(ice, small_spheres, Shower(), source, 0.22, 1000, jax.random.key(7), lanes)
        order = np.lexsort((seen.delay, seen.module))
        found.append((seen.collisions, seen.module[order], seen.delay[order], seen.fluence[order]))
    for other in found[1:]:
        assert other[0] == found[0][0]
        for ours, theirs in zip(other[1:], found[0][1:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=0.05)  # a compiler rounds otherwise


def test_programs_are_compiled_once(ice, small_spheres):
    """Another place, direction and number of photons are other arguments of the same programs."""
    propagate(ice, small_spheres, Shower(), PointSource(np.zeros(3), AXIS), 0.22, 1000, jax.random.key(7))
    with programs_built() as built:
        source = PointSource(np.array([3.0, 4.0, -50.0]), AXIS[::-1].copy(), 1.05, 0.95)
        propagate(ice, small_spheres, Shower(), source, 0.22, 900, jax.random.key(8))
    assert not built


def test_spheres_are_found_by_their_grid():
    """Against all distances: irregular modules, near neighbours, places outside; no two spheres overlap."""
    rng = np.random.default_rng(3)
    centre = np.concatenate([rng.uniform(-200, 200, (150, 3)), [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 3.0, 0.0]]])
    spheres = spheres_around(centre, 25.0)
    apart = np.linalg.norm(centre[:, None] - centre[None], axis=-1) + np.diag(np.full(len(centre), 1e9))
    radius = np.asarray(spheres.radius)
    assert np.all(radius[:, None] + radius[None] <= apart + 1e-4) and radius.max() == 25.0
    np.testing.assert_allclose(radius[150:], [0.5, 0.5, 1.5], rtol=1e-6)
    position = np.concatenate([rng.uniform(-260, 260, (20_000, 3)), centre + rng.normal(size=centre.shape)])
    source = np.array([10.0, 20.0, 30.0], np.float32)
    radii = np.asarray(radii_from(spheres, source))
    np.testing.assert_allclose(radii, np.minimum(radius, 0.2 * np.linalg.norm(centre - source, axis=1)), rtol=1e-5)
    module, found = map(np.asarray, module_at(spheres, jnp.asarray(radii), jnp.asarray(position, jnp.float32)))
    distance = np.linalg.norm(position[:, None] - centre[None], axis=-1)
    clear = np.all(abs(distance - radii) > 1e-3, axis=1)
    inside = distance < radii
    np.testing.assert_array_equal(found[clear], inside.any(axis=1)[clear])
    np.testing.assert_array_equal(module[clear & found], inside.argmax(axis=1)[clear & found])
    assert found.sum() > 500


def test_a_single_module():
    spheres = spheres_around(np.array([[1.0, 2.0, 3.0]]), 4.0)
    _, found = module_at(spheres, spheres.radius, jnp.array([[1.0, 2.0, 6.9], [1.0, 2.0, 7.1], [900.0, 0.0, 0.0]]))
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("name", "scattering", "absorption", "photons"), [("ice", 30.0, 110.0, 80_000), ("water", 265.0, 60.0, 300_000)]
)
def test_homogeneous_layers_bring_the_light_of_the_table(name, scattering, absorption, photons):
    """Charges within errors of some percent, delays and mean directions, on rings around the axis of a shower."""
    medium = of_lengths(scattering, absorption) if name == "ice" else load_medium("mediterranean_water")
    azimuth = np.arange(12) * (2 * np.pi / 12)
    rings = [(r, c) for r in (35.0, 90.0) for c in (-0.8, 0.2, 0.9)]
    turn = np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])  # axes of the source
    sines = [np.sqrt(1 - c * c) for _, c in rings]
    circle = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    unit = np.concatenate([s * circle + [0.0, 0.0, c] for s, (_, c) in zip(sines, rings, strict=True)]) @ turn.T
    away = unit * np.repeat([r for r, _ in rings], len(azimuth))[:, None]
    spheres = spheres_around(away, 6.0)
    velocity = float(medium.group_velocity)
    layers, emission, source = (
        layers_of(medium),
        Shower(float(medium.phase_index)),
        PointSource(np.zeros(3), turn[:, 2]),
    )
    keys = jax.random.split(jax.random.key(1), 8)
    seen = [propagate(layers, spheres, emission, source, velocity, photons // 8, key, 2048) for key in keys]
    distance, cosine = np.array(rings).T
    light = table_light(
        load_table(f"shower_{name}"), jnp.asarray(distance / scattering), jnp.asarray(cosine), scattering / absorption
    )
    charge = np.exp(light.log_fluence) / (4 * np.pi * distance**2)
    reached = gammainc(light.shape[..., None], light.rate[..., None] * LATE * velocity / scattering)
    cumulative = np.sum(np.exp(light.log_weight)[..., None] * reached, axis=1).T

    def of_rings(s: Seen) -> np.ndarray:
        """Fluence, then mean cosine to the way out and shares of the light up to each of LATE, of every ring."""
        ring, outward = s.module // len(azimuth), np.sum(s.direction * unit[s.module], axis=1)
        later = s.delay - distance[ring] / velocity
        parts = [outward, *(later < end for end in LATE.ravel())]
        total = np.bincount(ring, s.fluence, len(rings))
        return np.array([total / len(azimuth), *(np.bincount(ring, s.fluence * p, len(rings)) / total for p in parts)])

    groups = np.array([of_rings(s) for s in seen])
    found, error = groups.mean(axis=0), groups.std(axis=0, ddof=1) / np.sqrt(len(groups))
    expected = np.array([charge, light.outward - light.axial * cosine, *cumulative])
    unit_of_error = np.concatenate([expected[:1], np.ones_like(expected[1:])])
    assert np.all(error < 0.06 * unit_of_error), "errors are small enough to see a difference"
    off = abs(found - expected)
    assert np.all(off < 4 * error + 0.02 * unit_of_error), (found, expected, error)
    assert abs(np.mean(found[0] / charge) - 1) < 0.03


def reference_cascade(icecube, number: int, photons: int, groups: int, together: int) -> None:
    """Charges of modules with over 0.3 photoelectrons at 10 TeV agree within both errors, delays within 2 % of the light."""
    reference = np.load(REFERENCE)
    x, y, z, zenith, azimuth = reference["hypothesis"][number]
    axis = np.asarray(flight_direction(jnp.asarray(zenith), jnp.asarray(azimuth)))
    medium, position = icecube.medium, np.asarray(icecube.position, np.float64)
    layers, spheres = layers_of(medium), spheres_around(position, 3.0)
    velocity, (curve,) = float(medium.group_velocity), icecube.kinds
    away = np.linalg.norm(position - [x, y, z], axis=1)
    edges, charge, late = reference["delay_edges"], [], np.zeros((len(position), 21))
    for group in range(groups):
        source, key = PointSource(np.array([x, y, z]), axis), jax.random.key(100 * number + group)
        seen = propagate(layers, spheres, Shower(), source, velocity, photons // groups, key)
        response = np.asarray(curve(jnp.asarray(np.linspace(-1, 1, 4001))))
        accepted = seen.fluence * np.interp(seen.direction[:, 2], np.linspace(-1, 1, 4001), response)
        charge.append(np.bincount(seen.module, accepted, len(position)))
        delay = seen.delay - away[seen.module] / velocity
        late += np.histogram2d(seen.module, delay, [np.arange(len(position) + 1), edges], weights=accepted)[0] / groups
    expected, error = reference["accepted"][number], reference["accepted_error"][number]
    lit = np.flatnonzero(expected * float(medium.photons_per_gev) * 1e4 * np.asarray(icecube.area) > 0.3)
    # Modules of about equal charge together, so that sums of few photons are Gaussian, too.
    first = np.arange(0, len(lit) - together + 1, together)
    order = lit[np.argsort(-expected[lit])][: len(first) * together]
    ours, (theirs, square) = np.array(charge)[:, order], (expected[order], error[order] ** 2)
    ours, theirs, square = (np.add.reduceat(value, first, axis=-1) for value in (ours, theirs, square))
    pull = (ours.mean(axis=0) - theirs) / np.sqrt(ours.var(axis=0, ddof=1) / groups + square)
    # Errors of groups are Student's: the mean square pull is (n - 1) / (n - 3), 0.4 for the chance of few sums.
    assert np.mean(pull**2) < (groups - 1) / (groups - 3) + 0.4 and abs(pull.mean()) < 0.5
    assert ours.mean(axis=0).sum() == pytest.approx(theirs.sum(), rel=0.03)
    shares = [light[lit].sum(axis=0) / light[lit].sum() for light in (late, reference["accepted_by_delay"][number])]
    # Where the reference corrects times by plane waves, some direct light comes before its time.
    shares = [np.concatenate([[share[0] + share[1]], share[2:]]) for share in shares]
    assert np.max(np.abs(shares[0] - shares[1])) < 0.02, "in each bin of the delay, in parts of the light"


needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="photons of an independent Monte Carlo are not here"
)


@needs_reference
def test_light_of_independent_photons_in_layers(icecube):
    reference_cascade(icecube, 0, 300_000, 10, 25)


@needs_reference
@pytest.mark.nightly
@pytest.mark.parametrize("number", range(6))
def test_light_of_many_independent_photons_in_layers(icecube, number):
    reference_cascade(icecube, number, 4_000_000, 10, 1)
