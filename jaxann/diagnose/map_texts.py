"""What each kind of layer computes, and what goes wrong there: short texts for the map.

In a formula `u` is the input of the layer.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAMILIES", "KINDS", "Text", "text_of"]


class Text(NamedTuple):
    """What is said of a kind of layer.

    Attributes:
        family: the key of its pitfalls in `FAMILIES`.
        formula: what it computes.
    """

    family: str
    formula: str


# What goes wrong with layers of one family; a number such as E40 is that of a row of `jaxann explain --errata`.
FAMILIES = {
    "input": (
        "Columns of unequal scale make a long narrow valley of the loss: standardize with the training rows alone.",
        "Scaling to [0, 1] is not what a net needs (E51); zero mean and unit variance is.",
    ),
    "dense": (
        "Equal weights give equal units that stay equal (E40); only biases may begin at 0.",
        "Draw weights for the activation that follows: He for relu and its kin, Glorot for tanh (E38, E39).",
        "The gradient that goes down is multiplied by these weights: too small vanishes, too large explodes (E52).",
    ),
    "conv": (
        "Channels come last: (batch, height, width, channels).",
        "A bias right before batch normalization does nothing (E46).",
        "Strides and padding decide which places meet: look at the shape of the output.",
    ),
    "pool": (
        "The greatest of a window sends its gradient to one place alone.",
        "Pooling too early throws away where something was.",
    ),
    "norm": (
        "Batch normalization takes the batch in training and running statistics in evaluation (E44): a small batch "
        "or stale statistics make the two disagree.",
        "Keep its scale and bias out of weight decay (E42).",
        "It does not make a deep plain net safe: without skips the gradient can still explode at the start (E45).",
    ),
    "recurrent": (
        "The gradient goes back through every position: clip its norm against explosion, use gates against vanishing.",
        "Sigmoid gates and tanh states; relu needs identity weights or clipping (E55).",
        "Padding must be masked, else the last position is a padded one.",
    ),
    "attention": (
        "Without the division by sqrt(d) the softmax saturates as heads grow wider.",
        "A language model needs the causal mask; padding needs its own.",
        "Warm the learning rate up, and normalize before the attention rather than behind it.",
    ),
    "residual": (
        "Both branches need the same shape: the skip has a layer of its own where the shape changes.",
        "The skip hands the gradient on as it is; sums of many branches grow, so begin the last scale of a branch at "
        "0 or small (E40).",
        "An activation or norm on the skip takes away what it is for.",
    ),
    "dropout": (
        "The rate is the share that is dropped, not kept (E41); evaluation drops nothing.",
        "A training loss above the validation loss is no fault where dropout is at work (E48).",
        "Before batch normalization it makes the statistics of training and evaluation differ.",
    ),
    "activation": (
        "Relu units that are off for every example get no gradient: lower the rate, He's weights, or leaky relu.",
        "Sigmoid and tanh at their limits have slope 0: smaller weights, standardized inputs (E52).",
        "No activation on the outputs of a regression or on logits (E54).",
    ),
    "embedding": (
        "Only the rows that were looked up get a gradient.",
        "Numbers outside of the table are no words: check the size of the vocabulary.",
    ),
    "shape": ("It computes nothing: only where numbers stand changes.",),
    "loss": (
        "Classification losses take logits, not probabilities (E59): no softmax before them.",
        "At the start it should be about ln(number of classes); far above means large outputs, far below a leak.",
        "A training loss far above the validation loss is not overfitting (E48).",
    ),
    "other": ("There is no text for this kind of layer.",),
}

_NORM = "scale (u - mean)/sqrt(var + eps) + bias"

KINDS = {
    "(input)": Text("input", "x, as it is given"),
    "(loss)": Text("loss", "J = sum of w l(prediction, target) / sum of w, and the penalty where there is one"),
    "dense": Text("dense", "u W + b"),
    "column_dense": Text("dense", "u W + b, for each column its own W and b"),
    "packed_dense": Text("dense", "u W + b, for each member its own W and b"),
    "batch_ensemble_dense": Text("dense", "((u r) W) s + b, r and s for each member"),
    "drop_connect_dense": Text("dense", "u (W m) + b; m drops weights in training"),
    "gated_dense": Text("dense", "v g(w); v and w are the halves of u W + b"),
    "maxout": Text("dense", "the greatest of the pieces of u W + b"),
    "feed_forward": Text("dense", "f(u W1 + b1) W2 + b2 at every position"),
    "weight_norm": Text("dense", "layer(u) with scale W/|W| for its W"),
    "spectral_norm": Text("dense", "layer(u) with W/sigma for its W, sigma its greatest singular value"),
    "weight_standardized": Text("dense", "layer(u) with (W - mean)/sqrt(var + eps) for its W"),
    "conv": Text("conv", "the sum of W times each window of u, plus b"),
    "depthwise_conv": Text("conv", "the sum of W times each window of u, each channel by itself, plus b"),
    "conv_transpose": Text("conv", "the sum of the windows W times each place of u, plus b"),
    "max_pool": Text("pool", "the greatest of each window of u"),
    "avg_pool": Text("pool", "the mean of each window of u"),
    "lp_pool": Text("pool", "(the sum of |u|^p over each window)^(1/p)"),
    "adaptive_pool": Text("pool", "the mean or the greatest of windows that give the wanted shape"),
    "global_pool": Text("pool", "the mean or the greatest of all places of u"),
    "batch_norm": Text("norm", f"{_NORM}; mean and var of the batch in training, running ones in evaluation"),
    "layer_norm": Text("norm", f"{_NORM}; mean and var of each example's features"),
    "group_norm": Text("norm", f"{_NORM}; mean and var of a group of channels in each example"),
    "instance_norm": Text("norm", f"{_NORM}; mean and var of a channel in each example"),
    "rms_norm": Text("norm", "scale u/sqrt(mean(u^2) + eps)"),
    "standardize": Text("norm", "(u - mean)/deviation, as found in the training rows"),
    "unstandardize": Text("norm", "u deviation + mean, as found in the training rows"),
    "preprocess": Text("norm", "what was learned from the training rows, applied to u"),
    "layer_scale": Text("norm", "scale u"),
    "rnn": Text("recurrent", "h' = f(u W + b + h U + d) at every position"),
    "lstm": Text("recurrent", "c' = f c + i g, h' = o tanh(c') at every position; i, f, o are sigmoid gates"),
    "gru": Text("recurrent", "h' = (1 - z) n + z h at every position; z is a sigmoid gate"),
    "bidirectional": Text("recurrent", "one layer forward, one backward, joined at every position"),
    "attentive_recurrence": Text("recurrent", "h' of u and of what the attention reads, at every position"),
    "last_position": Text("recurrent", "u at its last real position"),
    "first_position": Text("shape", "u at its first position"),
    "both_ends": Text("recurrent", "the last position of the way forward, the first of the way back"),
    "multi_head_attention": Text("attention", "softmax(Q K^T/sqrt(d)) V for each head, joined and mapped by W"),
    "cross_attention": Text("attention", "softmax(Q K^T/sqrt(d)) V; Q is of u, K and V of the source"),
    "transformer_block": Text("residual", "u + attention(norm(u)), then the same with a feed-forward net"),
    "decoder_block": Text("residual", "u + attention(norm(u)), then reading the source, then a feed-forward net"),
    "learned_positions": Text("embedding", "u + P; P has a learned vector for each position"),
    "sinusoidal_positions": Text("embedding", "u + P; P has sines and cosines of the position"),
    "class_token": Text("embedding", "a learned vector before the positions of u"),
    "embedding": Text("embedding", "the rows of E that u names"),
    "tied_embedding": Text("embedding", "the rows of E that u names; E is used for the outputs again"),
    "segment_embedding": Text("embedding", "the rows of E that u names, added up"),
    "category_embedding": Text("embedding", "for each column the row of its table that u names"),
    "periodic_embedding": Text("embedding", "sines and cosines of u times learned frequencies"),
    "phase_embedding": Text("embedding", "sines of u times learned frequencies, with learned phases"),
    "residual": Text("residual", "skip(u) + body(u)"),
    "stochastic_depth": Text("residual", "skip(u) + s body(u); s drops the branch for some examples in training"),
    "highway": Text("residual", "T body(u) + (1 - T) u; T is sigmoid(u W + b)"),
    "dense_block": Text("residual", "u and what each layer inside makes of all before it, joined"),
    "squeeze_excitation": Text("residual", "s u; s has a share for each channel, made of the means of all channels"),
    "parallel": Text("residual", "what each branch makes of u, joined"),
    "dropout": Text("dropout", "u m/(1 - rate) in training, m = 1 where kept, else 0; u in evaluation"),
    "alpha_dropout": Text("dropout", "p (u m + a0 (1 - m)) + q in training; u in evaluation"),
    "spatial_dropout": Text("dropout", "u with whole channels dropped in training; u in evaluation"),
    "drop_block": Text("dropout", "u with blocks of places dropped in training; u in evaluation"),
    "gaussian_dropout": Text("dropout", "u times noise of mean 1 in training; u in evaluation"),
    "gaussian_noise": Text("dropout", "u + noise in training; u in evaluation"),
    "elementwise": Text("activation", "f(u)"),
    "prelu": Text("activation", "max(u, 0) + alpha min(u, 0); alpha is learned"),
    "rrelu": Text("activation", "max(u, 0) + s min(u, 0); s is drawn in training"),
    "swish": Text("activation", "u sigmoid(beta u); beta is learned"),
    "parametric_activation": Text("activation", "u + alpha (f(u) - u); alpha is learned"),
    "flatten": Text("shape", "u with all axes but the first as one"),
    "reshape": Text("shape", "u in another shape"),
    "permute": Text("shape", "u with its axes in another order"),
    "pad": Text("shape", "u with places around it"),
    "crop": Text("shape", "u without places around it"),
    "concatenate": Text("shape", "its inputs, joined along an axis"),
    "resize": Text("shape", "u with other places between those of u"),
    "pixel_shuffle": Text("shape", "u with channels as places"),
    "pixel_unshuffle": Text("shape", "u with places as channels"),
}

_ACTIVATIONS = {
    "relu": "max(0, u)",
    "leaky_relu": "max(u, 0.01 u)",
    "sigmoid": "1/(1 + e^-u)",
    "tanh": "tanh(u)",
    "identity": "u",
    "softplus": "ln(1 + e^u)",
    "softsign": "u/(1 + |u|)",
    "silu": "u/(1 + e^-u)",
    "gelu": "u times the normal distribution function of u",
    "elu": "u for u > 0, else e^u - 1",
    "selu": "scale u for u > 0, else scale alpha (e^u - 1)",
    "softmax": "e^u over the sum of e^u",
}


def text_of(kind: str) -> Text:
    """What is said of a kind such as `dense` or `elementwise (relu)`."""
    plain, _, function = kind.partition(" (")
    known = KINDS.get(kind) or KINDS.get(plain)
    if known is None:
        return Text("other", f"{plain}(u)" if plain else "")
    name = function.removesuffix(")")
    return known if not name else known._replace(formula=_ACTIVATIONS.get(name, f"{name}(u)"))
