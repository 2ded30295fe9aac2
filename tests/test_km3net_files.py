"""Real files of KM3NeT, those of km3net-testdata (PyPI, MIT); skipped where that package is not installed."""

import importlib.util

import numpy as np
import pytest

from evgen_jax.config.records import DataHandlerSettings, FormatSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.formats.time_over_threshold import charge_of
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import load_detector
from evgen_jax.report.inventory import inventory

pytest.importorskip("uproot")
data_path = pytest.importorskip("km3net_testdata").data_path
SHOWERS = "offline/mcv6.gsg_nue-CCHEDIS_1e4-1e6GeV.sirene.jte.jchain.aanet.1.root"
ORCA = "offline/KM3NeT_00000049_00011291.mc.gsg_neutrinos.km3sim_sirene_merged.jterbr.jppmuon_jppshower_static.offline.v9.2.sample.root"
ARCA = "detx/KM3NeT_-00000001_20171212.detx"


@pytest.fixture(scope="module")
def arca():
    return load_detector(data_path(ARCA), "mediterranean_water")


def test_showers_in_arca_are_events_with_labels(arca):
    """31 showers of 10 TeV to 1 PeV, calibrated: hits stand where the detector file says, and come when light does."""
    file = read_event_file(data_path(SHOWERS), DataHandlerSettings(data_settings={}), arca)
    assert len(file) == 31 and not file.faults and file.fingerprinted
    assert file.labels[:, 5].min() > 1e4 and file.labels[:, 5].max() < 1.01e6
    assert np.all((file.labels[:, 3] >= 0) & (file.labels[:, 3] <= np.pi) & (file.labels[:, 4] < 2 * np.pi))
    with open_tables(data_path(SHOWERS)) as tables:
        hits = tables.read("hits")
    # The charges that the experiment's calibration gave are those of our formula.
    np.testing.assert_allclose(charge_of(hits["tot"]), hits["a"], rtol=1e-3)
    # Triggered hits come as light would: at the distance from the vertex over the speed of light in water, or later.
    for number in range(5):
        own = hits[(hits["Event"] == file.ids[number, 1]) & (hits["trig"] > 0)]
        distance = np.linalg.norm(np.stack([own[axis] for axis in "xyz"], axis=1) - file.labels[number, :3], axis=1)
        delay = own["time"] - file.labels[number, 6] - distance * 1.37 / 0.299792458
        assert np.mean(np.abs(delay) < 100) > 0.2  # of noise 1 %


def test_raw_hits_are_calibrated_by_the_detector_file():
    """Hits of one file in the frame of the acquisition, raw in another one of the same detector."""
    orca = load_detector(data_path("detx/detx_v5.detx"), "mediterranean_water")
    settings = DataHandlerSettings(data_settings={})
    with pytest.raises(DataError, match="does not know|another detector"):
        read_event_file(data_path(ORCA), settings, load_detector(data_path(ARCA), "mediterranean_water"))
    plain = FormatSettings()
    with open_tables(data_path("online/events_sample.h5"), plain) as tables:
        raw = tables.read("hits")["time"]
    with open_tables(
        data_path("online/events_sample.h5"), FormatSettings(calibration=data_path("detx/detx_v4.detx"))
    ) as tables:
        rows = tables.read("hits")
    assert "x" in rows.dtype.names and 2e5 < np.median(rows["time"] - raw) < 2.2e5  # offsets of some 207 us
    assert orca.num_doms == 3348


def test_photons_of_the_simulation_need_the_detector_file():
    """Muons: their photons come when Cherenkov light does, or later, at the sensors that pmt_id names."""
    path, detx = data_path("offline/muon_cc_events.root"), data_path("detx/KM3NeT_00000133_20221025.detx")
    arca, data = load_detector(detx, "mediterranean_water"), {"pulse_key": "mc_hits"}
    with pytest.raises(DataError, match="'mc_hits' names sensors by pmt_id alone; give the detector file"):
        read_event_file(path, DataHandlerSettings(data_settings=data), arca)
    with pytest.raises(
        DataError, match=r"has a sensor \(pmt_id \d+\) that .* does not have: it is the file of another detector"
    ):
        wrong = DataHandlerSettings(data_settings=data, format_settings={"calibration": data_path(ARCA)})
        read_event_file(path, wrong, arca)
    file = read_event_file(path, DataHandlerSettings(data_settings=data, format_settings={"calibration": detx}), arca)
    assert len(file) == 1000 and not file.faults
    late = []
    for number in range(30):
        pulses, (x, y, z, zenith, azimuth, _, time) = file.packed.pulses.of(number), file.labels[number]
        dom = file.packed.active.of(number)["dom"][pulses["slot"]]
        along = -np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
        there = np.asarray(arca.position, np.float64)[dom] - [x, y, z]
        way = there @ along
        aside = np.linalg.norm(there - way[:, None] * along, axis=1)
        late += (pulses["time"] - time - (way + aside * np.sqrt(1.35**2 - 1)) / 0.299792458).tolist()
    assert np.percentile(late, 5) > 0 and np.median(late) < 300


def test_antares_and_hdf5_of_km3pipe():
    pulses = inventory(
        data_path("seatray/antares.h5"), DataHandlerSettings(data_settings={"pulse_key": "CalibratedPulses"})
    )
    assert (
        pulses.format == "ANTARES HDF5 (tableio)" and pulses.events == 19 and pulses.for_fitting.startswith("complete")
    )
    pytest.importorskip("hdf5plugin")
    for name, events in (("hdf5/numu_cc_test.h5", 2), ("hdf5/mupage_ARCA.h5", 150), ("hdf5/geamon.h5", 2)):
        file = inventory(data_path(name), DataHandlerSettings(data_settings={}))
        assert file.format == "KM3NeT HDF5 (km3pipe)" and file.events == events and file.for_training == "", (
            file.lines()
        )


def test_every_root_file_is_read_or_is_one_message():
    for name in (
        "gseagen/gseagen.root",
        "calib/KM3NeT_00000133_D_1.0.0_00017397_00017496_1.orientations.root",
        "offline/usr-sample.root",
    ):
        try:
            with open_tables(data_path(name)) as tables:
                assert tables.format == "KM3NeT ROOT" and len(tables.read("event_info"))
        except DataError as error:
            assert "of another kind" in str(error)
    assert importlib.util.find_spec("uproot")
