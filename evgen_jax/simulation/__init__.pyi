from evgen_jax.building.analytic import analytic_counterpart as analytic_counterpart
from evgen_jax.building.analytic import analytic_model as analytic_model
from evgen_jax.simulation.draw import draw_hypotheses as draw_hypotheses
from evgen_jax.simulation.draw import parameter_ranges as parameter_ranges
from evgen_jax.simulation.draw import smeared_seeds as smeared_seeds
from evgen_jax.simulation.events import EventSampler as EventSampler
from evgen_jax.simulation.events import photoelectron_charges as photoelectron_charges
from evgen_jax.simulation.information import fisher_information as fisher_information
