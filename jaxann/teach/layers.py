"""What each layer does to its input, as text, and how an account shows it.

A formula enters itself by `layer_formula`, ours as a user's own; a layer without one is shown by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from jaxann import layers
from jaxann.core.checks import fail
from jaxann.core.factories import is_product
from jaxann.core.modes import TrainMode
from jaxann.core.products import Layer

__all__ = ["RECURRENT", "WRITTEN_OUT", "LayerFormula", "formula_of", "layer_formula"]

Mode = bool | TrainMode
F = TypeVar("F", bound=Callable[[Layer, Mode], str])


class LayerFormula(NamedTuple):
    """How a kind of layer is shown."""

    text: Callable[[Layer, Mode], str]
    weighted_sum: bool = False
    branches: bool = False
    scaled: str | None = None
    of_batch: Callable[[Layer], bool] | None = None
    convolution: bool = False
    like: Callable | None = None


_FORMULAS: dict[Callable, LayerFormula] = {}
RECURRENT = (layers.rnn, layers.lstm, layers.gru)
WRITTEN_OUT = (*RECURRENT, layers.multi_head_attention, layers.embedding, layers.layer_norm)


def layer_formula(
    layer: Callable,
    *,
    weighted_sum: bool = False,
    branches: bool = False,
    scaled: str | None = None,
    of_batch: Callable[[Layer], bool] | None = None,
    convolution: bool = False,
    like: Callable | None = None,
) -> Callable[[F], F]:
    """Decorate the formula of a layer, `formula(layer, train) -> text`, for the accounts of `explain`.

        @ja.teach.layer_formula(scale)
        def scale_formula(layer, train):
            return "s u"

    Args:
        layer: the factory that makes it.
        weighted_sum: whether it is u W + b with the parameters `weight` `(in, units)` and `bias`, so that its units can
            be written out one by one.
        branches: whether its children all read its input and what they give is added; a single child is added to the
            input itself.
        scaled: of branches, the child whose output is multiplied by a number drawn for each example in training.
        of_batch: whether a layer takes the mean and the variance of the batch in training.
        convolution: whether it is one with the parameters `weight` `(*size, channels / groups, filters)` and `bias`,
            and the arguments `stride`, `padding`, `dilation` and `padding_mode` of `layers.conv`.
        like: `layers.rnn`, `lstm`, `gru`, `multi_head_attention`, `embedding` or `layer_norm`, where it computes what
            this one does, with its parameters, arguments and layers inside: it is written out as this one is.

    The input is `u` in the text; what follows `; ` says what the letters mean.

    Raises:
        InputError: it is no factory, or like none of those.
    """
    if not callable(layer) or is_product(layer):
        fail("teach.layer_formula", "layer", "a factory of layers", layer)
    if like is not None and like not in WRITTEN_OUT:
        names = ", ".join(sorted(one.__name__ for one in WRITTEN_OUT))
        fail("teach.layer_formula", "like", f"one of {names} of jaxann.layers", like)

    def enter(text: F) -> F:
        _FORMULAS[layer] = LayerFormula(text, weighted_sum, branches, scaled, of_batch, convolution, like)
        return text

    return enter


def formula_of(layer: Layer) -> LayerFormula:
    """The formula of a layer; its name where it has none."""
    return _FORMULAS.get(layer.resolved._factory.public, _NAMED)


_NAMED = LayerFormula(lambda layer, train: f"{layer._factory.short_name}(u)")


@layer_formula(layers.dense, weighted_sum=True)
def _dense(layer: Layer, train: Mode) -> str:
    return "u W + b"


@layer_formula(layers.conv, convolution=True)
def _conv(layer: Layer, train: Mode) -> str:
    return "the sum of W times each window of u, plus b"


@layer_formula(layers.depthwise_conv, convolution=True)
def _depthwise_conv(layer: Layer, train: Mode) -> str:
    return "the sum of W times each window of u, each channel by itself, plus b"


@layer_formula(layers.conv_transpose)
def _conv_transpose(layer: Layer, train: Mode) -> str:
    return "the sum of the windows W times each place of u, plus b"


@layer_formula(layers.max_pool)
def _max_pool(layer: Layer, train: Mode) -> str:
    return "the greatest of each window of u"


@layer_formula(layers.avg_pool)
def _avg_pool(layer: Layer, train: Mode) -> str:
    return "the mean of each window of u"


@layer_formula(layers.global_pool)
def _global_pool(layer: Layer, train: Mode) -> str:
    return f"the {'mean' if layer.arguments['kind'] == 'avg' else 'greatest'} of all places of u"


@layer_formula(layers.drop_connect_dense)
def _drop_connect_dense(layer: Layer, train: Mode) -> str:
    return "drop_connect_dense(u)" if train else "u W + b"


@layer_formula(layers.gated_dense)
def _gated_dense(layer: Layer, train: Mode) -> str:
    product = "g(v) w" if layer.arguments["gate_first"] else "v g(w)"
    return f"{product}; v and w are the halves of u W + b"


@layer_formula(layers.maxout)
def _maxout(layer: Layer, train: Mode) -> str:
    return "the greatest of the pieces of u W + b"


@layer_formula(layers.flatten)
def _flatten(layer: Layer, train: Mode) -> str:
    return "u with all axes but the first as one"


@layer_formula(layers.prelu)
def _prelu(layer: Layer, train: Mode) -> str:
    return "max(u, 0) + alpha min(u, 0)"


@layer_formula(layers.swish)
def _swish(layer: Layer, train: Mode) -> str:
    return "u sigmoid(beta u)"


@layer_formula(layers.parametric_activation)
def _parametric_activation(layer: Layer, train: Mode) -> str:
    given = layer.arguments["activation"]
    return f"u + alpha ({given if isinstance(given, str) else getattr(given, '__name__', 'f')}(u) - u)"


@layer_formula(layers.rrelu)
def _rrelu(layer: Layer, train: Mode) -> str:
    return f"max(u, 0) + s min(u, 0); s is {'drawn at random' if train else 'the middle of its range'}"


@layer_formula(layers.batch_norm, of_batch=lambda layer: not layer.arguments["frozen"])
def _batch_norm(layer: Layer, train: Mode) -> str:
    batch = train and not layer.arguments["frozen"]
    statistics = "those of the batch" if batch else "the running ones"
    return f"scale (u - mean)/sqrt(var + eps) + bias; mean and var are {statistics}"


@layer_formula(layers.layer_norm, like=layers.layer_norm)
def _layer_norm(layer: Layer, train: Mode) -> str:
    return f"{_affine(layer)}; mean and var are those of each example's features"


@layer_formula(layers.group_norm)
def _group_norm(layer: Layer, train: Mode) -> str:
    return f"{_affine(layer)}; mean and var are those of a group of channels in each example"


@layer_formula(layers.instance_norm)
def _instance_norm(layer: Layer, train: Mode) -> str:
    return f"{_affine(layer)}; mean and var are those of a channel in each example"


def _affine(layer: Layer) -> str:
    scale, bias = layer.arguments["use_scale"], layer.arguments["use_bias"]
    return f"{'scale ' if scale else ''}(u - mean)/sqrt(var + eps){' + bias' if bias else ''}"


@layer_formula(layers.rnn, like=layers.rnn)
def _rnn(layer: Layer, train: Mode) -> str:
    f = layer.arguments["activation"]
    return f"h at every position, h' = {f}(u W + b + h U + d); h is 0 before the first one"


@layer_formula(layers.lstm, like=layers.lstm)
def _lstm(layer: Layer, train: Mode) -> str:
    return "h at every position, c' = f c + i g and h' = o tanh(c'); h and c are 0 before the first one"


@layer_formula(layers.gru, like=layers.gru)
def _gru(layer: Layer, train: Mode) -> str:
    return "h at every position, h' = (1 - u) n + u h; h is 0 before the first one"


@layer_formula(layers.last_position)
def _last_position(layer: Layer, train: Mode) -> str:
    return "u at its last position"


@layer_formula(layers.multi_head_attention, like=layers.multi_head_attention)
def _multi_head_attention(layer: Layer, train: Mode) -> str:
    return "softmax(Q K^T/sqrt(d)) V for each head; Q, K and V are parts of u W + b"


@layer_formula(layers.embedding, like=layers.embedding)
def _embedding(layer: Layer, train: Mode) -> str:
    return "the rows of E that u names"


@layer_formula(layers.learned_positions)
def _learned_positions(layer: Layer, train: Mode) -> str:
    return "u + P; P has a learned vector for each position"


@layer_formula(layers.sinusoidal_positions)
def _sinusoidal_positions(layer: Layer, train: Mode) -> str:
    return "u + P; P has sines and cosines of the position"


@layer_formula(layers.rms_norm)
def _rms_norm(layer: Layer, train: Mode) -> str:
    return f"{'scale ' if layer.arguments['use_scale'] else ''}u/sqrt(mean(u^2) + eps)"


@layer_formula(layers.weight_standardized)
def _weight_standardized(layer: Layer, train: Mode) -> str:
    scale = "scale " if layer.arguments["use_scale"] else ""
    return f"layer(u) with {scale}(W - mean)/sqrt(var + eps) for its W; mean and var are those of an output's weights"


@layer_formula(layers.weight_norm)
def _weight_norm(layer: Layer, train: Mode) -> str:
    return "layer(u) with scale W/|W| for its W; |W| is the length of an output's weights"


@layer_formula(layers.spectral_norm)
def _spectral_norm(layer: Layer, train: Mode) -> str:
    return "layer(u) with W/sigma for its W; sigma is W's greatest singular value"


@layer_formula(layers.dropout)
def _dropout(layer: Layer, train: Mode) -> str:
    return "u m/(1 - rate); m = 1 where kept, else 0" if train else "u"


@layer_formula(layers.alpha_dropout)
def _alpha_dropout(layer: Layer, train: Mode) -> str:
    return "p (u m + a0 (1 - m)) + q; m = 1 where kept, else 0" if train else "u"


@layer_formula(layers.spatial_dropout)
def _spatial_dropout(layer: Layer, train: Mode) -> str:
    return "spatial_dropout(u)" if train else "u"


@layer_formula(layers.gaussian_dropout)
def _gaussian_dropout(layer: Layer, train: Mode) -> str:
    return "u times noise of mean 1" if train else "u"


@layer_formula(layers.gaussian_noise)
def _gaussian_noise(layer: Layer, train: Mode) -> str:
    return "u + noise" if train else "u"


@layer_formula(layers.residual, branches=True)
def _residual(layer: Layer, train: Mode) -> str:
    return ("skip(u)" if "skip" in layer.children else "u") + " + body(u)"


@layer_formula(layers.stochastic_depth, branches=True, scaled="body")
def _stochastic_depth(layer: Layer, train: Mode) -> str:
    added = _residual(layer, train)
    return added.replace("body", "s body") + "; s is drawn for each example" if train else added


@layer_formula(layers.highway)
def _highway(layer: Layer, train: Mode) -> str:
    return "T body(u) + (1 - T) u; T is sigmoid(u W + b)"


@layer_formula(layers.squeeze_excitation)
def _squeeze_excitation(layer: Layer, train: Mode) -> str:
    return "s u; s has a share for each channel, made of the means of all channels over their places"


@layer_formula(layers.dense_block)
def _dense_block(layer: Layer, train: Mode) -> str:
    return "u and what each layer inside makes of all before it, joined"


@layer_formula(layers.resize)
def _resize(layer: Layer, train: Mode) -> str:
    return f"u with other places, {layer.arguments['method']} between those of u"


@layer_formula(layers.pad)
def _pad(layer: Layer, train: Mode) -> str:
    return "u with places around it"


@layer_formula(layers.crop)
def _crop(layer: Layer, train: Mode) -> str:
    return "u without places around it"


@layer_formula(layers.pixel_shuffle)
def _pixel_shuffle(layer: Layer, train: Mode) -> str:
    return "u with channels as places"


@layer_formula(layers.pixel_unshuffle)
def _pixel_unshuffle(layer: Layer, train: Mode) -> str:
    return "u with places as channels"
