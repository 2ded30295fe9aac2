"""Light tables: what they say is what photons do, for every absorption; they are smooth, finite and read or refused."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_photon_transport import ABSORPTION, CHECKS, COSINES

from evgen_jax.errors import ConfigError, DataError
from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.compare import difference, table_in_cells
from evgen_jax.physics.transport.emission import Shower
from evgen_jax.physics.transport.light_table import LightTable, table_light
from evgen_jax.physics.transport.make_table import make_table
from evgen_jax.physics.transport.scattering import SEA_WATER
from evgen_jax.physics.transport.surface import Grid, split_distance
from evgen_jax.physics.transport.surface_fit import cell_points, design, fit_logarithm
from evgen_jax.physics.transport.table_file import EMBEDDED, load_table, save_table, table_origin
from evgen_jax.physics.transport.tally import Tally, tally

CHECK_CELLS = Cells(distances=36, cosines=20)
MEAN_OUTWARD = {0.652: (0.509, 0.589, 0.687), 6.702: (0.320, 0.323, 0.325)}
"""Distance -> mean cosine between photon and way out of a shower's light at cosines -0.95, 0.05 and 0.95."""
REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "photon" / "shower_ice.npz"


@pytest.fixture(scope="module", params=EMBEDDED)
def table(request) -> LightTable:
    return load_table(request.param)


def cell_of(distance: float) -> int:
    edges = CHECK_CELLS.distance_edges
    return int(np.argmin(abs(np.sqrt(edges[1:] * edges[:-1]) - distance)))


@pytest.mark.parametrize(("name", "kind"), [("shower_ice", "shower"), ("muon_ice", "muon")])
def test_tables_hold_the_check_values(name, kind):
    """Fluence within 2 % and median delays within 3 % of 1.6e9 photons of an independent Monte Carlo."""
    cells = Tally(CHECK_CELLS, np.zeros((1, 3, *CHECK_CELLS.shape)), 1, 0)
    light = table_in_cells(load_table(name), cells)
    late = np.exp(-ABSORPTION * cells.delay_centres)
    for distance, (fluence, delay) in CHECKS[kind].items():
        at = (light * late)[cell_of(distance)][[int((c + 1) * 10) for c in COSINES]]
        np.testing.assert_allclose(at.sum(axis=-1) * np.exp(-distance * ABSORPTION), fluence, rtol=0.02)
        reached = np.cumsum(at, axis=-1) / at.sum(axis=-1, keepdims=True)
        # The median in a cell of the delay is where the logarithm divides it.
        ends = np.log(CHECK_CELLS.delay_edges[1:])
        np.testing.assert_allclose(np.exp([np.interp(0.5, r, ends) for r in reached]), delay, rtol=0.03)


def test_mean_directions_of_a_shower():
    for distance, expected in MEAN_OUTWARD.items():
        cosine = jnp.array([-0.95, 0.05, 0.95])
        light = table_light(load_table("shower_ice"), jnp.full(3, distance), cosine, ABSORPTION)
        np.testing.assert_allclose(light.outward - light.axial * cosine, expected, atol=0.01)


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the table to compare with lies beside the project")
def test_shower_table_against_a_whole_independent_table():
    """Cumulative delays within 0.4 % (median) and 1 % (largest), charge within 0.5 %, at absorption ratios 0.2 to 0.4."""
    with np.load(REFERENCE) as file:
        other = Tally(CHECK_CELLS, file["fluence_sums"][None, :3].astype(float), 1, 0)
    light = table_in_cells(load_table("shower_ice"), other)
    far = slice(cell_of(0.2), None)
    for absorption in (0.2, ABSORPTION, 0.4):
        off = difference(light, other, absorption)
        assert np.median(off.delay[far]) < 0.004
        assert np.max(off.delay[far]) < 0.015
        assert np.median(abs(off.charge[far])) < 0.003
        assert np.sqrt(np.mean(off.charge[far] ** 2)) < 0.005


def bounded_sum(table, place):
    """A number that depends on all that a table says at one place: distance, cosine, absorption."""
    return sum(jnp.sum(jnp.tanh(part)) for part in table_light(table, *place))


first_and_second = jax.jit(
    jax.vmap(lambda t, p: (jax.grad(bounded_sum, 1)(t, p), jax.hessian(bounded_sum, 1)(t, p)), (None, 0))
)


def test_light_and_its_derivatives_are_finite_everywhere(table):
    """At the source, on the axis, 5 km away in ice that scatters after 10 m; without and with strong absorption."""
    distance = [0.0, 1e-6, 1e-3, 0.01, 0.03, 0.3, 3.0, 12.0, 13.0, 40.0, 500.0]
    places = jnp.array([(d, c, a) for d in distance for c in (-1.0, -0.3, 0.758, 1.0) for a in (0.0, 0.3, 5.0)])
    light = table_light(table, *places.T)
    assert all(np.isfinite(part).all() for part in light)
    assert np.all(light.shape > 0) and np.all(light.rate > 0)
    np.testing.assert_allclose(jax.nn.logsumexp(light.log_weight, axis=-1), 0, atol=1e-4)
    assert all(np.isfinite(part).all() for part in first_and_second(table, places))


def logarithms(table, distance, cosine):
    light = table_light(table, distance, cosine, table.absorption)
    return jnp.concatenate([jnp.stack(light[:3]), *[jnp.log(part) for part in light[4:]], light.log_weight])


@jax.jit
@partial(jax.vmap, in_axes=(None, 0, 0))
def second_derivatives(table, distance, cosine):
    """By ln r and the cosine, of all that a table says."""
    by = jax.hessian(logarithms, argnums=(1, 2))(table, distance, cosine)
    return jnp.stack([distance**2 * by[0][0], distance * by[0][1], by[1][1]])


@pytest.mark.usefixtures("x64")
def test_second_derivatives_are_continuous_across_knots_and_at_the_ends(table):
    grid = table.grid
    ends = np.log(grid.distance) + np.array([-0.1, 0.1])
    knots = np.exp(np.linspace(*ends, grid.distances + 1))
    distances = np.concatenate(
        [knots, [grid.distance[0], grid.distance[1], 1.3 * grid.distance[1], 0.8 * grid.distance[0]]]
    )
    cosines = np.linspace(-0.99, 0.99, 7)

    distance, cosine = (jnp.asarray(part.ravel()) for part in np.meshgrid(distances, cosines))
    jump = np.abs(np.subtract(*(second_derivatives(table, distance * f, cosine) for f in (1 + 1e-7, 1 - 1e-7))))
    size = 1 + np.abs(second_derivatives(table, distance, cosine))
    assert np.max(jump / size) < 1e-3
    # Knots in the cosine lie wherever: in a walk of half the step a continuous function takes half the steps, a jump stays.
    largest = []
    for count in (2001, 4001):
        along = second_derivatives(
            table, jnp.full(count, 0.7 * (grid.distance[0] + 1)), jnp.linspace(-0.999, 0.999, count)
        )
        largest.append(np.abs(np.diff(along, axis=0)).max(axis=0))
    assert np.max(largest[1] / largest[0]) < 0.6


@pytest.mark.usefixtures("x64")
def test_absorption_is_exact(table):
    """The light at one absorption ratio, weighted by exp(-(r + d) k) for k more, is the light at the ratio plus k."""
    distance, cosine, more = jnp.array([0.1, 1.0, 3.5]), jnp.array([-0.5, 0.7, 1.0]), 0.35
    delay = jnp.exp(jnp.linspace(-18, 5, 6001))[None, None]

    def density(absorption):
        light = table_light(table, distance, cosine, absorption)
        a, b = light.shape[..., None], light.rate[..., None]
        log = light.log_weight[..., None] + a * jnp.log(b * delay) - b * delay - jax.scipy.special.gammaln(a)
        return jnp.exp(light.log_fluence)[:, None] * jnp.sum(jnp.exp(log), axis=-2)

    before, after = density(table.absorption), density(table.absorption + more)
    np.testing.assert_allclose(after, before * jnp.exp(-more * (distance[:, None] + delay[0])), rtol=1e-9)


def test_light_far_away_falls_as_in_diffusion(table):
    """Slopes of the logarithm beyond the table: -1 / r less the decay of the delay and the absorption of the way."""
    r, step = 2 * table.grid.distance[1], 0.1
    one, two = (table_light(table, jnp.array([x]), jnp.array([0.3]), table.absorption) for x in (r, r + step))
    slope = float((two.log_fluence - 2 * np.log(r + step) - one.log_fluence + 2 * np.log(r))[0]) / step
    assert slope == pytest.approx(-1 / r - table.decay - table.absorption, rel=0.01)
    if table.absorption < 1:
        diffusion = np.sqrt(3 * table.absorption * (1 + table.absorption))
        assert table.decay + table.absorption == pytest.approx(diffusion, rel=0.05)


def test_distances_inside_are_read_where_they_are():
    grid = Grid((0.03, 12.0), 8, 6, 0.758)
    inside = jnp.array([0.031, 0.5, 11.9])
    at, closer, further = split_distance(grid, inside)
    np.testing.assert_allclose(at, np.log(inside), atol=1e-3)
    assert not np.any(closer) and not np.any(further)
    at, closer, further = split_distance(grid, jnp.array([1e-4, 100.0]))
    np.testing.assert_allclose(np.exp(at), [0.03 * np.exp(-0.1), 12 * np.exp(0.1)], rtol=1e-5)
    np.testing.assert_allclose(at - closer + further, [np.log(np.hypot(1e-4, 1e-3)), np.log(100)], rtol=1e-5)


def test_fits_take_means_of_cells_not_values_at_their_middle():
    """A surface that the splines hold is found again from its means over wide cells."""
    cells = Cells(distances=12, cosines=10)
    grid = Grid(cells.distance, 6, 4, 0.758)
    points = cell_points(cells)
    rows = design(grid, points.log_distance, points.cosine)
    true = np.random.default_rng(0).normal(0, 2, rows.shape[1])
    light = np.sum(points.weight * np.exp((rows @ true).reshape(points.weight.shape)), axis=1)
    found = fit_logarithm(rows, points.weight, np.log(light), np.full(len(light), 1e-3), 1e-9 * np.eye(len(true)))
    np.testing.assert_allclose(rows @ found, rows @ true, atol=0.05)
    edges = cells.distance_edges
    flat = 3 * edges[1:] * edges[:-1] * np.diff(edges) / np.diff(edges**3)  # of 4 pi r^2 fluence = 1
    np.testing.assert_allclose(
        np.sum(points.weight, axis=1).reshape(12, 10), np.broadcast_to(flat[:, None], (12, 10)), rtol=1e-3
    )


def test_a_table_is_made_from_photons_and_read_again(tmp_path):
    cells = Cells(distances=5, distance=(0.1, 2.0), cosines=5, delays=24, delay=(1e-3, 2.0))
    photons = tally(Shower(1.35), SEA_WATER, cells, 50_000, seed=2)
    grid = Grid(cells.distance, 2, 2, 1 / 1.35)
    made = make_table(photons, grid, 2.0)
    off = difference(table_in_cells(made, photons), photons, 2.0)
    assert np.median(np.abs(off.charge)) < 0.03 and np.median(off.delay) < 0.02
    with pytest.raises(ConfigError, match="absorption: 1.0 was given; with delays up to 2.0 at least 1.5 is needed"):
        make_table(photons, grid, 1.0)
    save_table(tmp_path / "own.npz", made, "in a test")
    read = load_table(tmp_path / "own.npz")
    assert (read.grid, read.absorption, read.decay) == (made.grid, made.absorption, made.decay)
    np.testing.assert_array_equal(read.coefficients, made.coefficients)
    assert table_origin(tmp_path / "own.npz") == "in a test"


def test_embedded_tables_are_small_and_say_how_they_were_made():
    total = 0
    for name in EMBEDDED:
        made = table_origin(name)
        assert made.startswith(f"{name}: ") and f"python experiments/photon_tables.py {name} --photons " in made
        total += (Path(__file__).parents[1] / "evgen_jax" / "tables" / f"light_{name}.npz").stat().st_size
    assert total < 200_000


def test_files_that_are_no_tables_are_told(tmp_path):
    with pytest.raises(DataError, match="'shower_icee' is no light table. .* Did you mean 'shower_ice'"):
        load_table("shower_icee")
    with pytest.raises(DataError, match="no such file. experiments/photon_tables.py makes"):
        load_table(tmp_path / "none.npz")
    broken = tmp_path / "broken.npz"
    broken.write_text("1, 2, 3")
    with pytest.raises(DataError, match="broken.npz: is no light table"):
        load_table(broken)
    np.savez(broken, coefficients=np.zeros(3))
    with pytest.raises(DataError, match="broken.npz: is no light table"):
        load_table(broken)
    table = load_table("shower_ice")
    save_table(broken, LightTable(table.coefficients[:5], table.grid, table.absorption, table.decay), "")
    with pytest.raises(DataError, match=r"coefficients have the shape \(5, .* are expected"):
        load_table(broken)
