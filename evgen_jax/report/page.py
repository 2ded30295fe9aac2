"""One folder per event: figures that let a physicist believe a fit, and one page that holds them."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from evgen_jax.data.hdf5_output import new_hdf5
from evgen_jax.errors import ReconstructionError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.interruption import told_when_interrupted
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.physics.sphere import fit_kent, fit_von_mises_fisher
from evgen_jax.reconstruction.fit.fit import Fitter
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.uncertainty.alert_header import best_direction
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.sky_file import write_sky_map
from evgen_jax.reconstruction.uncertainty.skyscan import write_skyscan
from evgen_jax.report.findings import Alert, Findings, ReportSettings, examine, with_posterior
from evgen_jax.report.plots.arrival_times import arrival_times
from evgen_jax.report.plots.canvas import event_title, write
from evgen_jax.report.plots.charges import light_yield
from evgen_jax.report.plots.display import event_display
from evgen_jax.report.plots.sky import sky_map
from evgen_jax.report.plots.uncertainty import corner, profile

AGREE = 1.05
"""Largest R-hat at which chains count as converged."""
Figure = tuple[str, Path]
"""Heading and file of a figure."""


def report_event(
    directory: Path,
    title: str,
    fitter: Fitter,
    event: Event,
    result: FitResult,
    settings: ReportSettings,
    truth: np.ndarray | None = None,
    alert: Alert | None = None,
) -> Path:
    """Writes the figures, tables and the page of one fitted event.

    Args:
      directory: of the event, made if needed.
      title: such as run and event number.
      fitter: that fitted the event.
      event: what was measured.
      result: of the fit.
      settings: what to compute besides the expected light.
      truth: [H], drawn and written beside the fit; None: not known.
      alert: makes the sky map celestial, with the files that others read; None: it is that of the detector's sky.

    Returns:
      The page, index.html.

    Raises:
      ReconstructionError: the fit failed, or a package is not installed.
      ConfigError: an unknown parameter to scan.
    """
    try:
        findings = examine(fitter, event, result, settings, truth, alert)
    except ReconstructionError as error:
        raise ReconstructionError(f"{title}: {error}") from None
    directory.mkdir(parents=True, exist_ok=True)
    figures = _figures(directory, title, findings, settings.notice)
    _write_tables(directory, findings)
    page = directory / "index.html"
    write_whole(page, _page(title, findings, settings, figures))
    if settings.posterior:  # takes longer than all else, which is not lost with it
        try:
            with told_when_interrupted(f"{page} holds all but the posterior."):
                findings = with_posterior(findings, settings)
        except ReconstructionError as error:
            raise ReconstructionError(f"{title}: {error}") from None
        figures.append(("Posterior", _write_posterior(directory, title, findings, settings.notice)))
        write_whole(page, _page(title, findings, settings, figures))
    return page


def _figures(directory: Path, name_of_event: str, findings: Findings, notice: str) -> list[Figure]:
    """Draws everything."""
    model, event, best, truth = findings.model, findings.event, findings.result.hypothesis, findings.truth
    named: dict[str, Any] = {"title": _title(name_of_event, findings), "notice": notice}
    models, first = findings.models, next(iter(findings.models.values()))
    titles = {d: f", {findings.pulls[d]:+.1f} sigma" for d in findings.worst}

    def times(name: str, **chosen: Any) -> Path:
        return write(directory / name, arrival_times(models, event, best, truth=truth, **chosen, **named))

    charges = write(directory / "charges.png", light_yield(findings.views, event, model.detector, **named))
    display = write(directory / "event.png", event_display(first, event, best, truth=truth, **named))
    worst = times("worst_doms.png", doms=findings.worst, titles=titles)
    figures = [
        ("Event", display),
        ("Brightest DOMs", times("brightest_doms.png")),
        ("DOMs whose charge is farthest from the expected one", worst),
        ("Charges and their residuals", charges),
    ]
    for name, scan in findings.scans.items():
        place = model.index(name)
        true = None if truth is None else [float(truth[place])]
        drawn = profile(scan, [model.parameters[place].unit], true, **named)
        figures.append((f"Scan of {name}", write(directory / f"scan_{name}.png", drawn)))
    if findings.sky_map is not None:
        pair = direction_pairs(model.parameters)[-1]  # that which `make_sky_map` maps
        towards = None if truth is None else (float(truth[pair[0]]), float(truth[pair[1]]))
        figures.append(("Sky map", write(directory / "sky_map.png", sky_map(findings.sky_map, towards, **named))))
    return figures


def _title(name_of_event: str, findings: Findings) -> str:
    """The title of figures: name, energy and pulses."""
    fit, parameters = findings.result.hypothesis, findings.model.parameters
    energies = [fit[i] for i, own in enumerate(parameters) if own.role in ("energy", "entry_energy")]
    return event_title(name_of_event, float(energies[0]) if energies else None, findings.event)


def _write_tables(directory: Path, findings: Findings) -> None:
    """Numbers for other programs: the fit and the sky map."""
    write_whole(directory / "fit.json", json.dumps(_plain(findings.model, findings.result), indent=1) + "\n")
    if findings.sky_map is not None:
        _write_sky_map(directory, findings, findings.sky_map)


def _write_posterior(directory: Path, name_of_event: str, findings: Findings, notice: str) -> Path:
    """The samples for other programs, and their figure, whose path is returned."""
    model, samples, best = findings.model, findings.posterior, findings.result.hypothesis
    assert samples is not None
    with new_hdf5(directory / "posterior.hdf5") as file:
        file["hypothesis"], file["log_density"] = samples.hypothesis, samples.log_density
        file.attrs["parameter_names"] = list(model.parameter_names)
    title = _title(name_of_event, findings)
    drawn = corner(model, samples, best, truth=findings.truth, title=title, notice=notice)
    return write(directory / "posterior.png", drawn)


def _write_sky_map(directory: Path, findings: Findings, found: SkyMap) -> None:
    """The map as FITS; of a celestial one also with pixels of several sizes, and as the Skymap Scanner's result."""
    alert = findings.alert
    if alert is None:
        write_sky_map(directory / "sky_map.fits", found)
        return
    header: dict[str, Any] = {"RUNID": alert.run, "EVENTID": alert.event}
    header |= {"SENDER": alert.sender} if alert.sender else {}
    write_sky_map(directory / "sky_map.fits", found, **header)
    write_sky_map(directory / "sky_map.multiorder.fits", found, multi_order=True, **header)
    write_skyscan(directory / "skyscan.json", found, findings.model, run_id=alert.run, event_id=alert.event)


def _notes(findings: Findings, settings: ReportSettings) -> dict[str, str]:
    """What the page says of scans, sky map and posterior."""
    notes: dict[str, str] = {}
    for name, scan in findings.scans.items():
        unit = findings.model.parameters[findings.model.index(name)].unit
        low, high = scan.interval()
        notes[f"{name}, 68 % of the scan"] = f"{low:.6g} to {high:.6g} {unit}"
    if (found := findings.sky_map) is not None:
        if found.celestial is not None:
            ra, declination = best_direction(found)
            notes["best pixel (J2000)"] = f"right ascension {ra:.2f}, declination {declination:+.2f} degrees"
        for level in (0.5, 0.9):
            notes[f"{100 * level:.0f} % contour"] = (
                f"{found.contour_area(level):.4g} (Wilks), {found.contour_area(level, 'posterior'):.4g} (posterior) "
                "square degrees"
            )
    if findings.posterior is not None:
        notes["prior (flat in all else)"] = json.dumps(settings.priors)
        if left_out := findings.model.loss.joint_prior(findings.model.parameters).names:
            notes["priors of the fit that the posterior leaves out"] = ", ".join(left_out)
        notes |= posterior_notes(findings.posterior, findings.model.parameters)
    return notes


def posterior_notes(found: Posterior, parameters: Sequence[Parameter]) -> dict[str, str]:
    """Writes what the page says of chains, and of the directions that they hold.

    Args:
      found: samples of the posterior.
      parameters: of the hypothesis.

    Returns:
      Text by its heading.
    """
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


def _plain(model: AnyModel, result: FitResult) -> dict[str, Any]:
    notes = result.diagnostics
    plain = {
        "hypothesis": dict(zip(model.parameter_names, map(float, result.hypothesis), strict=True)),
        "log_likelihood": result.log_likelihood,
        "log_likelihood_seed": result.log_likelihood_seed,
        "status": notes.message,
        "gradient_norm": notes.gradient_norm,
        "evaluations": notes.evaluations,
    }
    if result.covariance is not None:
        plain["covariance_of"] = [model.parameter_names[i] for i in result.covariance.free]
        plain["covariance"] = result.covariance.physical.tolist()
        plain["covariance_sandwich"] = result.covariance.physical_sandwich.tolist()
    return plain


def _page(title: str, findings: Findings, settings: ReportSettings, figures: Sequence[Figure]) -> str:
    """HTML that needs nothing but the figures beside it."""
    result, trafo = findings.result, findings.model.trafo
    rows = []
    for i, parameter in enumerate(findings.model.parameters):
        width = ""
        if result.covariance is not None and i in result.covariance.free:
            k = int(np.flatnonzero(result.covariance.free == i)[0])
            factor = 1 + result.hypothesis[i] if trafo.log[i] else 1.0
            own = [
                factor * float(np.sqrt(m[k, k]))
                for m in (result.covariance.physical, result.covariance.physical_sandwich)
            ]
            width = f"{own[0]:.4g} (sandwich {own[1]:.4g})"
        true = "" if findings.truth is None else f"{findings.truth[i]:.6g}"
        rows.append((parameter.name, f"{result.hypothesis[i]:.6g}", width, true, parameter.unit))
    diagnostics = result.diagnostics
    facts = {
        "log-likelihood": f"{result.log_likelihood:.3f} (seed {result.log_likelihood_seed:.3f})",
        "fit": f"{diagnostics.message}, gradient norm {diagnostics.gradient_norm:.2g}, {diagnostics.evaluations} evaluations",
        **_notes(findings, settings),
    }
    if result.covariance is not None and np.isfinite(result.covariance.angular):
        facts["width of the direction"] = f"{np.degrees(result.covariance.angular):.3g} degrees per axis"
    text = html.escape
    template = Template((resources.files("evgen_jax") / "report" / "page.html").read_text())
    return template.substitute(
        title=text(title),
        notice=text(settings.notice),
        rows="\n".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows),
        facts="\n".join(f"<li>{text(name)}: {text(fact)}</li>" for name, fact in facts.items()),
        figures="\n".join(
            f'<h2>{text(name)}</h2><img src="{text(path.name)}" alt="{text(name)}">' for name, path in figures
        ),
    )
