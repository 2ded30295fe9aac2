"""Makes the networks that come with the package from nothing: simulates, trains and saves.

python experiments/shipped_networks.py demo|icecube86-cascade [-o DIR] [--set key=value ...]

DIR keeps events and training, so that the command goes on where it was interrupted; DIR/network is what lies in
`evgen_jax/tables/networks/NAME`.

demo: cascades of 1 to 30 TeV with noise and light from tables, configuration `evgen_jax/tables/demo.yaml` with more events and
steps. icecube86-cascade: cascades photon by photon, configuration `icecube86_cascade.yaml`; the noise of the modules is added
after the training, since expected events have none.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import evgen_jax as eg
from evgen_jax.building.experiment import build_model, experiment_trafo
from evgen_jax.cli.demonstration import train_on_simulation
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import load_config

ROOT = Path(__file__).parents[1]
CONFIGURATIONS = {
    "demo": ROOT / "evgen_jax" / "tables" / "demo.yaml",
    "icecube86-cascade": ROOT / "experiments" / "icecube86_cascade.yaml",
}
LONGER = (
    "simulation_settings.num_events=6000",
    "simulation_settings.events_per_file=200",
    "simulation_settings.random_seed=7",
    "simulation_settings.merge_pulses=null",
    "data_iterator_settings.training.input_data=['{directory}/events/demo_00000?.hdf5', '{directory}/events/demo_00001?.hdf5']",
    "data_iterator_settings.training.num_add_files=20",
    "data_iterator_settings.trafo.input_data='{directory}/events/demo_00000?.hdf5'",
    "data_iterator_settings.validation.input_data='{directory}/events/demo_000029.hdf5'",
    "data_iterator_settings.test.input_data='{directory}/events/demo_000029.hdf5'",
    "training_settings.num_training_iterations=20000",
    "training_settings.optimizer_settings.learning_rate.settings.boundaries=[100, 5000]",
    "training_settings.optimizer_settings.learning_rate.settings.scheduler_settings=["
    "{full_class_string: PolynomialDecay, settings: {initial_learning_rate: 0.001, end_learning_rate: 0.005, decay_steps: 100}}, "
    "{full_class_string: PolynomialDecay, settings: {initial_learning_rate: 0.005, end_learning_rate: 0.005, decay_steps: 4900}}, "
    "{full_class_string: PolynomialDecay, settings: {initial_learning_rate: 0.005, end_learning_rate: 0.00001, decay_steps: 15000, power: 2}}]",
)
"""Changes of the demo's configuration."""


def with_noise(config, cascade: Path) -> eg.Model:
    """A cascade network and the noise of the modules, which is known."""
    section = ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"cascade": "cascade", "noise": "noise"}},
        multi_source_bases={
            "cascade": ModelSettings(load_dir=str(cascade)),
            "noise": ModelSettings(model_class="AnalyticNoiseModel"),
        },
    )
    whole = config.model_copy(update={"model_settings": section})
    return build_model(whole, experiment_trafo(whole))


def main() -> None:
    """Makes one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONFIGURATIONS)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    directory = (given.output or Path(f"network_{given.name}")).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.yaml"
    path.write_text(CONFIGURATIONS[given.name].read_text().replace("{directory}", str(directory)))
    longer = [text.replace("{directory}", str(directory)) for text in LONGER] if given.name == "demo" else []
    config = load_config(path, [*longer, *given.settings])
    model = train_on_simulation(config, directory / "events", directory / "exported")
    if given.name != "demo":
        model = with_noise(config, directory / "exported")
    # Tables of events are those of the user's file, not of this training.
    kept = {k: v for k, v in model.settings.items() if k in ("unique_name", "model_settings", "loss_module_settings")}
    shutil.rmtree(directory / "network", ignore_errors=True)
    print(f"wrote {eg.save_model(replace(model, settings=kept), directory / 'network')}")


if __name__ == "__main__":
    main()
