"""One folder per event: figures that let a physicist believe a fit, and one page that holds them."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from evgen_jax.data.hdf5_output import new_hdf5
from evgen_jax.errors import ReconstructionError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.measurement.event import Event
from evgen_jax.model.expectation import DomExpectation
from evgen_jax.model.model import AnyModel, members_of
from evgen_jax.physics.sphere import fit_kent, fit_von_mises_fisher
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit.fit import Fitter
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.uncertainty.posterior import Posterior, make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.prior_density import make_prior, parameters_of_loss_priors, prior_limits
from evgen_jax.reconstruction.uncertainty.profile import scan_profile
from evgen_jax.reconstruction.uncertainty.sky_file import write_sky_map
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map
from evgen_jax.report.plots.event import arrival_times, event_display, expectation, light_yield
from evgen_jax.report.plots.uncertainty import corner, profile, sky

SCAN_POINTS = 21
SCAN_WIDTHS = 3.0
WORST = 9
AGREE = 1.05
"""R-hat up to which chains agree."""


@dataclass(frozen=True)
class ReportSettings:
    """What goes into a report besides the fit, its light and the event display.

    Attributes:
      scans: parameters to scan, all others fitted.
      sky_map: make an adaptive sky map and write it as FITS.
      posterior: sample the posterior.
      priors: of the posterior, see `make_prior`.
      notice: a line on every figure and on the page.
    """

    scans: tuple[str, ...] = ()
    sky_map: bool = False
    posterior: bool = False
    priors: dict | None = None
    notice: str = ""


def charge_pulls(view: DomExpectation, event: Event) -> np.ndarray:
    """(measured - expected charge) / width [D]; 0 where less than half a photoelectron is expected and less than 3 seen."""
    charge, expected = np.asarray(event.charge, np.float64), np.asarray(view.charge, np.float64)
    pull = (charge - expected) / np.sqrt(np.maximum(np.asarray(view.variance, np.float64), 1e-9))
    return np.where(np.asarray(event.usable) & ((expected > 0.5) | (charge >= 3)), pull, 0.0)


def mean_expectation(views: Sequence[DomExpectation]) -> DomExpectation:
    """What the members of an ensemble expect in the mean."""
    return jax.tree.map(lambda *arrays: np.mean(arrays, axis=0), *views)


def report_event(
    directory: Path, title: str, fitter: Fitter, event: Event, result: FitResult, settings: ReportSettings
) -> Path:
    """Writes the figures, tables and the page of one fitted event; returns the page.

    Args:
      directory: of the event, made if needed.
      title: such as run and event number.
      fitter: that fitted it.
      event, result: what was measured, what came out.
      settings: what else to make.

    Raises:
      ReconstructionError: the fit failed, or a package is not installed.
      ConfigError: an unknown parameter to scan.
    """
    if result.failed:
        raise ReconstructionError(f"{title}: the fit failed ({result.diagnostics.message}); there is nothing to show.")
    model, best, notice = fitter.model, result.hypothesis, settings.notice
    directory.mkdir(parents=True, exist_ok=True)
    models = {f"model {i}": member for i, member in enumerate(members_of(model))}
    if len(models) == 1:
        models = {"model": models["model 0"]}
    figures = [
        ("Event", event_display(directory / "event.png", members_of(model)[0], event, best, notice)),
        ("Brightest DOMs", arrival_times(directory / "brightest_doms.png", models, event, best, notice=notice)),
    ]
    views = {name: expectation(m, event, best) for name, m in models.items()}
    pulls = charge_pulls(mean_expectation(list(views.values())), event)
    worst = [int(d) for d in np.argsort(-np.abs(pulls), kind="stable")[:WORST] if pulls[d] != 0]
    titles = {d: f", {pulls[d]:+.1f} sigma" for d in worst}
    figures += [
        ("DOMs whose charge is farthest from the expected one",
         arrival_times(directory / "worst_doms.png", models, event, best, doms=worst, titles=titles, notice=notice)),
        ("Charges and their residuals", light_yield(directory / "charges.png", views, event, model.detector, notice)),
    ]  # fmt: skip
    notes: dict[str, str] = {}
    for name in settings.scans:
        unit = model.parameters[model.index(name)].unit
        with stage(f"scan of {name}"):
            scan = scan_profile(model, event, best, {name: _grid(model, result, name).tolist()})
        figures.append((f"Scan of {name}", profile(directory / f"scan_{name}.png", scan, [unit], notice)))
        low, high = scan.interval()
        notes[f"{name}, 68 % of the scan"] = f"{low:.6g} to {high:.6g} {unit}"
    if settings.sky_map:
        with stage("sky map"):
            found = make_sky_map(model)(event, best)
        write_sky_map(directory / "sky_map.fits", found)
        figures.append(("Sky map", sky(directory / "sky_map.png", found, notice=notice)))
        for level in (0.5, 0.9):
            notes[f"{100 * level:.0f} % contour"] = (
                f"{found.contour_area(level):.4g} (Wilks), {found.contour_area(level, 'posterior'):.4g} (posterior) "
                "square degrees"
            )
    if settings.posterior:
        notes |= _posterior(directory, figures, model, event, best, settings)
    page = directory / "index.html"
    write_whole(page, _page(title, model, result, notes, figures, notice))
    write_whole(directory / "fit.json", json.dumps(_plain(model, result), indent=1) + "\n")
    return page


def _grid(model: AnyModel, result: FitResult, name: str) -> np.ndarray:
    """Three widths of the Hessian to either side, at most one of the normalisation."""
    place = model.index(name)
    best, logged = result.hypothesis[place], model.trafo.log[place]
    covariance = result.covariance
    width = model.trafo.scale()[place]
    if covariance is not None and place in covariance.free:
        k = int(np.flatnonzero(covariance.free == place)[0])
        own = SCAN_WIDTHS * float(np.sqrt(covariance.physical[k, k]))
        width = min(width, own) if np.isfinite(own) else width
    steps = np.linspace(-width, width, SCAN_POINTS)
    return np.expm1(np.log1p(best) + steps) if logged else best + steps


def _posterior(
    directory: Path, figures: list, model: AnyModel, event: Event, best: np.ndarray, settings: ReportSettings
):
    priors = settings.priors or {}
    prior = make_prior(model.parameters, priors)
    with stage("posterior"):
        found = make_posterior_sampler(model, prior, FitSettings(bounds=prior_limits(model.parameters, priors)))(
            event, best, jax.random.key(0)
        )
    with new_hdf5(directory / "posterior.hdf5") as file:
        file["hypothesis"], file["log_density"] = found.hypothesis, found.log_density
        file.attrs["parameter_names"] = list(model.parameter_names)
    figures.append(("Posterior", corner(directory / "posterior.png", found, model.parameters, best, settings.notice)))
    stated = {"prior (flat in all else)": json.dumps(settings.priors)}
    if left_out := parameters_of_loss_priors(model):
        stated["priors of the fit that the posterior leaves out"] = ", ".join(left_out)
    return stated | posterior_notes(found, model.parameters)


def posterior_notes(found: Posterior, parameters: Sequence[Parameter]) -> dict[str, str]:
    """What the page says of chains, and of the directions that they hold."""
    apart = "" if found.r_hat.max() < AGREE else "; they do not agree yet: no widths to rely on"
    notes = {
        "chains": f"R-hat at most {found.r_hat.max():.3f}, at least {found.effective_samples.min():.0f} effective samples, "
        f"{found.divergences} divergences{apart}",
    }
    for zenith, azimuth in direction_pairs(parameters):
        own = found.samples[:, [zenith, azimuth]].T
        round_fit, kent = fit_von_mises_fisher(*own), fit_kent(*own)
        long, short = kent.sigmas
        role = str(parameters[zenith].role).replace("zenith", "direction")
        notes[f"posterior of {'_'.join((*parameters[zenith].group, role))}"] = (
            f"von Mises-Fisher width {_degrees(round_fit.sigma)}; Kent {_degrees(long)} by {_degrees(short)}"
        )
    return notes


def _degrees(width: float) -> str:
    """A width (rad) on the sphere, where none is larger than this."""
    return f"{np.degrees(width):.2f} degrees" if width < np.pi / 2 else "over 90 degrees"


def _plain(model: AnyModel, result: FitResult) -> dict:
    notes = result.diagnostics
    plain = {
        "hypothesis": dict(zip(model.parameter_names, map(float, result.hypothesis), strict=True)),
        "log_likelihood": result.log_likelihood, "log_likelihood_seed": result.log_likelihood_seed,
        "status": notes.message, "gradient_norm": notes.gradient_norm, "evaluations": notes.evaluations,
    }  # fmt: skip
    if result.covariance is not None:
        plain["covariance_of"] = [model.parameter_names[i] for i in result.covariance.free]
        plain["covariance"] = result.covariance.physical.tolist()
        plain["covariance_sandwich"] = result.covariance.physical_sandwich.tolist()
    return plain


def _page(title: str, model: AnyModel, result: FitResult, notes: dict[str, str], figures: Sequence, notice: str) -> str:
    """HTML that needs nothing but the figures beside it."""
    rows = []
    for i, parameter in enumerate(model.parameters):
        width = ""
        if result.covariance is not None and i in result.covariance.free:
            k = int(np.flatnonzero(result.covariance.free == i)[0])
            factor = 1 + result.hypothesis[i] if model.trafo.log[i] else 1.0
            own = [
                factor * float(np.sqrt(m[k, k]))
                for m in (result.covariance.physical, result.covariance.physical_sandwich)
            ]
            width = f"{own[0]:.4g} (sandwich {own[1]:.4g})"
        rows.append((parameter.name, f"{result.hypothesis[i]:.6g}", width, parameter.unit))
    table = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    diagnostics = result.diagnostics
    facts = {
        "log-likelihood": f"{result.log_likelihood:.3f} (seed {result.log_likelihood_seed:.3f})",
        "fit": f"{diagnostics.message}, gradient norm {diagnostics.gradient_norm:.2g}, {diagnostics.evaluations} evaluations",
        **notes,
    }
    if result.covariance is not None and np.isfinite(result.covariance.angular):
        facts["width of the direction"] = f"{np.degrees(result.covariance.angular):.3g} degrees per axis"
    listed = "".join(f"<li>{html.escape(k)}: {html.escape(v)}</li>" for k, v in facts.items())
    images = "".join(
        f'<h2>{html.escape(name)}</h2><img src="{html.escape(path.name)}" alt="{html.escape(name)}">'
        for name, path in figures
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        "<style>body{font-family:sans-serif;margin:2em;max-width:75em}td{padding:.1em 1em .1em 0}img{max-width:100%}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(notice)}</p><table><tr><th>parameter</th><th>fit</th>"
        f"<th>uncertainty</th><th>unit</th></tr>{table}</table><ul>{listed}</ul>{images}</html>\n"
    )
