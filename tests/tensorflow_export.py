"""Writes small exports in the layout of Event-Generator 2: configurations, pickles and TensorFlow's checkpoints.

The checkpoints are written from the description of their format alone, independent of the reader.
"""

import pickle
import struct
import sys
import types
from pathlib import Path

import numpy as np
import yaml

MAGIC = 0xDB4775248B80FB57
SUFFIX = b"/.ATTRIBUTES/VARIABLE_VALUE"
NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}


# Checkpoints ---------------------------------------------------------------------------------------------------------


def masked_checksum(data: bytes) -> int:
    """Bit by bit, slow and simple."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes, fixed: bool = False) -> bytes:
    if fixed:
        return varint(number << 3 | 5) + struct.pack("<I", value)
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    out, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(entries):
        if i % interval == 0:
            restarts.append(len(out))
            before = b""
        shared = next(
            (n for n, (a, b) in enumerate(zip(key, before, strict=False)) if a != b), min(len(key), len(before))
        )
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return out + b"".join(struct.pack("<I", r) for r in [*restarts, len(restarts)])


def table(entries: dict[bytes, bytes], per_block: int = 5, compress=None) -> bytes:
    """A sorted table; `compress` packs blocks (type 1)."""
    file, index = b"", []

    def put(content: bytes) -> bytes:
        nonlocal file
        packed = compress(content) if compress else content
        place = varint(len(file)) + varint(len(packed))
        trailed = packed + bytes([1 if compress else 0])
        file += trailed + struct.pack("<I", masked_checksum(trailed))
        return place

    keys = sorted(entries)
    for i in range(0, len(keys), per_block):
        own = keys[i : i + per_block]
        index.append((own[-1], put(block([(key, entries[key]) for key in own]))))
    footer = put(block([])) + put(block(index, 1))
    return file + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def bundle(
    arrays: dict[str, np.ndarray], shards: int = 1, header: bytes = b""
) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Entries of the table and the contents of the files of arrays."""
    files = [b""] * shards
    entries = {b"": field(1, shards) + field(3, field(1, 1)) + header}
    # As TensorFlow does: a text that describes the objects, which no reader of arrays needs.
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(2, b"") + field(5, 0)
    for i, (name, values) in enumerate(sorted(arrays.items())):
        data, shard = values.tobytes(), i % shards
        shape = b"".join(field(2, field(1, n)) for n in values.shape)
        entries[name.encode() + SUFFIX] = (
            field(1, NUMBERS[values.dtype.name])
            + field(2, shape)
            + (field(3, shard) if shard else b"")
            + (field(4, len(files[shard])) if files[shard] else b"")
            + field(5, len(data))
            + field(6, checksum_of(data), fixed=True)
        )
        files[shard] += data
    return entries, files


def checksum_of(data: bytes) -> int:
    """Of long arrays by the reader's own function, which is tested against the slow one on short data."""
    if len(data) < 4096:
        return masked_checksum(data)
    from evgen_jax.importing.checksum import masked_crc32c

    return masked_crc32c(data)


def write_checkpoint(
    prefix: Path, arrays: dict[str, np.ndarray], shards: int = 1, header: bytes = b"", **options
) -> None:
    entries, files = bundle(arrays, shards, header)
    prefix.with_name(prefix.name + ".index").write_bytes(table(entries, **options))
    for i, data in enumerate(files):
        prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{shards:05d}").write_bytes(data)


# Pickles -------------------------------------------------------------------------------------------------------------


def _foreign(module: str, name: str, kind=type) -> type:
    """A class of a module that is not installed, as far as a pickle can tell."""
    made = types.ModuleType(module)
    found = type(name, (), {"__module__": module}) if kind is type else kind
    if kind is not type:
        found.__module__, found.__qualname__, found.__name__ = module, name, name
    setattr(made, name, found)
    for i in range(1, module.count(".") + 2):
        sys.modules.setdefault(".".join(module.split(".")[:i]), types.ModuleType(module))
    sys.modules[module].__dict__[name] = found
    return found


def transformation(mean, std, log, constant: float = 1e-6) -> bytes:
    """A `data.pickle` of a data_trafo."""
    own = {m for m in sys.modules if m.split(".")[0] in ("egenerator", "tensorflow")}
    tensor, tensors = (_foreign("egenerator.data.tensor", name) for name in ("DataTensor", "DataTensorList"))

    def as_dtype(name):
        return name

    _foreign("tensorflow.python.framework.dtypes", "as_dtype", as_dtype)

    class Type:
        def __reduce__(self):
            return as_dtype, ("float64",)

    try:
        listed = tensors()
        listed.list = []
        for name, flags in (("x_dom_charge", [True]), ("x_parameters", log), ("x_pulses", None)):
            one = tensor()
            one.__dict__ |= {
                "name": name,
                "trafo_log": flags,
                "trafo_reduce_axes": (1, 2),
                "specs": {},
                "shape": [None, 2],
            }
            listed.list.append(one)
        listed.len = 3
        content = {
            "tensors": listed,
            "np_float_dtype": np.float64,
            "tf_float_dtype": Type(),
            "norm_constant": constant,
            "creation_time": "2026-11-26",
            "x_parameters_mean": np.array(mean, float),
            "x_parameters_std": np.array(std, float),
            "x_dom_charge_mean": np.ones((86, 1, 1)),
        }
        return pickle.dumps(content, protocol=2)
    finally:
        for module in [m for m in sys.modules if m.split(".")[0] in ("egenerator", "tensorflow")]:
            if module not in own:
                del sys.modules[module]


# Components ----------------------------------------------------------------------------------------------------------


def component(kind: str, config: dict | None = None, parts: dict | None = None, **more) -> dict:
    """A component as a tree: what is written about it, its parts, its arrays."""
    return {"kind": kind, "config": config, "parts": parts or {}, **more}


def describe(own: dict) -> dict:
    settings = own.get("settings", {"config": own["config"]} if own["config"] is not None else {})
    return {
        "class_string": own["kind"],
        "settings": settings,
        "mutable_settings": {},
        "check_values": own.get("check", {}),
        "sub_component_configurations": {n: describe(p) for n, p in own["parts"].items()} | own.get("beside", {}),
        "dependent_sub_components": list(own["parts"]),
        "mutable_sub_components": [],
        "event_generator_version": own.get("version", "2.0.0-dev"),
    }


def write_component(own: dict, directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "configuration.yaml").write_text(yaml.safe_dump(describe(own)))
    (directory / "data.pickle").write_bytes(own.get("pickle", pickle.dumps({}, protocol=2)))
    if "arrays" in own:
        # An older checkpoint, of which nothing is left, and the latest one, among the protected.
        listed = {"creation_date": "2026-11-26 16:01:07", "description": None, "time_stamp": 1795708867.8}
        record = {
            "latest_checkpoint": 2,
            "unprotected_checkpoints": {1: {**listed, "file_basename": "model_checkpoint_00000001"}},
            "protected_checkpoints": {2: {**listed, "file_basename": "model_checkpoint_00000002"}},
        }
        (directory / "model_checkpoint.yaml").write_text(yaml.safe_dump(record))
        arrays = {f"model/{i}": np.asarray(a) for i, a in enumerate(own["arrays"])} | {
            "step": np.array(own.get("step", 7))
        }
        write_checkpoint(directory / "model_checkpoint_00000002", arrays)
    for name, part in own["parts"].items():
        write_component(part, directory / name)
    return directory


ELU = "egenerator.utils.value_range.EluValueRange"


def elu(offset: float, least: float) -> dict:
    return {"value_range_class": ELU, "config": {"scale": 1.0, "offset": offset, "min_value": least}}


def negative_binomial() -> dict:
    config = {"float_precision": "float32", "value_range_mapping": {"alpha": elu(-5.0, 1e-4)}}
    return component("egenerator.model.decoder.static.poisson.NegativeBinomialDecoder", config, arrays=[])


def mixture(base: str, decoder: dict, count: int) -> dict:
    config = {"decoder_mapping": {base: [base, count, 1.0]}, "value_range_mapping": {"weight": elu(1.0, 1e-5)}}
    return component("egenerator.model.decoder.mixture.MixtureModel", config, {base: decoder}, arrays=[])


def asymmetric_gaussian() -> dict:
    ranges = {"sigma": elu(-1.0, 0.01), "r": elu(1.0, 1e-4)}
    config = {"float_precision": "float32", "value_range_mapping": ranges}
    return component("egenerator.model.decoder.static.asymmetric_gaussian.AsymmetricGaussianDecoder", config, arrays=[])


def trafo(mean, std, log) -> dict:
    check = {"x_parameters_mean": float(np.mean(mean)), "x_parameters_std": float(np.mean(std))}
    return component("egenerator.data.trafo.DataTransformer", None, pickle=transformation(mean, std, log), check=check)


MEAN = [0.5, -2.0, -10.0, 1.5, 3.0, 9.0, 9700.0]
STD = [300.0, 310.0, 350.0, 0.6, 1.7, 2.0, 500.0]
LOG = [False] * 5 + [True, False]
WIDTHS = [3, 4, 10]


def cascade(seed: int = 0, inputs: int = 14, widths=WIDTHS, **config) -> dict:
    """A cascade of two Gaussians in time with random weights; the first layer has its own for every module."""
    rng = np.random.default_rng(seed)
    arrays, last = [], len(widths) - 1
    for i, width in enumerate(widths):
        lead = (86, 60) if i == 0 else ()
        kernel = (86, 60, inputs, width) if i == 0 else (1, 1, inputs, width)
        arrays += [rng.normal(0, 0.3, (*lead, width)), rng.normal(0, 0.5, kernel)]
        arrays += [rng.normal(0, 0.3, (width,))] if i < last else []
        inputs = width
    own = {
        "float_precision": "float32",
        "num_filters_list": list(widths),
        "filter_size_list": [[1, 1]] * len(widths),
        "method_list": ["locally_connected"] + ["convolution"] * last,
        "activation_list": ["elu"] * last + [""],
        "use_residual_list": [True] * last + [False],
        "use_dropout_list": False,
        "use_batch_norm_list": False,
        "keep_prob": None,
        "shift_cascade_vertex": True,
        "charge_scale_tensors": ["mu"],
        "mixture_component_t_seeds": [0, 100],
        "additional_label_names": [],
    }
    parts = {
        "data_trafo": trafo(MEAN, STD, LOG),
        "decoder": mixture("AG", asymmetric_gaussian(), 2),
        "decoder_charge": negative_binomial(),
    }
    kind = "egenerator.model.source.cascade.default.DefaultCascadeModel"
    return component(kind, own | config, parts, arrays=[a.astype(np.float32) for a in arrays])


def noise(seed: int = 1) -> dict:
    names = [f"NegativeBinomial_mu_{i:03d}" for i in range(3)]
    config = {"float_precision": "float32", "num_local_vars": 9, "charge_scale_tensors": names}
    parts = {"decoder_charge": mixture("NegativeBinomial", negative_binomial(), 3), "data_trafo": trafo(MEAN, STD, LOG)}
    values = np.random.default_rng(seed).normal(0, 0.3, 9).astype(np.float32)
    return component("egenerator.model.source.noise.default.DefaultNoiseModel", config, parts, arrays=[values])


def independent(bases: dict, mean=MEAN, std=STD, log=LOG) -> dict:
    config = {"float_precision": "float32", "sources": {name: name for name in bases}}
    kind = "egenerator.model.multi_source.independent.IndependentMultiSource"
    own = component(kind, None, bases | {"data_trafo": trafo(mean, std, log)}, arrays=[])
    return own | {"settings": {"config": config, "decoder": None, "decoder_charge": None}}


def starting(base: dict, number: int = 2) -> dict:
    """A cascade and further ones along its direction."""
    more = number - 1
    config = {"float_precision": "float32", "num_cascades": number}
    kind = "egenerator.model.multi_source.muon.starting.StartingVariableMultiCascadeModel"
    joint = trafo(MEAN + [8.0, 100.0] * more, STD + [2.0, 80.0] * more, LOG + [True, False] * more)
    own = component(kind, None, {"cascade": base, "data_trafo": joint}, arrays=[])
    return own | {"settings": {"config": config, "decoder": None, "decoder_charge": None}}


RECO = {
    "unique_name": "small",
    "loss_module_settings": [
        {"loss_module": "egenerator.loss.default.DefaultLossModule", "config": {"loss_function_name": name}}
        for name in ("unbinned_pulse_time_llh", "dom_charge_pdf")
    ],
    "data_handler_settings": {
        "data_handler": "modular.ModuleDataHandler",
        "data_module": "pulse_data.PulseDataModule",
        "data_settings": {
            "pulse_key": "MCPulses",
            "event_id_key": "LabelsMCCascade",
            "dom_exclusions_key": "BadDomsList",
        },
        "label_module": "snowstorm_cascades.SnowstormCascadeGeneratorLabelModule",
        "label_settings": {"label_key": "LabelsMCCascade", "trafo_log": LOG},
    },
    "reconstruction_settings": {"seed": "SmearedSeed", "reco_output_file": "/data/{unique_name}/fits.hdf5"},
}


def export(directory: Path, *models: dict) -> Path:
    """The directory of an export with one model, or several of an ensemble."""
    parts = {f"models_{i:04d}": model for i, model in enumerate(models)}
    write_component(component("egenerator.manager.source.SourceManager", {"I3ParticleMapping": {}}, parts), directory)
    (directory / "reco_config.yaml").write_text(yaml.safe_dump(RECO))
    return directory
