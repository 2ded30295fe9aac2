"""What may stand in `scipy_optimizer_settings`: arguments of scipy.optimize.minimize that mean something here."""

from collections.abc import Mapping
from typing import Any

from evgen_jax.checks import is_number
from evgen_jax.errors import shown, suggestion

OPTIONS: dict[str, tuple[str, ...]] = {
    "BFGS": ("gtol", "norm", "maxiter", "xrtol", "c1", "c2", "disp"),
    "L-BFGS-B": ("gtol", "ftol", "maxcor", "maxfun", "maxiter", "maxls"),
}
"""SciPy's methods that fit here, and their options. Those about numerical derivatives do nothing: gradients are exact."""
GIVEN = {
    "fun": "the function is the model's likelihood",
    "x0": "fits start at the seeds",
    "args": "the likelihood has no further arguments",
    "hess": "BFGS does not use it; 'batched' fits start from the Hessian",
    "hessp": "BFGS does not use it; 'batched' fits start from the Hessian",
    "bounds": "write parameter_boundaries",
    "constraints": "BFGS does not know them; write parameter_boundaries",
    "callback": "a configuration holds no functions",
}
"""Arguments that are passed here or make no sense in a file, with what to do instead."""
WHOLE = ("maxiter", "maxfun", "maxcor", "maxls")


def checked_scipy_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the method's name as SciPy writes it; `jac: True` is what is done anyway and falls away.

    Raises:
      ValueError: its text goes on where the key `scipy_optimizer_settings` ends: an unknown method, an argument that is
        already given, an unknown option, or a value that is none.
    """
    settings = {k: v for k, v in settings.items() if k != "jac" or v is not True}
    given = settings.pop("method", None) or "BFGS"
    method = next((name for name in OPTIONS if name == str(given).upper()), None)
    if method is None:
        raise ValueError(f".method: {given!r} is unknown; known: {', '.join(OPTIONS)}." + suggestion(given, OPTIONS))
    known = ("method", "options", "tol", "jac")
    for key, value in settings.items():
        if key in GIVEN:
            raise ValueError(f".{key}: is already given: {GIVEN[key]}. Leave it out.")
        if key == "jac":
            raise ValueError(
                f".jac: got {shown(value)}; gradients are exact and always used: leave it out, or write True."
            )
        if key not in known:
            raise ValueError(f".{key}: unknown key. Known here: {', '.join(known)}." + suggestion(key, known))
    options = settings.get("options")
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f".options: got {shown(options)}; expected a mapping, as {{gtol: 0.1}}.")
    options = {k: v for k, v in (options or {}).items() if v is not None and not (k == "disp" and v is False)}
    for key, value in options.items():
        if key not in OPTIONS[method]:
            has = OPTIONS[method]
            raise ValueError(
                f".options.{key}: {method} does not have it or makes no use of it here. Known here: "
                f"{', '.join(has)}." + suggestion(key, has)
            )
        _check_option(f".options.{key}", key, value)
    _check_order(options)
    checked: dict[str, Any] = {"method": method}
    if options:
        checked["options"] = options
    if settings.get("tol") is not None:
        _check_option(".tol", "tol", settings["tol"])
        checked["tol"] = settings["tol"]
    return checked


def _check_option(where: str, key: str, value: Any) -> None:
    if key == "disp" and value is True:
        return
    if key in WHOLE and not (is_number(value) and isinstance(value, int) and value >= 1):
        raise ValueError(f"{where}: got {shown(value)}; expected a whole number >= 1.")
    if not is_number(value) or value != value or value < 0 and key != "norm":
        raise ValueError(f"{where}: got {shown(value)}; expected a number >= 0.")


def _check_order(options: Mapping[str, Any]) -> None:
    """The conditions on a line search, which SciPy states with a traceback."""
    c1, c2 = options.get("c1", 1e-4), options.get("c2", 0.9)
    if not 0 < c1 < c2 < 1:
        raise ValueError(f".options: c1 is {c1:g} and c2 is {c2:g}; expected 0 < c1 < c2 < 1.")
