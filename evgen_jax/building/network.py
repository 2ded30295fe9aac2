"""The record of a network's layers, a part of the record of every learned source."""

from collections.abc import Mapping
from typing import Annotated, Any

from evgen_jax.building.record import ZooRecord
from evgen_jax.config.kinds import Flag, Kind, Misfit, OneOf, Read, Real
from evgen_jax.config.record import described, needed
from evgen_jax.errors import ConfigError, shown
from evgen_jax.sources.learned.network import ACTIVATIONS, STARTS, NetworkShape, check_activation

METHODS = ("locally_connected", "convolution")


class _Activation(Kind):
    """The name of a function."""

    def check(self, value: Any) -> str:
        try:
            check_activation(value)
        except ConfigError as error:
            raise Misfit(str(error)) from None
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": list(ACTIVATIONS)}


def _each(kind: Kind, expected: str) -> Read:
    """One value for all layers, or a list with one for each."""

    def check(value: Any) -> Any:
        return tuple(kind.check(entry) for entry in value) if isinstance(value, list | tuple) else kind.check(value)

    one = kind.schema()
    return Read(expected, check, (("anyOf", [one, {"type": "array", "items": one}]),))


def _widths(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value or not all(type(w) is int and w > 0 for w in value):
        raise Misfit(f"expected a list of positive ints, got {shown(value)}.")
    return tuple(value)


def _no_batch_norm(value: Any) -> bool:
    if any(value) if isinstance(value, list | tuple) else value:
        raise Misfit(
            "is not supported, since the light of an event would depend on the others of its batch; set it to False."
        )
    return False


def _single_filters(value: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list | tuple) or any(size not in ([1, 1], (1, 1)) for size in value):
        raise Misfit("only [1, 1] is supported, DOMs do not share information.")
    return ((1, 1),) * len(value)


def _keep_prob(value: Any) -> float:
    if not 0 < Real().check(value) <= 1:
        raise Misfit(f"expected a number in (0, 1], got {shown(value)}.")
    return float(value)


METHOD = _each(OneOf(options=METHODS), "one of the methods, or one per layer")
ACTIVATION = _each(_Activation(), "one of the functions, or one per layer")
WIDTHS = Read("a list of whole numbers > 0", _widths, (("type", "array"), ("items", {"type": "integer", "minimum": 1})))
FLAG = _each(Flag(), "True or False, or one per layer")


class NetworkRecord(ZooRecord):
    """The layers of a network: lists have one entry per layer, a single value holds for all of them."""

    num_filters_list: Annotated[tuple[int, ...], WIDTHS] = needed(
        "Outputs of each layer; those of the last are the parameters of charge and arrival times."
    )
    method_list: Annotated[Any, METHOD] | None = described(
        None,
        "'locally_connected': weights of its own for every module, 'convolution': shared ones; empty: the first alone.",
    )
    activation_list: Annotated[Any, ACTIVATION] | None = described(
        None, "Activations; empty: elu, none for the last layer."
    )
    use_residual_list: Annotated[Any, FLAG] | None = described(
        None, "Whether a layer's input is added to its output; empty: everywhere but in the last layer."
    )
    use_dropout_list: Annotated[Any, FLAG] | None = described(
        None, "Whether outputs are dropped in training; empty: nowhere. The last layer keeps all."
    )
    keep_prob: (
        Annotated[
            float, Read("a number in (0, 1]", _keep_prob, (("type", "number"), ("exclusiveMinimum", 0), ("maximum", 1)))
        ]
        | None
    ) = described(None, "Probability that dropout keeps an output.")
    use_batch_norm_list: Annotated[Any, Read("False", _no_batch_norm)] = described(
        False, "Normalisation over batches, which is not there: False alone is possible."
    )
    layer_start: Annotated[str, OneOf(options=STARTS)] = described(
        STARTS[0],
        "How layers start: 'event_generator' as that program's, 'fan_in' as networks usually do, which learn in a tenth of the "
        "steps.",
    )
    time_filters_list: Annotated[tuple[int, ...], WIDTHS] | None = described(
        None,
        "Outputs of each layer of a network of the arrival times alone, computed where there are pulses; its layers are as the "
        "first of num_filters_list, with shared weights. Empty: one network for charge and times.",
    )
    filter_size_list: Annotated[Any, Read("a list of [1, 1]", _single_filters, (("type", "array"),))] = described(
        (), "Modules that a filter of Event-Generator covers: [1, 1] alone is possible."
    )

    def _per_layer(self, key: str, default: tuple[Any, ...]) -> tuple[Any, ...]:
        value, number = getattr(self, key), len(self.num_filters_list)
        value = default if value is None else value if isinstance(value, tuple) else (value,) * number
        if len(value) != number:
            raise Misfit(f"expected {number} entries (as num_filters_list), got {len(value)}.", key)
        return value

    def network(self) -> NetworkShape:
        """The layers."""
        last = len(self.num_filters_list) - 1
        methods = self._per_layer("method_list", ("locally_connected",) + ("convolution",) * last)
        dropout = self._per_layer("use_dropout_list", (False,) * (last + 1))
        return NetworkShape(
            self.num_filters_list,
            tuple(method == "locally_connected" for method in methods),
            self._per_layer("activation_list", ("elu",) * last + ("",)),
            self._per_layer("use_residual_list", (True,) * last + (False,)),
            dropout,
            self.keep_prob or 1.0,
            self.layer_start,
        )

    def time_network(self) -> NetworkShape | None:
        """The layers of the arrival times alone, if there are."""
        if self.time_filters_list is None:
            return None
        charge, last = self.network(), len(self.time_filters_list) - 1
        first = (charge.activations[:1] * last, charge.residual[:1] * last, charge.dropout[:1] * last)
        return NetworkShape(
            self.time_filters_list,
            (False,) * (last + 1),
            (*first[0], ""),
            (*first[1], False),
            (*first[2], False) if any(charge.dropout) else (),
            charge.keep_prob,
            charge.start,
        )

    def check(self) -> None:
        """Whether lists have one entry per layer and dropout has its probability."""
        dropout = self.network().dropout
        if dropout[-1]:
            raise Misfit("the last layer gives the distributions and keeps all.", "use_dropout_list")
        if self.keep_prob is None and any(dropout):
            raise Misfit("is missing; dropout needs a number in (0, 1].", "keep_prob")
        if self.keep_prob is not None and not any(dropout):
            raise Misfit("has no effect where use_dropout_list is False. Leave it out.", "keep_prob")


def network_fields(shape: NetworkShape, times: NetworkShape | None = None) -> Mapping[str, Any]:
    """The fields of a `NetworkRecord` that make these layers, those of the times among them."""
    dropout = {"use_dropout_list": shape.dropout, "keep_prob": shape.keep_prob} if any(shape.dropout) else {}
    return {
        "num_filters_list": shape.widths,
        "method_list": tuple(METHODS[0 if own else 1] for own in shape.per_dom),
        "activation_list": shape.activations,
        "use_residual_list": shape.residual,
        **dropout,
        **({} if shape.start == STARTS[0] else {"layer_start": shape.start}),
        **({} if times is None else {"time_filters_list": times.widths}),
    }
