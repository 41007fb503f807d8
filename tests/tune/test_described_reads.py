"""How a study tells functions apart whose modules, classes and factories differ: all that they reach by a name."""

from __future__ import annotations

import functools
import json
import logging
import sys
from types import ModuleType
from typing import Any

import pytest

import jaxann as ja
from jaxann.losses import hinge
from jaxann.tune.described import described

HEAD = """
import abc, collections, dataclasses, enum, functools, types, typing
import jax, jax.numpy as jnp, numpy as np
import jaxann as ja
"""

SOURCES = {
    "a dict": "HELD = {'w': VALUE}\ndef loss(p): return HELD['w'] * p",
    "a nested dict": "HELD = {'w': [{'u': VALUE}]}\ndef loss(p): return HELD['w'][0]['u'] * p",
    "an ordered dict": "HELD = collections.OrderedDict(w=VALUE)\ndef loss(p): return HELD['w'] * p",
    "a set": "HELD = {VALUE}\ndef loss(p): return p in HELD",
    "a frozen set": "HELD = frozenset({VALUE})\ndef loss(p): return p in HELD",
    "bytes": "HELD = bytes([int(VALUE)])\ndef loss(p): return HELD[0] * p",
    "a number of 32 bits": "HELD = np.float32(VALUE)\ndef loss(p): return HELD * p",
    "a whole number of NumPy": "HELD = np.int8(VALUE)\ndef loss(p): return HELD * p",
    "an array of objects": "HELD = np.array([VALUE, None], object)\ndef loss(p): return HELD[0] * p",
    "a key": "HELD = jax.random.key(int(VALUE))\ndef loss(p): return jax.random.normal(HELD) * p",
    "a class": "class Held:\n    w = VALUE\ndef loss(p): return Held.w * p",
    "a base class": "class Base:\n    w = VALUE\nclass Held(Base): pass\ndef loss(p): return Held.w * p",
    "a static method": "class Held:\n    @staticmethod\n    def f(p): return VALUE * p\ndef loss(p): return Held.f(p)",
    "a class method": "class A:\n    @classmethod\n    def f(cls, p): return VALUE * p\ndef loss(p): return A.f(p)",
    "a property": "class A:\n    @property\n    def w(self): return VALUE\nheld = A()\ndef loss(p): return held.w * p",
    "a cached property": (
        "class Held:\n    @functools.cached_property\n    def w(self): return VALUE\nheld = Held()\n"
        "def loss(p): return held.w * p"
    ),
    "an enum": "class Held(enum.Enum):\n    w = VALUE\ndef loss(p): return Held.w.value * p",
    "an abstract class": (
        "class Held(abc.ABC):\n    @abc.abstractmethod\n    def f(self, p): ...\n"
        "class Own(Held):\n    def f(self, p): return VALUE * p\nheld = Own()\ndef loss(p): return held.f(p)"
    ),
    "a dataclass": "@dataclasses.dataclass\nclass A:\n    w: float = VALUE\nheld = A()\ndef loss(p): return held.w",
    "a namespace": "held = types.SimpleNamespace(w=VALUE)\ndef loss(p): return held.w * p",
    "a deque": "held = collections.deque([VALUE])\ndef loss(p): return held[0] * p",
    "an instance": (
        "class Held:\n    def __init__(self): self.w = VALUE\nheld = Held()\ndef loss(p): return held.w * p"
    ),
    "a partial": "half = functools.partial(jnp.multiply, VALUE)\ndef loss(p): return half(p)",
    "a jitted function": "half = jax.jit(lambda p: VALUE * p)\ndef loss(p): return half(p)",
    "a jitted partial": "half = jax.jit(functools.partial(jnp.multiply, VALUE))\ndef loss(p): return half(p)",
    "a mapped function": "half = jax.vmap(lambda p: VALUE * p)\ndef loss(p): return half(p)",
    "a gradient": "half = jax.grad(lambda p: VALUE * p)\ndef loss(p): return half(p)",
    "a cached function": "@functools.cache\ndef half(): return VALUE\ndef loss(p): return half() * p",
    "a custom rule": (
        "@jax.custom_vjp\ndef f(p): return p\nf.defvjp(lambda p: (p, None), lambda r, g: (VALUE * g,))\n"
        "def loss(p): return f(p)"
    ),
    "a custom tangent": (
        "@jax.custom_jvp\ndef f(p): return p\n@f.defjvp\ndef rule(p, t): return p[0], VALUE * t[0]\n"
        "def loss(p): return f(p)"
    ),
    "a library's function": "act = jnp.tanh if VALUE == 1 else jnp.sin\ndef loss(p): return act(p)",
    "a wrapper in a library's name": "loss = functools.wraps(ja.losses.hinge)(lambda p, t: VALUE * p)",
    "an attribute of a function": "def loss(p): return loss.w * p\nloss.w = VALUE",
    "a function within": "def f(p): return VALUE * p\ndef loss(p): return (lambda q: f(q))(p)",
    "a callable object": "class Loss:\n    def __call__(self, p): return VALUE * p\nloss = Loss()",
    "a callable of a base": (
        "class Base:\n    def __call__(self, p): return VALUE * p\nclass Loss(Base): pass\nloss = Loss()"
    ),
    "a helper of a callable": (
        "def f(p): return VALUE * p\nclass Loss:\n    def __call__(self, p): return f(p)\nloss = Loss()"
    ),
    "a callable tuple": (
        "class Loss(typing.NamedTuple):\n    w: float = 1.0\n    def __call__(self, p): return VALUE * p\nloss = Loss()"
    ),
    "a callable dict": "class Loss(dict):\n    def __call__(self, p): return VALUE * p\nloss = Loss()",
    "a number of one's own": "class Loss(float):\n    def __call__(self, p): return VALUE * p\nloss = Loss(3.0)",
    "a bound method": "class Held:\n    def f(self, p): return VALUE * p\nloss = Held().f",
    "a factory": (
        "@ja.core.factory(ja.core.Schedule)\ndef steady(rate): return lambda step: VALUE * rate\nloss = steady(0.1)"
    ),
    "a factory's helper": (
        "def f(rate): return VALUE * rate\n@ja.core.factory(ja.core.Schedule)\ndef steady(rate):\n"
        "    return lambda step: f(rate)\nloss = ja.optimizers.sgd(steady(0.1))"
    ),
}


def _module(source: str, value: float, name: str = "mymodule") -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec((HEAD + source).replace("VALUE", repr(value)), module.__dict__)  # noqa: S102
    return module


def _text(value: Any) -> str:
    return json.dumps(described(value))


@pytest.fixture(autouse=True)
def _modules():
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith("my"):
            del sys.modules[name]


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_function_reaches_is_told_apart_and_what_is_made_anew_is_not(name: str):
    one, again, other = (_text(_module(SOURCES[name], value).loss) for value in (1.0, 1.0, 5.0))
    assert one == again and one != other


@pytest.mark.parametrize(
    "source",
    [
        "import myconfig\ndef loss(p): return myconfig.held * p",
        "import myconfig as c\ndef loss(p): return c.held * p",
        "def loss(p):\n    import myconfig\n    return myconfig.held * p",
        "def loss(p):\n    from myconfig import held\n    return held * p",
        "import myconfig\ndef made(c): return lambda p: c.held * p\nloss = made(myconfig)",
        "import myconfig\ndef loss(p): return myconfig.half(p)",
    ],
)
def test_attributes_of_own_modules_are_told(source: str):
    def text(value: float) -> str:
        _module("held = VALUE\nother = object()\ndef half(p): return held * p", value, "myconfig")
        return _text(_module(source, 0.0).loss)

    assert text(1.0) == text(1.0) != text(5.0)


def test_what_is_imported_when_it_runs_and_is_not_there_yet_is_refused():
    loss = _module("def loss(p):\n    import mylater\n    return mylater.w * p", 1.0).loss
    with pytest.raises(ja.InputError, match="imported at the top of a file.*one that imports mylater when it runs"):
        described(loss)


def test_what_cannot_be_compared_is_refused_where_it_is_read():
    loss = _module("held = (n for n in range(3))\ndef loss(p): return next(held) * p", 1.0).loss
    with pytest.raises(ja.InputError, match="recipe must be made of functions and values that can be compared"):
        described(loss)


def test_a_logger_is_told_by_its_name():
    source = "import logging\nlog = logging.getLogger('mylog')\ndef loss(p):\n    log.info('x')\n    return VALUE * p"
    one = _text(_module(source, 1.0).loss)
    logging.getLogger("mylog").setLevel(logging.WARNING)
    assert _text(_module(source, 1.0).loss) == one


def test_a_library_is_told_by_its_names():
    wrapped = functools.partial(hinge)
    assert len(_text(hinge)) < 100 and len(_text(wrapped)) < 200
    assert len(_text(_module("def loss(p): return jnp.tanh(ja.losses.hinge(p, np.sign(p)))", 1.0).loss)) < 1000


def test_many_functions_that_call_each_other_are_told_once_each():
    names = [f"f{i}" for i in range(30)]
    calls = " + ".join(f"{name}(p)" for name in names)
    source = "\n".join(f"def {name}(p): return VALUE * p if p else {calls}" for name in names) + "\nloss = f0"
    one, other = _text(_module(source, 1.0).loss), _text(_module(source, 5.0).loss)
    assert one != other and len(one) < 100_000
