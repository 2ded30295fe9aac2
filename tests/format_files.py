"""Small files of the layouts of other programs, made of the tables of one of ours."""

import json
import sqlite3

import h5py
import numpy as np

IDS = ("Run", "Event", "SubEvent", "SubEventStream", "exists")
LABELS = ("cascade_x", "cascade_y", "cascade_z", "cascade_zenith", "cascade_azimuth", "cascade_energy", "cascade_time")


def tables_of(path):
    """The tables of an HDF5 file, by name."""
    with h5py.File(path) as file:
        return {name: data[:] for name, data in file.items() if isinstance(data, h5py.Dataset)}


def write_hdf5(path, tables):
    with h5py.File(path, "w") as file:
        for name, rows in tables.items():
            file[name] = rows
    return path


def columns_of(rows):
    return {name: rows[name] for name in rows.dtype.names}


def write_sqlite(path, tables):
    """Tables (name -> columns) as a database; `path` must not exist."""
    base = sqlite3.connect(path)
    for name, columns in tables.items():
        quoted = ", ".join(f'"{column}"' for column in columns)
        base.execute(f'CREATE TABLE "{name}" ({quoted})')
        marks = ", ".join("?" * len(columns))
        base.executemany(
            f'INSERT INTO "{name}" VALUES ({marks})', zip(*(c.tolist() for c in columns.values()), strict=True)
        )
    base.commit()
    base.close()
    return path


def write_parquet(path, columns):
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()}), path)
    return path


def tableio_tables(tables):
    """As the writers of tableio 1.17 book them: ids in I3EventHeader alone, event_no counts the events of a table."""
    events = np.unique(tables["LabelsMCCascade"]["Event"])
    header = {name: np.zeros(len(events), np.int64) for name in IDS}
    header |= {
        "Run": np.full(len(events), tables["LabelsMCCascade"]["Run"][0]),
        "Event": events,
        "exists": np.ones(len(events), int),
    }
    header |= {"time_start_mjd": np.full(len(events), 58000.0), "event_no": np.arange(len(events))}
    booked = {"I3EventHeader": header}
    for name, rows in tables.items():
        own = {c: v for c, v in columns_of(rows).items() if c not in IDS}
        booked[name] = own | {"event_no": np.unique(rows["Event"], return_inverse=True)[1]}
    return booked


def graphnet_tables(tables, detector):
    """A pulse map and the truth, as graphnet has them of IceCube."""
    pulses, labels = tables["MCPulses"], tables["LabelsMCCascade"]
    dom = detector.dom_index(pulses["string"], pulses["om"])
    place = np.asarray(detector.position, np.float64)[dom]
    count = len(pulses)
    return {
        "SplitInIcePulses": {
            **dict(zip(("dom_x", "dom_y", "dom_z"), place.T, strict=True)),
            "dom_time": pulses["time"], "charge": pulses["charge"], "width": np.ones(count), "rde": np.ones(count),
            "pmt_area": np.full(count, 0.0444), "string": pulses["string"].astype(float), "dom_number": pulses["om"].astype(float),
            "pmt_number": np.zeros(count), "dom_type": np.full(count, 20.0), "is_bright_dom": np.where(pulses["om"] == 3, 1.0, -1.0),
            "event_no": pulses["Event"].astype(np.int64) + 100,
        },
        "truth": {
            **dict(zip(("position_x", "position_y", "position_z"), (labels[n] for n in LABELS[:3]), strict=True)),
            "zenith": labels["cascade_zenith"], "azimuth": labels["cascade_azimuth"], "energy": 2 * labels["cascade_energy"],
            "energy_cascade": labels["cascade_energy"], "interaction_time": labels[LABELS[6]],
            "pid": np.full(len(labels), 12), "event_no": labels["Event"].astype(np.int64) + 100,
        },
    }  # fmt: skip


def records(columns, number, single=()):
    """One record per event: lists of the columns, except of single ones."""
    events = np.unique(number)
    return [
        {
            name: (values[number == e].tolist() if name not in single else values[number == e][0].item())
            for name, values in columns.items()
        }
        for e in events
    ]


def write_records(path, tables, metadata=None):
    """One column of records per table, as awkward writes them."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: pyarrow.array(rows) for name, rows in tables.items()})
    if metadata:
        table = table.replace_schema_metadata({name: json.dumps(value) for name, value in metadata.items()})
    pyarrow.parquet.write_table(table, path)
    return path


def write_prometheus(path, tables, detector):
    """Photons and truth of Prometheus; directions are those of the flight."""
    pulses, labels = tables["MCPulses"], tables["LabelsMCCascade"]
    place = np.asarray(detector.position, np.float64)[detector.dom_index(pulses["string"], pulses["om"])]
    photons = {
        **dict(zip(("sensor_pos_x", "sensor_pos_y", "sensor_pos_z"), place.T, strict=True)),
        "string_id": pulses["string"].astype(np.int64), "sensor_id": pulses["om"].astype(np.int64), "t": pulses["time"],
        "id_idx": np.ones(len(pulses), np.int64),
    }  # fmt: skip
    truth = [
        {
            "interaction": 1, "initial_state_energy": float(row["cascade_energy"]), "initial_state_type": 12,
            "initial_state_zenith": np.pi - float(row["cascade_zenith"]),
            "initial_state_azimuth": float(row["cascade_azimuth"]) - np.pi,
            **{f"initial_state_{axis}": float(row[f"cascade_{axis}"]) for axis in "xyz"},
            "final_state_energy": [1.0, 2.0], "final_state_type": [11.0, -2000001006.0], "bjorken_x": 0.1, "bjorken_y": 0.2,
        }
        for row in labels
    ]  # fmt: skip
    lists = [{name: values[pulses["Event"] == e].tolist() for name, values in photons.items()} for e in labels["Event"]]
    config = {"run": {"run number": 7}, "detector": {"geo file": "small.geo"}}
    return write_records(path, {"mc_truth": truth, "photons": lists}, {"config_prometheus": config})


def write_km3pipe(path, tables, grouped, offset=0.0):
    """HDF5 of km3pipe: hits as a group of columns or as one dataset; times are those of a time slice where `offset` is not 0."""
    pulses, labels = tables["MCPulses"], tables["LabelsMCCascade"]
    number = np.searchsorted(labels["Event"], pulses["Event"])
    hits = {
        "channel_id": pulses["om"].astype(np.int64), "dom_id": pulses["string"].astype(np.int64), "time": pulses["time"] + offset,
        "tot": np.full(len(pulses), 26), "triggered": np.ones(len(pulses), np.int64), "group_id": number,
    }  # fmt: skip
    zenith, azimuth = labels["cascade_zenith"], labels["cascade_azimuth"]
    tracks = {
        "dir_x": -np.sin(zenith) * np.cos(azimuth), "dir_y": -np.sin(zenith) * np.sin(azimuth), "dir_z": -np.cos(zenith),
        "energy": labels["cascade_energy"], "id": np.ones(len(labels), int), "length": np.zeros(len(labels)),
        **{f"pos_{axis}": labels[f"cascade_{axis}"] for axis in "xyz"}, "time": labels[LABELS[6]],
        "type": np.full(len(labels), 12), "group_id": np.arange(len(labels)),
    }  # fmt: skip
    info = {
        "det_id": np.full(len(labels), 42), "frame_index": np.full(len(labels), 3), "run_id": np.full(len(labels), 5),
        "trigger_counter": np.arange(len(labels)), "mc_time": np.full(len(labels), 2e8 + offset if offset else 0.0),
        "group_id": np.arange(len(labels)),
    }  # fmt: skip

    def rows(columns):
        out = np.empty(len(next(iter(columns.values()))), [(name, values.dtype) for name, values in columns.items()])
        for name, values in columns.items():
            out[name] = values
        return out

    with h5py.File(path, "w") as file:
        file.attrs["km3pipe"] = "9.0.0"
        file["event_info"], file["mc_tracks"] = rows(info), rows(tracks)
        if grouped:
            for name, values in hits.items():
                file[f"hits/{name}"] = values
            file["hits/_indices"] = np.zeros(3, [("index", int), ("n_items", int)])
        else:
            file["hits"] = rows(hits)
    return path
