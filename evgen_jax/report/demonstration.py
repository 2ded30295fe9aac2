"""What the demo says of its fits: a summary in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evgen_jax.report.recovery import LEVEL
from evgen_jax.report.text_page import table

NOTICE = "Simulated cascades with light from photon transport tables; not IceCube simulation."
"""Says what the events are."""
QUANTITIES = ("vertex", "direction", "energy", "time")
"""Columns of the tables."""


@dataclass(frozen=True)
class Outcome:
    """Holds the numbers of a demo.

    Attributes:
      title: which events were fitted.
      medians: label -> median errors, see `medians` of `report.recovery`.
      coverage: label -> share of events inside the uncertainties, see `coverage` of `report.recovery`.
      gaps: label -> by how much the log-likelihood of a network is below the true one at the truth, per event.
      pulses: per event.
      cpu_seconds: stage -> seconds of all cores together.
      seconds: run time.
      missing: what was left out and why.
    """

    title: str
    medians: Mapping[str, Mapping[str, float]]
    coverage: Mapping[str, Mapping[str, float]]
    gaps: Mapping[str, float]
    pulses: float
    cpu_seconds: Mapping[str, float]
    seconds: float
    missing: Sequence[str] = ()


def summary(outcome: Outcome) -> str:
    """Writes the numbers as Markdown.

    Args:
      outcome: of a demo.

    Returns:
      The text, without figures.
    """
    lines = [
        "# evgen_jax demo",
        "",
        NOTICE,
        "",
        f"Median errors of {outcome.title}, fitted from the seeds (truth smeared by 30 m, 30 degrees and 0.5 in ln E):",
        "",
    ]
    lines += table(
        ("", "vertex (m)", "direction (deg)", "abs ln(E/E_true)", "time (ns)"),
        [
            (name, f"{r['vertex_m']:.2f}", f"{r['angle_deg']:.2f}", f"{r['log_energy']:.3f}", f"{r['time_ns']:.2f}")
            for name, r in outcome.medians.items()
        ],
    )
    lines += [
        "",
        "The Cramer-Rao bound is the least error that photons leave to any unbiased method.",
        "",
        f"Share of events whose truth lies inside the {100 * LEVEL:.0f} % of the uncertainties (right: {LEVEL:.2f}):",
        "",
    ]
    lines += table(
        ("", *QUANTITIES), [(name, *(f"{v:.2f}" for v in row.values())) for name, row in outcome.coverage.items()]
    )
    stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in outcome.cpu_seconds.items())
    lines += [
        "",
        "Log-likelihood per event at the truth: "
        + " and ".join(f"the {name} is {gap:.1f}" for name, gap in outcome.gaps.items())
        + f" below the true likelihood ({outcome.pulses:.0f} pulses per event).",
        *(f"Left out: {what}" for what in outcome.missing),
        "",
        f"Run time: {outcome.seconds:.0f} s; CPU seconds: {stages}.",
    ]
    return "\n".join(lines)
